"""A day in virtual time: a small farm whose physics is re-told in a few lines, driven by `step` alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from itertools import count

import numpy as np

from farmctl.core.fleet import NO_METER, CircuitTree, FleetTable, FleetView, LadderBook, MeterSample, SiteRules
from farmctl.core.grid import (
    EventClass,
    EventDelete,
    EventPut,
    EventState,
    GridEvent,
    Interval,
    LinkStatus,
    SignalMessage,
    SiteMode,
)
from farmctl.core.memory import Memory
from farmctl.core.model import Ladder, MinerState, OperatingPoint, Override, PointKind, PowerSource, Quality
from farmctl.core.step import Decision, step

START_MS = 1_795_510_800_000
"""2026-11-24T09:00:00Z."""


def ladder(
    name: str = "fast",
    *,
    full_w: float = 3_400.0,
    j_per_th: float = 20.0,
    throttle: bool = True,
    down_s: float = 5.0,
    up_s: float = 30.0,
    trim_s: float = 3.0,
) -> Ladder:
    """Sleep, 40..95 % in 5 % steps where it throttles, full; throttled points are a little more efficient."""
    points = [OperatingPoint(kind=PointKind.SLEEP, power_w=40.0, hash_rate_hs=0.0, setting="sleep")]
    full_hs = full_w / j_per_th * 1e12
    for percent in range(40, 100, 5) if throttle else ():
        share = percent / 100
        points.append(
            OperatingPoint(
                kind=PointKind.THROTTLE,
                power_w=full_w * share,
                hash_rate_hs=full_hs * share**0.8,
                setting=f"percent:{percent}",
            )
        )
    points.append(OperatingPoint(kind=PointKind.FULL, power_w=full_w, hash_rate_hs=full_hs, setting="full"))
    return Ladder(name=name, points=tuple(points), down_s=down_s, up_s=up_s, trim_s=trim_s)


def rules(rated_w: float, **changes: object) -> SiteRules:
    """Rules of a test site; every field may be replaced by name."""
    plain = SiteRules(
        rated_w=rated_w,
        safe_min_w=0.0,
        failsafe_limit_w=0.25 * rated_w,
        standing_w=rated_w,
        ramp_up_w_per_s=rated_w,
        wake_fraction_per_s=1.0,
        min_on_s=0.0,
        min_off_s=0.0,
        signal_stale_s=60.0,
        meter_stale_s=10.0,
        guard_fraction=0.05,
        confirm_timeout_s=20.0,
        max_attempts=3,
        tolerance_fraction=0.02,
        seen_stale_s=30.0,
        grid_expected=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass(kw_only=True)
class Farm:
    """What is out there: true power of every miner, and what it tells about itself."""

    ladders: tuple[Ladder, ...]
    ladder_of: np.ndarray
    node: np.ndarray
    tree: CircuitTree
    aux_w: float = 0.0
    true_w: np.ndarray = field(init=False)
    at: np.ndarray = field(init=False)
    silent: np.ndarray = field(init=False)
    deaf: np.ndarray = field(init=False)
    bias: np.ndarray = field(init=False)
    pretends_sleep: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rows = len(self.ladder_of)
        self.book = LadderBook.of(self.ladders)
        self.at = self.book.steps[self.ladder_of] - 1
        self.silent = np.zeros(rows, dtype=np.bool_)
        self.deaf = np.zeros(rows, dtype=np.bool_)
        self.bias = np.ones(rows)
        self.pretends_sleep = np.zeros(rows, dtype=np.bool_)
        self.true_w = self.wanted_w()

    def wanted_w(self) -> np.ndarray:
        """Where every miner is heading, W."""
        return self.book.power_w[self.ladder_of, self.at]

    def advance(self, dt_s: float) -> None:
        """Draw moves towards its point at the ladder's speed."""
        goal = self.wanted_w()
        book, lad = self.book, self.ladder_of
        full = book.power_w[lad, book.steps[lad] - 1]
        from_sleep = self.true_w < 0.2 * full
        seconds = np.where(self.at == 0, book.down_s[lad], np.where(from_sleep, book.up_s[lad], book.trim_s[lad]))
        most = full / np.maximum(seconds, 0.5) * dt_s
        self.true_w += np.clip(goal - self.true_w, -most, most)

    def meter_w(self) -> float:
        """True site power at the meter."""
        return float(self.true_w.sum()) + self.aux_w


def farm(
    miners: int = 100,
    *,
    ladders: tuple[Ladder, ...] | None = None,
    feeders: int = 1,
    rating_w: float = np.inf,
    feeder_rating_w: float = np.inf,
    aux_w: float = 0.0,
) -> Farm:
    """`miners` machines, ladders and feeders dealt round."""
    ladders = ladders or (ladder(),)
    row = np.arange(miners)
    tree = CircuitTree(
        names=("site", *(f"F{n + 1}" for n in range(feeders))),
        parent=np.array([-1] + [0] * feeders, dtype=np.int64),
        rating_w=np.array([rating_w] + [feeder_rating_w] * feeders),
        meter_w=np.full(feeders + 1, np.nan),
    )
    return Farm(ladders=ladders, ladder_of=row % len(ladders), node=1 + row % feeders, tree=tree, aux_w=aux_w)


class Day:
    """Cycles of one second over a farm; signals and faults happen when the story says so."""

    def __init__(self, the_farm: Farm, *, poll_s: float = 2.0, metered: bool = True, **rule_changes: object) -> None:
        self.farm = the_farm
        book = the_farm.book
        self.rated_w = (
            float(book.power_w[the_farm.ladder_of, book.steps[the_farm.ladder_of] - 1].sum()) + the_farm.aux_w
        )
        self.rules = rules(self.rated_w, **rule_changes)
        self.table = FleetTable.empty(len(the_farm.ladder_of))
        self.table.miner_id[:] = [f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(len(self.table))]
        self.table.ladder[:] = the_farm.ladder_of
        self.table.node[:] = the_farm.node
        self.now_ms = START_MS
        self.poll_s = poll_s
        self.metered = metered
        self.link_alive = True
        self.link_confirmed = True
        self.last_valid_ms = -1
        self.inbox: list[SignalMessage] = []
        self.overrides: list[Override] = []
        self.changes: dict[str, object] = {}
        self.commands = 0
        self.meter: list[tuple[int, float]] = []
        self.acks: list[tuple[str, EventState]] = []
        self.modes: list[SiteMode] = []
        self.sequence = count(1)
        self.memory = Memory.at_boot(self.table.miner_id, self.now_ms)
        self.decision: Decision = self._cycle()

    # ---- the story's verbs

    def event(
        self,
        event_id: str,
        *,
        setpoint_w: float | None = None,
        limit_w: float | None = None,
        for_s: float = 600.0,
        starts_in_s: float = 0.0,
        **fields: object,
    ) -> GridEvent:
        """Deliver one event."""
        seq = next(self.sequence)
        start = self.now_ms + int(starts_in_s * 1000)
        end = start + int(for_s * 1000)
        default = EventClass.TARGET if limit_w is None else EventClass.LIMIT
        event = GridEvent(
            event_id=event_id,
            msg_id=f"m{seq}",
            source="grid",
            issuer="grid-op",
            epoch=1,
            seq=seq,
            event_class=default,
            priority=10,
            created_ms=self.now_ms,
            expires_ms=end,
            intervals=(Interval(start_ms=start, end_ms=end, limit_w=limit_w, setpoint_w=setpoint_w),),
            respond_within_s=30.0,
            tolerance_w=0.02 * self.rated_w,
        )
        event = replace(event, **fields)  # type: ignore[arg-type]
        self.inbox.append(EventPut(event=event))
        return event

    def withdraw(self, event_id: str, *, release: bool = False) -> None:
        """Deliver a delete."""
        seq = next(self.sequence)
        self.inbox.append(
            EventDelete(source="grid", event_id=event_id, msg_id=f"m{seq}", epoch=1, seq=seq, release=release)
        )

    def run(self, seconds: float, each: Callable[[], None] | None = None) -> Day:
        """Let time pass, one cycle a second."""
        for _ in range(int(seconds)):
            self.now_ms += 1_000
            self.farm.advance(1.0)
            self._poll()
            self.decision = self._cycle()
            if each is not None:
                each()
        return self

    @property
    def power_w(self) -> float:
        """What the true meter shows now."""
        return self.farm.meter_w()

    def mean_w(self, seconds: float) -> float:
        """Mean of the true meter over the last seconds."""
        recent = [w for at, w in self.meter if self.now_ms - at < seconds * 1_000]
        return sum(recent) / len(recent)

    def state_of(self, event_id: str) -> EventState | None:
        """Where an event has got to."""
        return next((t.state for t in self.memory.tracks if t.event.event_id == event_id), None)

    # ---- the loop

    def _poll(self) -> None:
        farm_, table = self.farm, self.table
        phase = (self.now_ms // 1_000) % max(int(self.poll_s), 1)
        due = (np.arange(len(table)) % max(int(self.poll_s), 1) == phase) & ~farm_.silent
        watts = np.round(farm_.true_w * farm_.bias)
        full = farm_.book.power_w[farm_.ladder_of, farm_.book.steps[farm_.ladder_of] - 1]
        asleep = (farm_.true_w < 0.1 * full) & (farm_.at == 0)
        booting = (farm_.true_w < 0.3 * full) & (farm_.at > 0)
        state = np.where(asleep, MinerState.CURTAILED, np.where(booting, MinerState.BOOTING, MinerState.HASHING))
        liar = farm_.pretends_sleep
        state = np.where(liar, MinerState.CURTAILED, state)
        watts = np.where(liar, 40.0, watts)
        hashing = state == MinerState.HASHING
        table.power_w[due] = watts[due]
        table.power_source[due] = PowerSource.DEVICE
        table.state[due] = state[due]
        table.hash_rate_hs[due] = np.where(hashing, farm_.true_w / full * 1e14, 0.0)[due]
        table.step[due] = np.where(liar, 0, farm_.at)[due]
        table.seen_ms[due] = self.now_ms
        table.tried_ms[:] = self.now_ms

    def _cycle(self) -> Decision:
        if self.link_alive:
            self.last_valid_ms = self.now_ms
        self.meter.append((self.now_ms, self.farm.meter_w()))
        sample = MeterSample(power_w=self.farm.meter_w(), at_ms=self.now_ms, quality=Quality.OK)
        frozen = FleetTable(**{f.name: getattr(self.table, f.name).copy() for f in fields(FleetTable)})
        view = FleetView(
            table=frozen,
            ladders=self.farm.book,
            groups=("fast",),
            circuits=self.farm.tree,
            rules=self.rules,
            meter=sample if self.metered else NO_METER,
            links=(
                LinkStatus(
                    source="grid",
                    connected=self.link_alive,
                    last_valid_ms=self.last_valid_ms,
                    confirmed=self.link_confirmed,
                ),
            ),
            inbox=tuple(self.inbox),
            overrides=tuple(self.overrides),
        )
        view = replace(view, **self.changes)  # type: ignore[arg-type]
        self.inbox.clear()
        self.memory, decision = step(self.memory, view, self.now_ms)
        for command in decision.commands:
            row = int(np.searchsorted(self.table.miner_id, command.miner))
            self.table.sent_ms[row] = self.now_ms
            self.table.acked_ms[row] = self.now_ms
            if not self.farm.deaf[row]:
                self.farm.at[row] = command.step
        self.commands += len(decision.commands)
        self.acks += [(ack.event_id, ack.state) for ack in decision.acks]
        if not self.modes or self.modes[-1] is not decision.mode:
            self.modes.append(decision.mode)
        return decision
