"""Why one miner is where it is: wanted, seen, the reason, its rank, what binds it, and what would move it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from farmctl.control.filter import Columns
from farmctl.control.miners import listed
from farmctl.control.strip import Site, finite, rev_of
from farmctl.control.threshold import shed_order, thresholds
from farmctl.control.wire import Json, iso
from farmctl.core.circuits import node_load_w
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import Standing
from farmctl.core.model import MinerState, PowerSource
from farmctl.core.reasons import HELP, ORDER, Reason
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn, to_kw
from farmctl.ports.control import SitePicture


def details(picture: SitePicture, columns: Columns, row: int) -> Json:
    """One miner: where it stands, what it does, what is wanted of it."""
    return {
        "rev": rev_of(picture),
        "at": iso(picture.decision.at_ms),
        **listed(columns, row),
        **{name: str(columns.words[name][row]) for name in ("serial", "host", "driver", "owner", "tag", "commandable")},
        "wanted": _point(picture.view, row, int(picture.decision.allocation.step[row])),
        "seen": _seen(picture, row),
        "ladder": _ladder(picture.view, row),
    }


def why(picture: SitePicture, columns: Columns, row: int, site: Site, input_hash: str) -> Json:
    """The explanation of one miner; the site in kW, the miner in W. Asks the core: call it off the loop."""
    view, decision = picture.view, picture.decision
    rows, allocation = picture.memory.rows, decision.allocation
    reason = ORDER[int(decision.reasons[row])]
    marks = thresholds(picture, row, site)
    place, of = shed_order(view, decision.seen, row, site.policy)
    path = list(_path(view, allocation.plan_w, row, held=bool(allocation.circuit_held[row])))
    return {
        "rev": rev_of(picture),
        "at": iso(decision.at_ms),
        "id": str(view.table.miner_id[row]),
        "place": {name: str(columns.words[name][row]) for name in ("cont", "rack", "slot", "model", "fw")},
        "wanted": _point(view, row, int(allocation.step[row])),
        "seen": _seen(picture, row),
        "reason": reason.value,
        "help": HELP[reason],
        "command": {
            "standing": Standing(int(rows.standing[row])).name.lower(),
            "attempts": int(rows.attempts[row]),
            "commanded_at": iso(int(rows.commanded_ms[row])),
            "retry_at": iso(int(rows.retry_ms[row])) if rows.standing[row] != Standing.SETTLED else None,
        },
        "site": {
            "mode": decision.mode.value,
            "reason": decision.budget.reason.value,
            "help": HELP[decision.budget.reason],
            "source": decision.budget.source,
            "target_kw": to_kw(decision.budget.target_w),
            "planned_kw": to_kw(allocation.planned_w),
        },
        "rank": {
            "policy": site.policy,
            "tier": int(view.table.tier[row]),
            "jth": _jth(view, row),
            "place": place,
            "of": of,
        },
        "marginal_jth": finite(_per_th(allocation.marginal_hs_per_w)),
        "circuits": path,
        "binding_circuit": next((str(node["name"]) for node in path if node["binding"]), None),
        "locks": list(_locks(picture, row)),
        "lowered_at_or_below_kw": _kw(marks.lowered_at_w),
        "shed_at_or_below_kw": _kw(marks.asleep_at_w),
        "raised_at_or_above_kw": _kw(marks.raised_at_w),
        "resolution_kw": to_kw(marks.resolution_w),
        "input_sha256": input_hash,
    }


def _seen(picture: SitePicture, row: int) -> Json:
    rows = picture.memory.rows
    table, fresh = picture.view.table, bool(picture.decision.seen.fresh[row])
    seen_ms = int(table.seen_ms[row])
    state = MinerState(int(table.state[row])) if fresh else MinerState.OFFLINE
    return {
        "state": state.name.lower(),
        "step": int(table.step[row]) if table.step[row] >= 0 else None,
        "power_w": finite(float(table.power_w[row])),
        "power_source": PowerSource(int(table.power_source[row])).name.lower(),
        "plug_ratio": round(float(rows.plug_ratio[row]), 3),
        "counted_w": round(float(picture.decision.seen.counted_w[row])),
        "hash_rate_ths": finite(float(table.hash_rate_hs[row]) / HASHES_PER_TERAHASH),
        "temperature_c": finite(float(table.temperature_c[row])),
        "age_s": None if seen_ms < 0 else (picture.decision.at_ms - seen_ms) / MS_PER_S,
        "answers": fresh,
    }


def _point(view: FleetView, row: int, step: int) -> Json | None:
    """An operating point, scaled to this miner; None where nothing is wanted."""
    ladder = int(view.table.ladder[row])
    if ladder == NO_LADDER or step < 0:
        return None
    point = view.ladders.ladders[ladder].points[step]
    scale = float(view.table.power_scale[row]) if step else 1.0
    return {
        "step": step,
        "kind": point.kind.name.lower(),
        "setting": point.setting,
        "power_w": round(point.power_w * scale),
        "hash_rate_ths": round(point.hash_rate_hs * scale / HASHES_PER_TERAHASH, 2),
    }


def _ladder(view: FleetView, row: int) -> list[Json]:
    ladder = int(view.table.ladder[row])
    steps = 0 if ladder == NO_LADDER else len(view.ladders.ladders[ladder].points)
    points = (_point(view, row, step) for step in range(steps))
    return [point for point in points if point is not None]


def _path(view: FleetView, plan_w: FloatColumn, row: int, *, held: bool) -> Iterator[dict[str, object]]:
    """Every circuit above the miner, nearest first; of a row that is held the fullest one binds."""
    tree = view.circuits
    load_w = node_load_w(tree, view.table.node, plan_w)
    path = [int(view.table.node[row])]
    while tree.parent[path[-1]] >= 0:
        path.append(int(tree.parent[path[-1]]))
    headroom_w = tree.rating_w[path] - load_w[path]
    tightest = path[int(np.argmin(headroom_w))]
    for node in path:
        rating_w = float(tree.rating_w[node])
        yield {
            "name": tree.names[node],
            "planned_kw": to_kw(float(load_w[node])),
            "rating_kw": None if np.isinf(rating_w) else to_kw(rating_w),
            "binding": held and node == tightest,
        }


def _locks(picture: SitePicture, row: int) -> Iterator[Json]:
    """What keeps the miner where it is for a known or unknown time."""
    view, decision = picture.view, picture.decision
    rows, rules, allocation = picture.memory.rows, view.rules, decision.allocation
    if allocation.min_on[row]:
        yield _lock(Reason.MIN_ON, int(rows.on_since_ms[row] + rules.min_on_s * MS_PER_S))
    if allocation.min_off[row]:
        yield _lock(Reason.MIN_OFF, int(rows.off_since_ms[row] + rules.min_off_s * MS_PER_S))
    flags = (
        (Reason.WAKE_STAGGER, allocation.wake_held[row]),
        (Reason.CIRCUIT_LIMIT, allocation.circuit_held[row]),
        (Reason.PROTECTED, view.table.protected[row]),
        (Reason.OBSERVE_ONLY, not view.table.commandable[row]),
        (Reason.MAINTENANCE, view.maintenance),
        (Reason.STOP_ALL, view.stop_all),
    )
    for reason, holds in flags:
        if holds:
            yield _lock(reason, None)


def _lock(reason: Reason, ends_ms: int | None) -> Json:
    return {"lock": reason.value, "help": HELP[reason], "until": None if ends_ms is None else iso(ends_ms)}


def _jth(view: FleetView, row: int) -> float | None:
    """J/TH at the highest operating point, as the policy ranks it."""
    ladder = int(view.table.ladder[row])
    if ladder == NO_LADDER:
        return None
    top = view.ladders.ladders[ladder].points[-1]
    return None if top.hash_rate_hs <= 0 else round(top.power_w / top.hash_rate_hs * HASHES_PER_TERAHASH, 2)


def _per_th(hs_per_w: float) -> float:
    """Hash rate per watt as J/TH; NaN where nothing moved."""
    return round(HASHES_PER_TERAHASH / hs_per_w, 2) if hs_per_w > 0 else float("nan")


def _kw(watts: float | None) -> float | None:
    return None if watts is None else to_kw(watts)
