"""Many sites under one figure: bounds are hard, rules are declared, and the whole never makes a big step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._programme_site import day, moved, programme
from farmctl.core.programme.governor import Manners, ProgrammeMemory, Wanted, govern, wait_s
from farmctl.core.programme.sites import Bounds, Curve, Site, Terms, bounds
from farmctl.core.programme.split import Rule, Split, split

MW = 1e6
WATTS = st.floats(0, 1e6)


def site(name: str, *, price: float = 1.0, full_w: float = 100.0, drawn_w: float = 50.0, points: int = 3) -> Site:
    curve = Curve(power_w=np.linspace(0.0, full_w, points), marginal_hs_per_w=np.full(points, price))
    return Site(
        name=name, curve=curve, confirmed_w=drawn_w, age_s=1.0, granted_w=drawn_w, up_w_per_s=100.0, down_w_per_s=100.0
    )


def shared(
    sites: tuple[Site, ...], figure_w: float, rule: Rule = Rule.COST, turn: int = 0
) -> tuple[Split, dict[str, float]]:
    told = split(sites, {each.name: bounds(each, Terms()) for each in sites}, figure_w, rule, turn)
    return told, {share.site: round(share.share_w, 6) for share in told.shares}


THREE = (site("a", price=1.0), site("b", price=3.0), site("c", price=2.0, full_w=200.0))


@pytest.mark.parametrize(
    ("rule", "turn", "wanted"),
    [
        (Rule.COST, 0, {"a": 0.0, "b": 100.0, "c": 100.0}),
        (Rule.PRO_RATA, 0, {"a": 50.0, "b": 50.0, "c": 100.0}),
        (Rule.ROTATION, 0, {"a": 100.0, "b": 100.0, "c": 0.0}),
        (Rule.ROTATION, 1, {"a": 0.0, "b": 100.0, "c": 100.0}),
        (Rule.ROTATION, 2, {"a": 0.0, "b": 0.0, "c": 200.0}),
    ],
)
def test_each_rule_shares_the_same_figure_out_in_its_own_way(rule: Rule, turn: int, wanted: dict[str, float]) -> None:
    told, shares = shared(THREE, 200.0, rule, turn)
    assert shares == wanted
    assert (told.short_w, told.over_w) == (0.0, 0.0)


@pytest.mark.parametrize("rule", Rule)
def test_a_veto_a_floor_a_ramp_and_a_silent_site_are_hard_and_each_share_says_why(rule: Rule) -> None:
    sites = (
        replace(site("floor", price=0.1), floor_w=30.0),
        replace(site("ramp", price=9.0), up_w_per_s=1.0),
        replace(site("stale", price=0.1), age_s=99.0, granted_w=70.0),
        replace(site("veto", price=9.0), veto_w=20.0, floor_w=40.0),
    )
    told, shares = shared(sites, 400.0, rule)
    assert (shares["ramp"], shares["stale"], shares["veto"]) == (60.0, 70.0, 20.0)
    assert {share.site: share.why for share in told.shares}["ramp"] == "ramp_up"
    assert told.short_w == 400.0 - sum(shares.values())
    low, shares = shared(sites, 0.0, rule)
    assert shares == {"floor": 30.0, "ramp": 0.0, "stale": 70.0, "veto": 20.0}
    assert {share.site: share.why for share in low.shares} == {
        "floor": "floor", "ramp": "least", "stale": "stale", "veto": "veto",
    }  # fmt: skip
    assert low.over_w == 120.0


def test_an_emergency_takes_floors_and_ramps_away_but_no_more_than_the_site_can() -> None:
    slow = replace(site("a"), floor_w=40.0, down_w_per_s=0.1)
    assert bounds(slow, Terms()).low_w == 49.0
    assert bounds(slow, Terms(), emergency=True).low_w == 0.0


@given(
    rows=st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.lists(st.floats(0.01, 9), min_size=1, max_size=5)),
        max_size=8,
    ),
    figure=st.floats(0, 1e7),
    rule=st.sampled_from(Rule),
    turn=st.integers(0, 20),
)
def test_no_split_leaves_the_bounds_or_the_figure_and_the_order_of_the_sites_changes_nothing(
    rows: list[tuple[float, float, list[float]]], figure: float, rule: Rule, turn: int
) -> None:
    sites, ranges = [], {}
    for number, (one_w, other_w, prices) in enumerate(rows):
        low_w, high_w = sorted((one_w, other_w))
        curve = Curve(power_w=np.linspace(0, 1e6, len(prices)), marginal_hs_per_w=np.array(prices))
        sites.append(replace(site(f"s{number}"), curve=curve))
        ranges[f"s{number}"] = Bounds(low_w=low_w, high_w=high_w, low_why="least", high_why="full")
    told = split(sites, ranges, figure, rule, turn)
    for share in told.shares:
        assert ranges[share.site].low_w - 1e-6 <= share.share_w <= ranges[share.site].high_w + 1e-6
    least_w, most_w = (sum(getattr(each, end) for each in ranges.values()) for end in ("low_w", "high_w"))
    assert told.total_w == pytest.approx(min(max(figure, least_w), most_w), abs=1e-3)
    again = split(sites[::-1], ranges, figure, rule, turn)
    assert {share.site: share.share_w for share in again.shares} == {share.site: share.share_w for share in told.shares}


def test_a_programme_released_at_once_rises_by_steps_and_every_site_after_its_own_wait() -> None:
    sites, manners = programme(57, 570_000), Manners(step_w=300 * MW, window_s=60.0, spread_s=120.0)
    full_w = sum(each.max_w for each in sites)
    assert full_w == pytest.approx(1_995 * MW)
    cut = Wanted(figure_w=0.1 * full_w, event="cut", emergency=True)
    story = [cut] * 60 + [Wanted(figure_w=full_w, event="up")] * 540
    totals = list(day(sites, manners, story))
    for column in (0, 1):
        watts = np.array([row[column] for row in totals])
        assert watts[59] == pytest.approx(0.1 * full_w)
        spans = np.lib.stride_tricks.sliding_window_view(watts[59:], 60)
        assert (spans.max(axis=1) - spans.min(axis=1)).max() <= 300 * MW + 1
        assert watts[-1] == pytest.approx(full_w, rel=1e-6)
    waits = sorted(wait_s("up", each.name, 120.0) for each in sites)
    assert waits[0] < 12.0
    assert waits[-1] > 108.0
    assert waits != sorted(wait_s("another", each.name, 120.0) for each in sites)


def test_a_fall_is_a_step_too_unless_it_is_an_emergency() -> None:
    sites, manners = programme(5, 50_000), Manners(step_w=10 * MW, window_s=60.0)
    full_w = sum(each.max_w for each in sites)
    _, told = govern(ProgrammeMemory(), sites, Wanted(figure_w=0.0, event="x"), manners, 0.0)
    assert told.total_w == pytest.approx(full_w - 10 * MW)
    assert told.over_w == pytest.approx(told.total_w)
    _, told = govern(ProgrammeMemory(), sites, Wanted(figure_w=0.0, event="x", emergency=True), manners, 0.0)
    assert told.total_w == sum(each.min_w for each in sites)


def test_a_receiver_waits_until_the_giver_has_confirmed_and_a_cut_site_lifts_nothing() -> None:
    giver, taker = replace(site("a", price=1.0, drawn_w=100.0), down_w_per_s=10.0), site("b", price=9.0, drawn_w=0.0)
    manners, figure = Manners(step_w=1e9, window_s=1.0), Wanted(figure_w=100.0, event="x")
    memory = ProgrammeMemory()
    most_w = 0.0
    for second in range(60):
        memory, told = govern(memory, (giver, taker), figure, manners, float(second))
        giver, taker = (
            moved(each, share.share_w, 1.0) for each, share in zip((giver, taker), told.shares, strict=True)
        )
        if second == 3:
            giver = replace(giver, age_s=99.0, confirmed_w=60.0, granted_w=60.0)
        most_w = max(most_w, giver.confirmed_w + taker.confirmed_w)
    assert most_w <= 100.0 + 1e-6
    assert taker.confirmed_w == pytest.approx(40.0)


@pytest.mark.parametrize("spoke_s", [0, 5])
def test_a_site_that_is_not_heard_holds_no_other_site_down_and_moves_nothing_when_it_speaks(spoke_s: int) -> None:
    """As after a restart of headquarters beside a dead site: it draws nothing that is known and was granted much."""
    dead = replace(site("dead", drawn_w=0.0), age_s=float("inf"), granted_w=90.0)
    lives = site("lives", full_w=100.0, drawn_w=70.0)
    manners, figure = Manners(step_w=20.0, window_s=10.0), Wanted(figure_w=180.0, event="x")
    memory, shares = ProgrammeMemory(), list[float]()
    for second in range(60):
        seen = lives if second >= spoke_s else replace(lives, age_s=float("inf"), confirmed_w=0.0)
        memory, told = govern(memory, (dead, seen), figure, manners, float(second))
        lives = moved(lives, told.shares[1].share_w, 1.0)
        shares.append(told.shares[1].share_w)
    assert min(shares) >= 70.0 - 1e-6
    assert shares[-1] == pytest.approx(90.0)


def test_a_site_that_falls_silent_leaves_the_others_where_they_were() -> None:
    sites = (site("a", drawn_w=60.0), replace(site("b", drawn_w=65.0), granted_w=83.0))
    manners, figure = Manners(step_w=10.0, window_s=20.0), Wanted(figure_w=143.0, event="x")
    memory = ProgrammeMemory()
    for second in range(40):
        silent = replace(sites[1], age_s=99.0 if second > 10 else 1.0)
        memory, told = govern(memory, (sites[0], silent), figure, manners, float(second))
        assert told.shares[0].share_w >= 60.0 - 1e-6, second
