"""A small part of the run that drivers/README.md names: broken replies never break a driver."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.fuzz import CASES, TARGETS, fuzz


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_whatever_a_device_says_comes_out_as_a_reading_or_a_named_fault(target: str) -> None:
    if not (CASES / f"{TARGETS[target][1]}.json").is_file():
        pytest.skip(f"recording {TARGETS[target][1]} is not beside the checkout")
    outcome = asyncio.run(fuzz(target, 150, seed=7))
    assert outcome.uncaught == []
    assert outcome.readings > 0
