"""The figures of the tracking benchmark on small farms: five-minute base points and a four-second signal."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._regulation import SHIPPED, score, signal
from benchmarks.track import MIXES, base_points, regulation
from simulators.traces import regulation as generator
from tests.scenarios.site import Farm, farm

pytestmark = pytest.mark.slow


def _site(mix: str) -> Farm:
    site = farm(120, ladders=MIXES[mix], feeders=3, aux_w=12_000.0)
    site.warmth[:] = 1.0 + 0.03 * np.sin(np.arange(120))
    return site


@pytest.mark.parametrize("mix", ["luxos", "luxos+stock", "luxos+whatsminer"])
def test_base_points_are_followed_within_half_a_percent(mix: str) -> None:
    assert base_points(_site(mix)).mean <= 0.5


def test_they_are_followed_with_devices_that_report_10_percent_too_little() -> None:
    site = _site("luxos")
    site.bias[:] = 0.9
    assert base_points(site).mean <= 0.5


def test_a_four_second_signal_is_followed_within_3_percent() -> None:
    error, terms = regulation(_site("luxos"), minutes=8)
    assert error <= 3.0
    assert terms.composite >= 0.75


def test_the_signal_is_neutral_bounded_and_the_same_every_time() -> None:
    first = signal(40)
    assert SHIPPED.read_text(encoding="utf-8") == generator.text()
    assert len(first) == 600
    assert np.abs(first).max() <= 1.0 + 1e-9
    assert abs(first.mean()) < 0.05


def test_a_perfect_answer_scores_one_and_a_late_one_loses_delay_only() -> None:
    asked = np.repeat(signal(40), 4)
    assert score(asked, asked).composite == pytest.approx(1.0)
    late = score(asked, np.roll(asked, 60))
    assert late.delay == pytest.approx(0.8)
    assert late.correlation > 0.99
