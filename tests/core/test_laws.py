"""Laws that hold for every policy, on any farm, tree and state of knowledge."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from farmctl.core.circuits import ancestors_at, depths, node_load_w
from farmctl.core.confirm import confirm, nominal_w, top_step
from farmctl.core.draft import planned_w
from farmctl.core.fleet import FleetTable
from farmctl.core.grid import EventClass
from farmctl.core.memory import Memory, RowMemory, Standing
from farmctl.core.moves import downward
from farmctl.core.plug import BOUNDS, at_the_plug, taught
from farmctl.core.policies import POLICIES
from farmctl.core.reasons import ORDER, Reason
from farmctl.core.step import Decision, step
from farmctl.core.units import FloatColumn, MaskColumn
from tests.core.worlds import NOW_MS, World, order, worlds

LAW = settings(max_examples=40, deadline=None)
EPSILON_W = 1e-3
policies = pytest.mark.parametrize("policy", sorted(POLICIES))
shares = st.floats(0.0, 1.2)


def _asked(world: World, share: float, event_class: EventClass = EventClass.LIMIT) -> World:
    full_w = float(nominal_w(world.view, top_step(world.view)).sum())
    return world.asked(order(limit_w=share * full_w, event_class=event_class))


def _decide(world: World, policy: str) -> Decision:
    return step(world.memory, world.view, NOW_MS, policy)[1]


def _raised(decision: Decision) -> MaskColumn:
    wanted = decision.seen.rows.wanted
    return (decision.allocation.step > wanted) & (wanted >= 0)


def _hash_hs(world: World, decision: Decision) -> float:
    book, ladder, step_of = world.view.ladders, world.view.table.ladder, decision.allocation.step
    return float(book.hash_rate_hs[ladder, np.maximum(step_of, 0)][ladder >= 0].sum())


def _worst_w(world: World, decision: Decision) -> FloatColumn:
    """Every row at the worst of what it draws, what it was told before and what it is told now.

    A settled row that is told nothing new draws what was measured, whatever its ladder promises.
    """
    seen = decision.seen
    told = seen.movable & ((decision.allocation.step != seen.rows.wanted) | (seen.rows.standing != Standing.SETTLED))
    planned_w = np.where(told, nominal_w(world.view, decision.allocation.step), 0.0)
    return np.maximum(np.maximum(seen.counted_w, seen.power_now_w), planned_w)


def _in_force_w(world: World, decision: Decision) -> FloatColumn:
    """Every node's rating less what meters at it and below show beyond the miners; its present load where its meter
    is silent; no more than its lightest sibling phase and the stated imbalance. Node by node, as a person would.
    """
    tree = world.view.circuits
    load_w = node_load_w(tree, world.view.table.node, decision.seen.counted_w)
    rating_w, beyond_w = tree.rating_w.copy(), np.zeros(len(load_w))
    for n in range(len(load_w) - 1, 0, -1):
        if tree.metered is not None and tree.metered[n]:
            if not np.isnan(tree.meter_w[n]):
                beyond_w[n] = max(tree.meter_w[n] - load_w[n], beyond_w[n])
            elif np.isfinite(rating_w[n]):
                rating_w[n] = min(max(rating_w[n] - beyond_w[n], 0.0), load_w[n]) + beyond_w[n]
        rating_w[n] = max(rating_w[n] - beyond_w[n], 0.0)
        beyond_w[tree.parent[n]] += beyond_w[n]
    if tree.phase is not None and tree.imbalance_w is not None:
        for n in range(1, len(load_w)):
            alike = (tree.parent == tree.parent[n]) & (tree.phase >= 0)
            if tree.phase[n] >= 0:
                rating_w[n] = min(rating_w[n], load_w[alike].min() + tree.imbalance_w[tree.parent[n]])
    return rating_w


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_nothing_is_raised_under_a_node_that_could_then_stand_above_its_rating(
    policy: str, world: World, share: float
) -> None:
    asked = _asked(world, share)
    decision = _decide(asked, policy)
    tree, node = world.view.circuits, world.view.table.node
    worst_w = node_load_w(tree, node, _worst_w(asked, decision))
    rose = node_load_w(tree, node, _raised(decision).astype(np.float64)) > 0
    assert not (rose & (worst_w > _in_force_w(world, decision) + EPSILON_W)).any()


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_nothing_is_raised_while_the_site_could_then_stand_above_its_ceiling(
    policy: str, world: World, share: float
) -> None:
    asked = _asked(world, share)
    decision = _decide(asked, policy)
    if _raised(decision).any():
        worst_w = decision.site.unexplained_w + float(_worst_w(asked, decision).sum())
        assert worst_w <= decision.budget.ceiling_w + EPSILON_W
        assert decision.allocation.planned_w <= decision.budget.target_w + EPSILON_W


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_a_node_is_planned_above_its_rating_only_when_nothing_under_it_can_give_way(
    policy: str, world: World, share: float
) -> None:
    decision = _decide(_asked(world, share), policy)
    view, allocation = world.view, decision.allocation
    tree, node = view.circuits, view.table.node
    load_w = node_load_w(tree, node, allocation.plan_w)
    above = np.flatnonzero(load_w > _in_force_w(world, decision) + EPSILON_W)
    may_give = decision.seen.movable & ~view.table.protected & ~allocation.min_on & (allocation.step > 0)
    for n in above:
        under = ancestors_at(tree, int(depths(tree)[n]))[node] == n
        assert not (under & may_give).any()


@policies
@LAW
@given(world=worlds())
def test_no_row_gives_up_more_than_it_draws(policy: str, world: World) -> None:
    decision = _decide(world, policy)
    seen, view = decision.seen, world.view
    step, plan_w = np.maximum(seen.rows.wanted, 0).astype(np.int64), planned_w(seen)
    moves = downward(
        view, step, POLICIES[policy], may_throttle=seen.movable, may_sleep=seen.movable, soon_s=np.inf,
        trim_soon_s=np.inf, waking=np.zeros(len(step), dtype=np.bool_), wear=seen.rows.cycles, plan_w=plan_w,
    )  # fmt: skip
    given_up_w = np.bincount(moves.row, weights=moves.power_w, minlength=len(plan_w))
    assert (given_up_w <= plan_w + EPSILON_W).all()


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_the_site_is_planned_above_its_target_only_when_nothing_can_give_way(
    policy: str, world: World, share: float
) -> None:
    decision = _decide(_asked(world, share), policy)
    allocation = decision.allocation
    slack_w = max(0.003 * decision.budget.target_w, 60.0)
    if allocation.planned_w > decision.budget.target_w + slack_w:
        may_give = decision.seen.movable & ~world.view.table.protected & ~allocation.min_on & (allocation.step > 0)
        assert not may_give.any()


@policies
@LAW
@given(world=worlds(well=True, instruments=True), low=shares, more=shares)
def test_more_budget_never_plans_less_hash_rate_beyond_one_step_of_one_miner(
    policy: str, world: World, low: float, more: float
) -> None:
    plans = [_decide(_asked(world, share), policy) for share in (low, low + more)]
    # A circuit that is too full is relieved by whoever sleeps in time under a deadline, by the last tier without one.
    assume(plans[0].budget.urgent == plans[1].budget.urgent or len(set(world.view.table.tier.tolist())) == 1)
    small, large = (_hash_hs(world, plan) for plan in plans)
    ladder = world.view.table.ladder
    one_step = float(world.view.ladders.hash_rate_hs[ladder].max()) if len(ladder) else 0.0
    assert large >= small - one_step
    assert plans[1].allocation.planned_w >= plans[0].allocation.planned_w - 6_000.0


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_the_same_inputs_give_the_same_bits_and_are_not_written_to(policy: str, world: World, share: float) -> None:
    asked = _asked(world, share)
    before = {f.name: getattr(asked.memory.rows, f.name).copy() for f in fields(RowMemory)}
    first_memory, first = step(asked.memory, asked.view, NOW_MS, policy)
    memory, second = step(asked.memory, asked.view, NOW_MS, policy)
    assert first.commands == second.commands
    assert first.budget == second.budget
    for name in (f.name for f in fields(RowMemory)):
        assert getattr(memory.rows, name).tobytes() == getattr(first_memory.rows, name).tobytes()
        assert getattr(asked.memory.rows, name).tobytes() == before[name].tobytes()


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_every_row_that_is_not_at_full_says_why(policy: str, world: World, share: float) -> None:
    decision = _decide(_asked(world, share), policy)
    below = decision.allocation.step < top_step(world.view)
    reasons = [ORDER[int(code)] for code in decision.reasons[below]]
    assert Reason.FULL not in reasons


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_a_row_that_cannot_be_commanded_gets_no_command_and_counts_at_what_it_draws(
    policy: str, world: World, share: float
) -> None:
    decision = _decide(_asked(world, share), policy)
    table = world.view.table
    commanded = {command.miner for command in decision.commands}
    watched = ~table.commandable | (table.ladder < 0)
    assert not commanded & set(table.miner_id[watched])
    assert (decision.allocation.plan_w[watched] == decision.seen.power_now_w[watched]).all()


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_minimum_times_are_kept_except_in_an_emergency(policy: str, world: World, share: float) -> None:
    decision = _decide(_asked(world, share), policy)
    rows, rules, step_of = decision.seen.rows, world.view.rules, decision.allocation.step
    young = (rows.on_since_ms >= 0) & (NOW_MS - rows.on_since_ms < rules.min_on_s * 1_000) & (rows.wanted > 0)
    resting = (rows.off_since_ms >= 0) & (NOW_MS - rows.off_since_ms < rules.min_off_s * 1_000) & (rows.wanted == 0)
    assert not (young & (step_of == 0) & decision.seen.movable).any()
    assert not (resting & (step_of > 0)).any()


@policies
@LAW
@given(world=worlds(instruments=True))
def test_an_emergency_to_zero_lowers_every_movable_row_whatever_its_age_or_protection(
    policy: str, world: World
) -> None:
    decision = _decide(_asked(world, 0.0, EventClass.EMERGENCY), policy)
    assert (decision.allocation.step[decision.seen.movable] == 0).all()


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_an_observing_site_sends_nothing(policy: str, world: World, share: float) -> None:
    asked = _asked(world, share)
    watching = World(memory=asked.memory, view=replace(asked.view, armed=False))
    assert _decide(watching, policy).commands == ()


@policies
@LAW
@given(world=worlds(instruments=True), share=shares)
def test_a_site_that_may_not_raise_raises_nothing(policy: str, world: World, share: float) -> None:
    asked = _asked(world, share)
    decision = _decide(World(memory=asked.memory, view=replace(asked.view, may_raise=False)), policy)
    assert not _raised(decision).any()


@policies
@settings(max_examples=40, deadline=None)
@given(world=worlds(well=True, instruments=True), share=shares)
def test_the_same_command_is_not_given_twice_in_a_row(policy: str, world: World, share: float) -> None:
    asked = _asked(world, share)
    memory, first = step(asked.memory, asked.view, NOW_MS, policy)
    _, second = step(memory, replace(asked.view, inbox=()), NOW_MS + 500, policy)
    assert not {(c.miner, c.step) for c in first.commands} & {(c.miner, c.step) for c in second.commands}


@policies
@LAW
@given(world=worlds(instruments=True), share=st.sampled_from([0.0, 1.0]))
def test_a_fleet_that_was_never_heard_gets_no_command(policy: str, world: World, share: float) -> None:
    table = FleetTable.empty(len(world.view.table))
    table.miner_id[:] = world.view.table.miner_id
    table.ladder[:] = world.view.table.ladder
    memory = Memory.at_boot(table.miner_id, NOW_MS)
    silent = World(memory=memory, view=replace(world.view, table=table))
    assert _decide(_asked(silent, share), policy).commands == ()


@LAW
@given(world=worlds(instruments=True))
def test_a_meter_teaches_only_its_own_miners_and_never_away_from_what_it_shows(world: World) -> None:
    view = at_the_plug(world.view, world.memory.rows)
    tree, node = view.circuits, view.table.node
    seen = confirm(world.memory.rows, view, NOW_MS)
    after = taught(seen.rows, view, seen, NOW_MS, 1.0)
    told_w = seen.power_now_w * after.plug_ratio / seen.rows.plug_ratio
    metered = tree.metered if tree.metered is not None else np.zeros(len(tree.names), dtype=np.bool_)
    nearest = np.zeros(len(tree.names), dtype=np.int64)
    own_w = tree.meter_w.copy()
    for n in range(1, len(tree.names)):
        nearest[n] = n if metered[n] else nearest[tree.parent[n]]
        if metered[n]:
            own_w[nearest[tree.parent[n]]] -= tree.meter_w[n]
    assert (after.plug_ratio >= BOUNDS[0]).all()
    assert (after.plug_ratio <= BOUNDS[1]).all()
    for n in range(len(tree.names)):
        behind = nearest[node] == n
        if n == 0 or np.isnan(own_w[n]):
            assert (after.plug_ratio[behind] == seen.rows.plug_ratio[behind]).all()
        else:
            off_w = own_w[n] - np.array([seen.power_now_w[behind].sum(), told_w[behind].sum()])
            assert abs(off_w[1]) <= abs(off_w[0]) + EPSILON_W
