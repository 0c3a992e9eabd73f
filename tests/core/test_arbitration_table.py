"""Arbitration as a ledger: wishes in, one budget out, each loser told why."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import pytest

from farmctl.core.budget import arbitrate
from farmctl.core.model import Proposal
from farmctl.core.reasons import Reason
from tests.scenarios.site import rules

R = Reason
RULES = rules(1_000.0, safe_min_w=100.0)


def cap(watts: float, reason: Reason = R.LIMITED, source: str = "grid") -> Proposal:
    """A ceiling."""
    return Proposal(source=source, reason=reason, priority=5, newer_ms=0, ceiling_w=watts, event_id=f"cap{watts:g}")


def aim(watts: float, *, priority: int = 5, newer: int = 0, reason: Reason = R.FOLLOWING) -> Proposal:
    """A set-point."""
    name = "" if reason is R.OVERRIDE else f"aim{watts:g}"
    return Proposal(source="grid", reason=reason, priority=priority, newer_ms=newer, target_w=watts, event_id=name)


RATING = cap(1_000.0, R.SITE_RATING, "site")


@dataclass(frozen=True)
class Row:
    """One line of the ledger."""

    name: str
    wishes: tuple[Proposal, ...]
    target: float
    ceiling: float
    reason: Reason
    shortfall: float = 0.0
    lost: tuple[tuple[str, Reason], ...] = ()
    guarded: bool = False


LEDGER = [
    Row("no set-point: run to the ceiling", (RATING,), 1_000, 1_000, R.SITE_RATING),
    Row("the smallest of all ceilings counts", (RATING, cap(700), cap(400), cap(900)), 400, 400, R.LIMITED),
    Row("a set-point below the ceiling decides", (RATING, cap(700), aim(500)), 500, 700, R.FOLLOWING),
    Row(
        "a set-point above the ceiling is clamped",
        (RATING, cap(400), aim(500)),
        400,
        400,
        R.LIMITED,
        100,
        (("aim500", R.ABOVE_LIMIT),),
    ),
    Row(
        "the lower priority number wins",
        (RATING, aim(500, priority=3), aim(600, priority=1)),
        600,
        1_000,
        R.FOLLOWING,
        lost=(("aim500", R.LOWER_PRIORITY),),
    ),
    Row(
        "among equals the newest wins",
        (RATING, aim(500, newer=2), aim(600, newer=1)),
        500,
        1_000,
        R.FOLLOWING,
        lost=(("aim600", R.LOWER_PRIORITY),),
    ),
    Row(
        "an emergency beats every priority",
        (RATING, aim(600, priority=0), aim(0, priority=9, reason=R.EMERGENCY)),
        100,
        1_000,
        R.EMERGENCY,
        lost=(("aim600", R.LOWER_PRIORITY),),
    ),
    Row(
        "an operator beats the grid's set-points, never its limits",
        (RATING, cap(700), aim(500, priority=0), aim(900, priority=-1, reason=R.OVERRIDE)),
        700,
        700,
        R.LIMITED,
        200,
        (("aim500", R.LOWER_PRIORITY), ("", R.ABOVE_LIMIT)),
    ),
    Row("zero is zero watts, not unlimited", (RATING, cap(0)), 0, 0, R.LIMITED),
    Row("less than the site cannot shed is raised to it", (RATING, aim(20)), 100, 1_000, R.FOLLOWING),
    Row("without a meter a guard is kept below every ceiling", (RATING, cap(400)), 380, 380, R.LIMITED, guarded=True),
]


@pytest.mark.parametrize("row", LEDGER, ids=lambda row: row.name)
def test_arbitration(row: Row) -> None:
    budget = arbitrate(row.wishes, RULES, guarded=row.guarded)
    assert (budget.target_w, budget.ceiling_w, budget.shortfall_w) == (row.target, row.ceiling, row.shortfall)
    assert budget.reason is row.reason
    assert tuple((wish.event_id, wish.reason) for wish in budget.lost) == row.lost


@pytest.mark.parametrize("row", LEDGER[:8], ids=lambda row: row.name)
def test_the_order_of_wishes_does_not_matter(row: Row) -> None:
    budgets = {arbitrate(wishes, RULES, guarded=row.guarded) for wishes in permutations(row.wishes)}
    assert len(budgets) == 1
