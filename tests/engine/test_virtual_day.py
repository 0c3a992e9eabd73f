"""A day in virtual time: the real core, modelled devices, and a judge who sees the true power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from farmctl.core.grid import SiteMode
from farmctl.engine.virtual.day import Paces, Site, Turn, VirtualDay
from farmctl.engine.virtual.daybook import DaybookError, parse_daybook
from farmctl.engine.virtual.devices import World
from farmctl.engine.virtual.signals import Script
from tests.scenarios.day import START_MS, Day, farm, ladder

HEADER = "t_s,kind,name,target_pu,limit_pu,duration_s,lead_s,class,respond_within_s\n"
LADDERS = (ladder("quick", j_per_th=17.0), ladder("stock", throttle=False, down_s=60.0, up_s=120.0, j_per_th=29.0))


def played(text: str, *, miners: int = 60, world: World | None = None, **rules: Any) -> tuple[VirtualDay, list[Turn]]:
    """A day of `text` on a small mixed site."""
    plain = Day(farm(miners, ladders=LADDERS, feeders=2), **rules)
    rated_w = plain.rated_w * 1.05
    entries = parse_daybook((HEADER + text).splitlines(keepends=True), "day.csv", rated_w)
    day = VirtualDay(
        site=Site(
            table=plain.table,
            book=plain.farm.book,
            groups=("a", "b"),
            circuits=plain.farm.tree,
            rules=plain.rules,
            policy="efficiency_first",
            seed=5,
            world=world or World(deaf_share=0.0, silent_share=0.0),
        ),
        script=Script(start_ms=START_MS, entries=entries),
        end_ms=START_MS + round((max(entry.end_s for entry in entries) + 30.0) * 1_000),
        paces=Paces.of(miners),
    )
    plain.table.seen_ms[:] = -1
    plain.table.power_w[:] = np.nan
    return day, list(day.play())


def test_base_points_are_followed_and_judged_by_the_true_power() -> None:
    day, turns = played("0,create,a,0.8,,300,10,TARGET,60\n300,create,b,0.6,,300,10,TARGET,60\n")
    assert [(story["id"], story["state"]) for story in day.ledger.events()] == [("a", "COMPLETED"), ("b", "COMPLETED")]
    tracking = day.ledger.tracking()
    assert tracking["mean_error_pct"] is not None
    assert tracking["mean_error_pct"] < 0.5
    assert len(turns) < 640  # quiet stretches are skipped


def test_the_same_seed_plays_the_same_day() -> None:
    text = "0,create,a,0.7,,120,5,TARGET,60\n"
    first, second = (played(text)[1] for _ in range(2))
    assert [turn.decision.commands for turn in first] == [turn.decision.commands for turn in second]
    assert [turn.power_w for turn in first] == [turn.power_w for turn in second]


def test_a_limit_is_kept_and_a_broken_one_would_be_counted() -> None:
    day, _ = played("30,create,cap,,0.5,300,0,LIMIT,120\n")
    assert day.ledger.violations == 0
    defiant, _ = played("30,create,cap,,0.5,300,0,LIMIT,120\n", world=World(deaf_share=1.0))
    assert defiant.ledger.violations > 10


def test_a_lost_link_ends_at_the_firm_level_and_its_orders_are_never_heard() -> None:
    day, turns = played(
        "10,create,a,0.8,,60,0,TARGET,60\n40,link_lost,,,,,,,\n120,create,b,0.9,,400,0,TARGET,60\n",
        failsafe_limit_w=60_000.0,
    )
    assert "b" not in day.ledger.stories
    assert turns[-1].decision.mode is SiteMode.FAILSAFE
    assert turns[-1].power_w <= 61_000.0


def test_a_lost_meter_is_guarded() -> None:
    _, turns = played("10,create,cap,,0.6,300,0,LIMIT,120\n100,meter_lost,,,,,,,\n")
    last = next(turn for turn in turns if turn.decision.at_ms >= START_MS + 300_000)
    assert not last.decision.site.metered
    assert last.power_w <= last.decision.budget.ceiling_w / 0.95


def test_every_fault_of_a_day_is_listed_with_its_line() -> None:
    text = "0,create,a,,,300,,TARGET,\nx,create,b,0.5,,,,,\n5,shout,c,0.5,,,,,\n6,create,d,0.5,,,,URGENT,\n"
    with pytest.raises(DaybookError) as fault:
        parse_daybook((HEADER + text).splitlines(keepends=True), "day.csv", 1e6)
    for words in (
        "day.csv:2: create: expected a target or a limit",
        "day.csv:3: t_s 'x'",
        "day.csv:4: kind",
        "day.csv:5: class",
    ):
        assert words in str(fault.value)
    with pytest.raises(DaybookError, match="no order named 'ghost' came before"):
        parse_daybook((HEADER + "5,delete,ghost,,,,,,\n").splitlines(keepends=True), "day.csv", 1e6)
    with pytest.raises(DaybookError, match="unknown column 'when'"):
        parse_daybook(["when,kind\n", "1,create\n"], "day.csv", 1e6)
