"""`GET /v1/outlook`: what is known of the next hours, and what the site does when nobody is heard any more."""

from __future__ import annotations

from farmctl.control.strip import rev_of
from farmctl.control.wire import Json, iso
from farmctl.core.events import TERMINAL
from farmctl.core.modes import link_facts
from farmctl.core.outlook import planned
from farmctl.core.units import MS_PER_S, to_kw
from farmctl.ports.control import SitePicture

HORIZON_S = 4 * 3_600
SECONDS_PER_MIN = 60.0


def outlook(picture: SitePicture) -> Json:
    """Stretches without a change, prices, the standing allocation, the fallback; off the loop on a large site."""
    view, memory, now_ms = picture.view, picture.memory, picture.decision.at_ms
    rules = view.rules
    end_ms = now_ms + HORIZON_S * MS_PER_S
    facts = link_facts(view, memory.booted_ms, now_ms)
    plan = planned(memory, view, facts, now_ms, end_ms)
    ends = (*(one.at_ms for one in plan[1:]), end_ms)
    ramp = rules.ramp_down_w_per_s
    return {
        "rev": rev_of(picture),
        "stretches": [
            {
                "start": iso(one.at_ms),
                "end": iso(stop_ms),
                "target_kw": to_kw(one.budget.target_w),
                "limit_kw": to_kw(one.budget.ceiling_w),
                "reason": one.budget.reason.value,
                "source": one.budget.limit_source,
                "event": one.budget.event_id or "",
            }
            for one, stop_ms in zip(plan, ends, strict=True)
        ],
        "prices": _prices(picture, now_ms, end_ms),
        "standing_kw": None if rules.standing_w is None else to_kw(rules.standing_w),
        "own_price_per_kwh": rules.power_price_per_kwh,
        "fallback": {
            "expects_grid": rules.grid_expected,
            "quiet_s": rules.signal_quiet_s,
            "stale_s": rules.signal_stale_s,
            "follows_schedule": rules.follows_schedule,
            "firm_kw": to_kw(rules.failsafe_limit_w),
            "safe_min_kw": to_kw(rules.safe_min_w),
            "ramp_down_kw_per_min": None if ramp is None else to_kw(ramp) * SECONDS_PER_MIN,
            "ramp_up_kw_per_min": to_kw(rules.ramp_up_w_per_s) * SECONDS_PER_MIN,
        },
    }


def _prices(picture: SitePicture, now_ms: int, end_ms: int) -> list[Json]:
    return [
        {
            "start": iso(max(part.start_ms, now_ms)),
            "end": iso(min(part.end_ms, end_ms)),
            "price_per_kwh": part.price,
            "event": track.event.event_id,
        }
        for track in picture.memory.tracks
        if track.state not in TERMINAL
        for part in track.event.intervals
        if part.price is not None and part.end_ms > now_ms and part.start_ms < end_ms
    ]
