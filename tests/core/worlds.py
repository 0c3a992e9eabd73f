"""Small random farms for the laws: any ladders, any tree, any state of knowledge."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from hypothesis import strategies as st

from farmctl.core.circuits import node_load_w
from farmctl.core.fleet import NO_METER, CircuitTree, FleetTable, FleetView, LadderBook, MeterSample, SiteRules
from farmctl.core.grid import EventClass, EventPut, GridEvent, Interval, LinkStatus
from farmctl.core.memory import Memory, RowMemory, Standing
from farmctl.core.model import Ladder, MinerState, OperatingPoint, PointKind, Quality

NOW_MS = 1_795_510_800_000
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class World:
    """A moment of a farm: what is remembered and what is seen."""

    memory: Memory
    view: FleetView

    def asked(self, event: GridEvent) -> World:
        """The same moment with one more event in the inbox."""
        return replace(self, view=replace(self.view, inbox=(*self.view.inbox, EventPut(event=event))))


def order(
    *, limit_w: float | None = None, setpoint_w: float | None = None, event_class: EventClass = EventClass.LIMIT
) -> GridEvent:
    """An event that is due now."""
    end = NOW_MS + 10 * MINUTE_MS
    return GridEvent(
        event_id="e1",
        msg_id="m1",
        source="grid",
        issuer="grid-op",
        epoch=1,
        seq=1,
        event_class=event_class,
        priority=5,
        created_ms=NOW_MS,
        expires_ms=end,
        intervals=(Interval(start_ms=NOW_MS, end_ms=end, limit_w=limit_w, setpoint_w=setpoint_w),),
        respond_within_s=30.0,
    )


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """Ascending watts; hash rates that rise, not always concave."""
    full_w = draw(st.integers(1_000, 6_000))
    shares = sorted(draw(st.sets(st.integers(30, 98), max_size=4)))
    points = [OperatingPoint(kind=PointKind.SLEEP, power_w=draw(st.integers(0, 60)), hash_rate_hs=0.0, setting="sleep")]
    bend = draw(st.floats(0.6, 1.3))
    worth = draw(st.floats(0.02, 0.08)) * 1e12
    points += [
        OperatingPoint(
            kind=PointKind.FULL if share == 100 else PointKind.THROTTLE,
            power_w=full_w * share / 100,
            hash_rate_hs=full_w * worth * (share / 100) ** bend,
            setting=f"percent:{share}",
        )
        for share in [*shares, 100]
    ]
    return Ladder(
        name=f"l{full_w}",
        points=tuple(points),
        down_s=draw(st.sampled_from([2.0, 5.0, 60.0])),
        up_s=draw(st.sampled_from([10.0, 60.0, 600.0])),
        trim_s=draw(st.sampled_from([1.0, 3.0, 30.0, 300.0])),
    )


@st.composite
def trees(draw: st.DrawFn, load_w: float) -> CircuitTree:
    """Up to seven nodes; ratings from far too small to none."""
    nodes = draw(st.integers(1, 7))
    parent = [-1, *(draw(st.integers(0, n - 1)) for n in range(1, nodes))]
    rating = [draw(st.one_of(st.just(float("inf")), st.floats(0.0, 1.3 * load_w))) for _ in range(nodes)]
    return CircuitTree(
        names=tuple(f"n{n}" for n in range(nodes)),
        parent=np.array(parent, dtype=np.int64),
        rating_w=np.array(rating),
        meter_w=np.full(nodes, np.nan),
    )


@st.composite
def instrumented(draw: st.DrawFn, tree: CircuitTree, table: FleetTable) -> CircuitTree:
    """Some circuits with meters, a few of them silent, that show more or less than the miners say; some with phases."""
    nodes = len(tree.names)
    said_w = node_load_w(tree, table.node, np.nan_to_num(table.power_w, nan=0.0))
    if draw(st.booleans()):
        metered = np.array([draw(st.booleans()) for _ in range(nodes)])
        shown_w = [w * draw(st.floats(0.8, 1.25)) + draw(st.sampled_from([0.0, 300.0, 2_000.0])) for w in said_w]
        silent = np.array([draw(st.integers(0, 3)) == 0 for _ in range(nodes)])
        tree = replace(tree, metered=metered, meter_w=np.where(metered & ~silent, shown_w, np.nan))
    if draw(st.booleans()):
        phase = np.array([-1, *(draw(st.integers(-1, 2)) for _ in range(1, nodes))], dtype=np.int16)
        spread_w = [draw(st.sampled_from([float("inf"), 0.0, 1_500.0, 6_000.0])) for _ in range(nodes)]
        tree = replace(tree, phase=phase, imbalance_w=np.array(spread_w))
    return tree


@st.composite
def worlds(draw: st.DrawFn, *, well: bool = False, instruments: bool = False) -> World:
    """Any moment; `well` leaves out silence, doubt and locks, `instruments` puts in circuits' meters and phases."""
    book = LadderBook.of(draw(st.lists(ladders(), min_size=1, max_size=3)))
    rows = draw(st.integers(0, 14))
    table = FleetTable.empty(rows)
    full_w = _fill(draw, table, book, well=well)
    tree = draw(trees(max(full_w, 1.0)))
    table.node[:] = [draw(st.integers(0, len(tree.names) - 1)) for _ in range(rows)]
    if instruments:
        tree = draw(instrumented(tree, table))
    rules = _rules(draw, max(full_w, 1.0), well=well)
    seen_w = float(np.nansum(table.power_w))
    aux_w = draw(st.sampled_from([0.0, 500.0, -200.0]))
    meter = MeterSample(power_w=max(seen_w + aux_w, 0.0), at_ms=NOW_MS, quality=Quality.OK)
    view = FleetView(
        table=table,
        ladders=book,
        groups=("g",),
        circuits=tree,
        rules=rules,
        meter=meter if well or draw(st.booleans()) else NO_METER,
        links=(LinkStatus(source="grid", connected=True, last_valid_ms=NOW_MS, confirmed=True),),
    )
    for array in (getattr(table, column.name) for column in fields(FleetTable)):
        array.flags.writeable = False
    memory = replace(Memory.at_boot(table.miner_id, NOW_MS - MINUTE_MS), last_ms=NOW_MS - 1_000)
    if not well and draw(st.booleans()):
        memory = replace(memory, rows=_rows(draw, view))
    return World(memory=memory, view=view)


def _fill(draw: st.DrawFn, table: FleetTable, book: LadderBook, *, well: bool) -> float:
    rows = len(table)
    table.miner_id[:] = [f"m{n:03d}" for n in range(rows)]
    full_w = 0.0
    for row in range(rows):
        ladder = draw(st.integers(0 if well else -1, len(book.ladders) - 1))
        table.ladder[row] = ladder
        table.tier[row] = draw(st.integers(0, 1))
        table.commandable[row] = well or draw(st.integers(0, 5)) > 0
        table.protected[row] = not well and draw(st.integers(0, 7)) == 0
        if not well and draw(st.integers(0, 7)) == 0:
            continue
        step = draw(st.integers(0, int(book.steps[ladder]) - 1)) if ladder >= 0 else -1
        nominal_w = float(book.power_w[ladder, step]) if ladder >= 0 else 3_000.0
        table.step[row] = step
        table.power_w[row] = nominal_w * (1.0 if well else draw(st.floats(0.9, 1.1)))
        table.state[row] = MinerState.CURTAILED if step == 0 else MinerState.HASHING
        table.hash_rate_hs[row] = 0.0 if step == 0 else 1e14
        old = not well and draw(st.integers(0, 7)) == 0
        table.seen_ms[row] = NOW_MS - (5 * MINUTE_MS if old else 500)
        table.tried_ms[row] = NOW_MS
        full_w += float(book.power_w[ladder, int(book.steps[ladder]) - 1]) if ladder >= 0 else nominal_w
    return full_w


def _rules(draw: st.DrawFn, full_w: float, *, well: bool) -> SiteRules:
    return SiteRules(
        rated_w=full_w * draw(st.sampled_from([0.7, 1.0, 2.0])),
        safe_min_w=0.0,
        failsafe_limit_w=0.2 * full_w,
        standing_w=draw(st.sampled_from([None, 0.5 * full_w, 2 * full_w])),
        ramp_up_w_per_s=1e9 if well else draw(st.sampled_from([10.0, 1e9])),
        wake_fraction_per_s=1.0 if well else draw(st.sampled_from([0.004, 1.0])),
        min_on_s=0.0 if well else draw(st.sampled_from([0.0, 600.0])),
        min_off_s=0.0 if well else draw(st.sampled_from([0.0, 300.0])),
        signal_stale_s=60.0,
        meter_stale_s=10.0,
        guard_fraction=0.05,
        confirm_timeout_s=20.0,
        max_attempts=3,
        tolerance_fraction=0.02,
        seen_stale_s=30.0,
        grid_expected=True,
    )


def _rows(draw: st.DrawFn, view: FleetView) -> RowMemory:
    table, book = view.table, view.ladders
    rows = RowMemory.of(table.miner_id)
    for row in range(len(table)):
        ladder = int(table.ladder[row])
        if ladder < 0 or draw(st.booleans()):
            continue
        top = int(book.steps[ladder]) - 1
        rows.wanted[row] = draw(st.integers(0, top))
        rows.before[row] = draw(st.integers(0, top))
        rows.standing[row] = draw(st.sampled_from(list(Standing)))
        rows.commanded_ms[row] = NOW_MS - draw(st.sampled_from([1_000, 15_000, 10 * MINUTE_MS]))
        rows.attempts[row] = draw(st.integers(1, 3))
        rows.retry_ms[row] = rows.commanded_ms[row] + 4_000
        since = rows.on_since_ms if rows.wanted[row] else rows.off_since_ms
        since[row] = rows.commanded_ms[row]
    return rows
