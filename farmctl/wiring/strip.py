"""The figures of the status strip, from one picture."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.core.model import MinerState
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.engine.cycle import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """What everybody must see at once."""

    mode: str
    power_kw: float
    target_kw: float
    deviation_pct: float
    limit_kw: float
    reason: str
    states: dict[str, int]
    alarms: tuple[str, ...]
    signal_age_s: float | None
    metered: bool


def strip_of(picture: Picture) -> Strip:
    """Target, actual, deviation, mode, miners by state, signal age, alarms."""
    view, decision = picture.view, picture.decision
    budget, site = decision.budget, decision.site
    offline = ~decision.seen.fresh
    states = {
        state.name.lower(): int(((view.table.state == state) & ~offline).sum())
        for state in MinerState
        if state is not MinerState.OFFLINE
    }
    age_ms = decision.link.age_ms
    return Strip(
        mode=decision.mode.value,
        power_kw=site.power_w / WATTS_PER_KW,
        target_kw=budget.target_w / WATTS_PER_KW,
        deviation_pct=(site.power_w - budget.target_w) / max(budget.target_w, 1.0) * 100.0,
        limit_kw=budget.ceiling_w / WATTS_PER_KW,
        reason=budget.reason.value,
        states={**states, "offline": int(offline.sum())},
        alarms=tuple(alarm.alarm for alarm in picture.alarms),
        signal_age_s=None if age_ms is None else age_ms / MS_PER_S,
        metered=site.metered,
    )
