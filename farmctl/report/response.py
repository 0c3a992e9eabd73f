"""How the site answered: how fast, how exactly, for how long, and how it came back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.units import MaskColumn
from farmctl.report.canonical import MS_PER_S, Json, fine_kw, kw, mwh, rounded, whole
from farmctl.report.case import Case
from farmctl.report.obligation import Asked, asked
from farmctl.report.series import Line, minus, positive, wh

FROM_MS = 10_000
"""The response starts from the mean of the last ten seconds before the event."""
FIRST_SHARE, MOST_SHARE = 0.10, 0.90
BACK_SHARE = 0.95
HOLD_MS = 10_000
"""In the band means inside for so long: the controller itself judges by 10-second means."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answer:
    """The metered power of an event beside the order."""

    power: Line
    source: str
    asked: Asked
    from_w: float | None
    """Power before the event."""
    curtails: bool
    """The order is below what was drawn before; else the site takes power on."""


def answer(case: Case) -> Answer:
    """Metered power from start to end, and what was asked at each sample."""
    power, source = case.series.power()
    inside = power.clipped(case.start_ms, case.end_ms)
    order = asked(case, inside.at_ms)
    from_w = power.clipped(case.start_ms - FROM_MS, case.start_ms).mean()
    stated = order.target_w[np.isfinite(order.target_w)]
    limit_only = not order.setpoint.any()
    curtails = limit_only or from_w is None or not len(stated) or bool(stated.mean() < from_w)
    return Answer(power=inside, source=source, asked=order, from_w=from_w, curtails=curtails)


def kpis(case: Case, got: Answer) -> Json:
    """Times, errors and energies of the answer."""
    order, power = got.asked, got.power
    error_w = np.where(
        order.setpoint, np.abs(power.value - order.target_w), np.maximum(power.value - order.target_w, 0.0)
    )
    known = np.isfinite(order.target_w)
    in_band = known & (power.value >= order.low_w) & (power.value <= order.high_w)
    judged = order.judged
    error_pct = 100.0 * error_w / np.maximum(order.target_w, 1.0)
    return {
        "direction": "curtail" if got.curtails else "absorb",
        "power_before_kw": kw(got.from_w),
        "target_kw": kw(_mean(order.target_w, known)),
        "power_kw": kw(power.mean()),
        **_speed(case, got, in_band),
        **_reached(case),
        "overshoot_kw": fine_kw(_overshoot_w(got, in_band)),
        "mean_error_kw": fine_kw(_mean(error_w, judged)),
        "mean_error_pct": rounded(_mean(error_pct, judged), 6),
        "max_error_kw": fine_kw(_most(error_w, judged)),
        "max_error_pct": rounded(_most(error_pct, judged), 6),
        "in_band_pct": rounded(_share_pct(in_band, judged), 2),
        "in_band_all_pct": rounded(_share_pct(in_band, known), 2),
        "samples": len(power.at_ms),
        "samples_judged": int(judged.sum()),
        **_energies(got),
    }


def came_back(case: Case) -> Json:
    """After the end: when power and hash rate were back within 5 % of what they were before."""
    power = case.series.power()[0]
    before_w = power.clipped(case.start_ms - FROM_MS, case.start_ms).mean()
    hashes = case.series.line("hash_ghs")
    before_ghs = hashes.clipped(case.start_ms - FROM_MS, case.start_ms).mean()
    why = f"event {case.next_event} followed" if case.next_event else ""
    return {
        "watched_s": rounded((case.known_until_ms - case.end_ms) / MS_PER_S, 1),
        "ended_by": why,
        "power_back_s": _back_s(power, case, before_w),
        "hash_back_s": _back_s(hashes, case, before_ghs),
    }


def _speed(case: Case, got: Answer, in_band: MaskColumn) -> Json:
    """Seconds from the start; None where it was not so within the event."""
    first_w = got.asked.target_w[np.isfinite(got.asked.target_w)]
    move_w = first_w[0] - got.from_w if len(first_w) and got.from_w is not None else 0.0
    moved = (got.power.value - (got.from_w or 0.0)) * np.sign(move_w)
    needed = not (len(in_band) and in_band[0]) and move_w != 0.0
    return {
        "moved_kw": kw(move_w if needed else 0.0),
        "first_10_s": _first_s(case, got.power, moved >= FIRST_SHARE * abs(move_w)) if needed else 0.0,
        "t90_s": _first_s(case, got.power, moved >= MOST_SHARE * abs(move_w)) if needed else 0.0,
        "time_to_band_s": _first_s(case, got.power, _held(got.power, in_band)),
    }


def _reached(case: Case) -> Json:
    """What the controller told the grid, by its own records."""
    at = {}
    for each in reversed(case.moves):
        at[str(each.record.body["state"])] = each.record.at_ms
    reached_ms, deviating = at.get("REACHED"), sum(m.record.body["state"] == "DEVIATING" for m in case.moves)
    said_s = None if reached_ms is None else rounded((reached_ms - case.start_ms) / MS_PER_S, 3)
    return {"reached_said_s": said_s, "deviating_said": deviating}


def _held(power: Line, in_band: MaskColumn) -> MaskColumn:
    """True where the power is in the band and stays there for the next ten seconds, or to the end."""
    out_ms = power.at_ms[~in_band]
    following = np.searchsorted(out_ms, power.at_ms)
    next_out_ms = np.append(out_ms, np.iinfo(np.int64).max)[following]
    held: MaskColumn = in_band & (next_out_ms - power.at_ms > HOLD_MS)
    return held


def _first_s(case: Case, power: Line, where: MaskColumn) -> float | None:
    found = np.flatnonzero(where)
    return rounded((power.at_ms[found[0]] - case.start_ms) / MS_PER_S, 1) if len(found) else None


def _overshoot_w(got: Answer, in_band: MaskColumn) -> float | None:
    """How far the power went beyond the target on the far side, after it first came into the band."""
    inside = np.flatnonzero(in_band)
    if not len(inside) or got.from_w is None or not got.asked.setpoint.any():  # below a limit everything is permitted
        return None
    after = slice(int(inside[0]), None)
    beyond = (got.asked.target_w - got.power.value)[after] * (1.0 if got.curtails else -1.0)
    known = beyond[np.isfinite(beyond)]
    return max(float(known.max()), 0.0) if len(known) else None


def _energies(got: Answer) -> Json:
    """Ordered and missed energy, once the response time is over."""
    judged = Line(at_ms=got.power.at_ms, value=np.where(got.asked.due, got.power.value - got.asked.target_w, 0.0))
    over, under = positive(judged), positive(Line(at_ms=judged.at_ms, value=-judged.value))
    ordered = Line(at_ms=got.power.at_ms, value=np.nan_to_num(got.asked.target_w))
    under_mwh = mwh(wh(under)) if got.asked.setpoint.any() else 0.0
    return {
        "ordered_mwh": mwh(wh(ordered)),
        "metered_mwh": mwh(wh(got.power)),
        "over_mwh": mwh(wh(over)),
        "under_mwh": under_mwh,
        "shortfall_mwh": mwh(wh(over)) if got.curtails else under_mwh,
    }


def _back_s(line: Line, case: Case, before: float | None) -> float | None:
    """Seconds from the end until the line is back within 5 % of what it was; 0 where it never left."""
    after = line.between(case.end_ms, case.horizon_ms)
    if before is None or not len(after.at_ms):
        return None
    back = np.flatnonzero(np.abs(after.value - before) <= (1.0 - BACK_SHARE) * abs(before))
    return rounded((after.at_ms[back[0]] - case.end_ms) / MS_PER_S, 1) if len(back) else None


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]], where: MaskColumn) -> float | None:
    return float(values[where].mean()) if where.any() else None


def _most(values: np.ndarray[tuple[int], np.dtype[np.float64]], where: MaskColumn) -> float | None:
    return float(values[where].max()) if where.any() else None


def _share_pct(part: MaskColumn, of: MaskColumn) -> float | None:
    return 100.0 * float((part & of).sum()) / float(of.sum()) if of.any() else None


def hashes(case: Case) -> Json:
    """Hashes lost and gained against the rate before the event, from the start to the return; TH and TH-days."""
    line = case.series.line("hash_ghs", scale=1e-3)
    before_ths = line.clipped(case.start_ms - FROM_MS, case.start_ms).mean()
    during = line.clipped(case.start_ms, case.horizon_ms)
    if before_ths is None or not len(during.at_ms):
        return {"before_ths": None, "lost_th": None, "gained_th": None}
    lost = positive(minus(Line(at_ms=during.at_ms, value=np.full(len(during.at_ms), before_ths)), during))
    gained = positive(minus(during, before_ths))
    return {
        "before_ths": rounded(before_ths, 1),
        "mean_ths": rounded(line.clipped(case.start_ms, case.end_ms).mean(), 1),
        "lost_th": whole(lost.integral()),
        "gained_th": whole(gained.integral()),
    }
