"""A few of the histories at every push; `python -m tests.dst --seeds 1000` runs as many as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from farmctl.engine import cycle
from tests.dst.mutants import MUTANTS, Mutant
from tests.dst.run import run_history

SEEDS = range(1, 5)
MUTANT_SEEDS = range(1, 9)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.parametrize("seed", SEEDS)
def test_no_law_is_broken_whatever_fails(seed: int) -> None:
    outcome = run_history(seed)
    assert not outcome.broken, f"python -m tests.dst --first {seed} --seeds 1"
    assert outcome.faults > 50
    assert outcome.commands > 30


def test_a_large_fleet_whose_cycle_leaves_the_loop_is_decided_and_remembered_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cycle, "OFF_LOOP_ROWS", 0)
    outcome = run_history(SEEDS[0])
    assert not outcome.broken
    assert outcome.commands > 30


def test_the_same_seed_is_the_same_history() -> None:
    assert run_history(7, minutes=8.0) == run_history(7, minutes=8.0)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_bug_made_by_hand_breaks_a_law(mutant: Mutant) -> None:
    with mutant.alive():
        assert any(run_history(seed).broken for seed in MUTANT_SEEDS), mutant.name
