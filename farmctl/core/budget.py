"""Arbitration: all proposals to one budget, by the rules of SIGNALS section 4; deterministic, every loser told why."""

from __future__ import annotations

from collections.abc import Iterable

from farmctl.core.fleet import SiteRules
from farmctl.core.model import Budget, LostWish, Proposal
from farmctl.core.reasons import Reason


def arbitrate(wishes: Iterable[Proposal], rules: SiteRules, *, guarded: bool) -> Budget:
    """One floor, target and ceiling out of every wish.

    The ceiling is the lowest of all ceilings; the set-point is the one with the lowest priority number, then the
    newest. `guarded` keeps the guard band below every ceiling while the site meter is lost.
    """
    wishes = tuple(wishes)
    ceilings = [w for w in wishes if w.ceiling_w is not None]
    binding = min(ceilings, key=_ceiling_rank)
    setpoints = sorted((w for w in wishes if w.target_w is not None), key=_setpoint_rank)
    ceiling_w = binding.ceiling_w or 0.0
    limit_reason = binding.reason
    if guarded:
        ceiling_w *= 1.0 - rules.guard_fraction
    winner = setpoints[0] if setpoints else binding
    asked_w = winner.target_w if winner.target_w is not None else ceiling_w
    floor_w = min(rules.safe_min_w, ceiling_w)
    target_w = min(max(asked_w, floor_w), ceiling_w)
    return Budget(
        floor_w=floor_w,
        target_w=target_w,
        ceiling_w=ceiling_w,
        reason=winner.reason if target_w >= asked_w else limit_reason,
        source=winner.source,
        event_id=winner.event_id,
        limit_reason=Reason.METER_LOST_GUARD if guarded else limit_reason,
        limit_source=binding.source,
        shortfall_w=max(asked_w - target_w, 0.0),
        emergency=any(w.reason in (Reason.EMERGENCY, Reason.STOP_ALL) for w in wishes),
        urgent=binding.urgent or winner.urgent or (bool(winner.event_id) and not winner.economic),
        economic=winner.economic and target_w < ceiling_w,
        lost=_losers(setpoints, asked_w, ceiling_w),
    )


def _ceiling_rank(wish: Proposal) -> tuple[float, int, int, str]:
    return (wish.ceiling_w or 0.0, wish.priority, -wish.newer_ms, wish.source)


def _setpoint_rank(wish: Proposal) -> tuple[int, int, int, str, str]:
    emergency = 0 if wish.reason is Reason.EMERGENCY else 1
    return (emergency, wish.priority, -wish.newer_ms, wish.source, wish.event_id)


def _losers(setpoints: list[Proposal], asked_w: float, ceiling_w: float) -> tuple[LostWish, ...]:
    lost = [
        LostWish(source=w.source, event_id=w.event_id, reason=Reason.LOWER_PRIORITY, asked_w=w.target_w or 0.0)
        for w in setpoints[1:]
    ]
    if setpoints and asked_w > ceiling_w:
        top = setpoints[0]
        lost.append(LostWish(source=top.source, event_id=top.event_id, reason=Reason.ABOVE_LIMIT, asked_w=asked_w))
    return tuple(lost)
