from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.core.model import Quality
from farmctl.core.units import NEVER_MS
from farmctl.meters.quality import Doubt, History, Observed, Trust, Verdict, judge
from farmctl.wiring.meters import CIRCUIT_FLOOR

MW = 1e6
TRUST = Trust(min_w=-0.1 * MW, max_w=12 * MW, rated_w=10 * MW)


@dataclass(slots=True)
class Judged:
    """A meter that is asked once a second."""

    now_ms: int = 1_000_000
    history: History = field(default_factory=History)
    trust: Trust = TRUST

    def hear(self, power_w: float | None, fleet_w: float = math.nan, *, age_ms: int = 0) -> Verdict:
        self.now_ms += 1_000
        observed = Observed(power_w=power_w, at_ms=self.now_ms - age_ms)
        verdict = judge(self.history, observed, fleet_w, self.now_ms, self.trust)
        self.history = verdict.history
        return verdict


def test_a_fresh_value_in_range_is_ok() -> None:
    verdict = Judged().hear(8 * MW, 7.8 * MW)
    assert verdict.doubt is Doubt.NONE
    assert verdict.sample.quality is Quality.OK
    assert verdict.sample.power_w == 8 * MW
    assert verdict.sample.at_ms == 1_001_000


@pytest.mark.parametrize(
    ("power_w", "doubt", "quality"),
    [
        (None, Doubt.SILENT, Quality.MISSING),
        (math.nan, Doubt.SENTINEL, Quality.BAD),
        (12.1 * MW, Doubt.OUT_OF_RANGE, Quality.BAD),
        (-0.2 * MW, Doubt.OUT_OF_RANGE, Quality.BAD),
        (math.inf, Doubt.OUT_OF_RANGE, Quality.BAD),
        (12.0 * MW, Doubt.NONE, Quality.OK),
        (-0.1 * MW, Doubt.NONE, Quality.OK),
    ],
)
def test_each_value_has_one_doubt(power_w: float | None, doubt: Doubt, quality: Quality) -> None:
    verdict = Judged().hear(power_w)
    assert (verdict.doubt, verdict.sample.quality) == (doubt, quality)


@pytest.mark.parametrize(("age_ms", "quality"), [(3_000, Quality.OK), (3_001, Quality.MISSING)])
def test_a_value_is_fresh_for_three_seconds(age_ms: int, quality: Quality) -> None:
    assert Judged().hear(8 * MW, age_ms=age_ms).sample.quality is quality


def test_a_silent_meter_keeps_the_time_of_its_last_answer_and_no_watts() -> None:
    meter = Judged()
    assert meter.hear(None).sample.at_ms == NEVER_MS
    answered_ms = meter.hear(8 * MW).sample.at_ms
    silent = meter.hear(None).sample
    assert math.isnan(silent.power_w)
    assert silent.at_ms == answered_ms


def test_a_meter_that_repeats_itself_while_the_load_changes_is_frozen_after_thirty_seconds() -> None:
    meter = Judged()
    doubts = [meter.hear(8 * MW, (8 - 0.01 * second) * MW).doubt for second in range(60)]
    assert doubts[:31] == [Doubt.NONE] * 31
    assert doubts[31:] == [Doubt.FROZEN] * 29
    assert meter.hear(7.4 * MW, 7.4 * MW).doubt is Doubt.NONE


def test_a_meter_may_repeat_itself_while_the_load_stands_still() -> None:
    meter = Judged()
    assert {meter.hear(8 * MW, 7.9 * MW).doubt for _ in range(120)} == {Doubt.NONE}


def test_a_meter_may_repeat_itself_while_the_load_is_unknown() -> None:
    meter = Judged()
    assert {meter.hear(8 * MW).doubt for _ in range(120)} == {Doubt.NONE}


def test_a_lasting_mismatch_with_the_fleet_sum_is_bad() -> None:
    meter = Judged()
    wobble = [8 * MW + second for second in range(30)]
    doubts = [meter.hear(power_w, 6 * MW).doubt for power_w in wobble]
    assert doubts[:15] == [Doubt.NONE] * 15
    assert set(doubts[15:]) == {Doubt.OFF_FLEET_SUM}


def test_a_shed_is_no_mismatch_because_telemetry_trails_the_meter() -> None:
    meter = Judged()
    meter.hear(8 * MW, 8 * MW)
    trailing = [meter.hear(4 * MW + second, 8 * MW).doubt for second in range(14)]
    caught_up = [meter.hear(4 * MW + second, 4 * MW).doubt for second in range(30)]
    assert {*trailing, *caught_up} == {Doubt.NONE}


def test_a_mismatch_lasts_only_while_the_meter_is_heard() -> None:
    meter = Judged()
    assert meter.hear(4 * MW, 8 * MW).doubt is Doubt.NONE  # a shed that the miners have not told yet
    assert {meter.hear(None, 4 * MW).doubt for _ in range(40)} == {Doubt.SILENT}
    doubts = [meter.hear(8 * MW + second, 4 * MW).doubt for second in range(20)]
    assert doubts == [Doubt.NONE] * 15 + [Doubt.OFF_FLEET_SUM] * 5


def test_the_auxiliaries_of_a_sleeping_site_are_no_mismatch() -> None:
    meter = Judged()
    assert {meter.hear(0.9 * MW + second, 0.05 * MW).doubt for second in range(60)} == {Doubt.NONE}


def test_on_a_circuit_also_large_auxiliaries_are_believed_or_its_sleepers_could_never_wake() -> None:
    meter = Judged(trust=replace(TRUST, off_floor_fraction=CIRCUIT_FLOOR))
    assert {meter.hear(1.8 * MW + second, 0.05 * MW).doubt for second in range(60)} == {Doubt.NONE}
    assert meter.hear(4 * MW, 0.05 * MW).doubt is Doubt.NONE
    assert {meter.hear(4 * MW + second, 0.05 * MW).doubt for second in range(20)} == {Doubt.NONE, Doubt.OFF_FLEET_SUM}


def test_a_mismatch_of_a_quarter_is_still_believed() -> None:
    meter = Judged()
    assert {meter.hear(7.5 * MW, 6 * MW).doubt for _ in range(60)} == {Doubt.NONE}


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
            st.floats(allow_nan=True, allow_infinity=False),
        ),
        max_size=40,
    )
)
def test_whatever_a_meter_says_only_a_number_in_range_is_ok(said: list[tuple[float | None, float]]) -> None:
    meter = Judged()
    for power_w, fleet_w in said:
        sample = meter.hear(power_w, fleet_w).sample
        if sample.quality is Quality.OK:
            assert TRUST.min_w <= sample.power_w <= TRUST.max_w
        if power_w is None:
            assert sample.quality is Quality.MISSING
