"""Numbers: what an event in kW and ISO 8601 becomes in W and ms."""

from __future__ import annotations

from typing import Any

import pytest

from farmctl.core.grid import EventClass
from farmctl.signals._intake.duration import OPEN_ENDED_MS, START_NOW, duration_ms_of, rfc3339, start_ms_of, time_ms_of
from tests.signals.words import NOW_MS, Desk, JsonObject, event

START_MS = NOW_MS + 60_000


def of(*payloads: tuple[str, list[Any]], **changes: Any) -> JsonObject:
    return event(payloads=[{"type": kind, "values": values} for kind, values in payloads], **changes)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("PT5M", 300_000),
        ("PT0S", 0),
        ("PT1.5S", 1_500),
        ("P1D", 86_400_000),
        ("P1W", 604_800_000),
        ("P1DT1H1M1S", 90_061_000),
        ("P1Y", 31_536_000_000),
        ("P9999Y", OPEN_ENDED_MS),
        ("P999999Y", OPEN_ENDED_MS),
    ],
)
def test_durations_are_read(text: str, ms: int) -> None:
    assert duration_ms_of(text) == ms


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "5M", "-PT5M", "P5", "PT5", "PT5M3", "P1H", "pt5m", "PT\u0665M", 5, None]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        duration_ms_of(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("1970-01-01T00:00:00Z", 0), ("2026-11-23T10:04:00Z", NOW_MS), ("2026-11-23T10:04:00.25Z", NOW_MS + 250)],
)
def test_times_are_read(text: str, ms: int) -> None:
    assert time_ms_of(text) == ms
    assert time_ms_of(rfc3339(ms)) == ms


@pytest.mark.parametrize(
    "text", ["2026-11-23T10:04:00", "2026-11-23 10:04:00Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", 1, None]
)
def test_what_is_no_utc_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        time_ms_of(text)


def test_the_year_one_means_now() -> None:
    assert start_ms_of("0001-01-01") == start_ms_of("0001-01-01T00:00:00Z") == START_NOW
    period = {"start": "0001-01-01T00:00:00", "duration": "PT5M"}
    assert Desk().accepts(event(intervalPeriod=period)).start_ms == NOW_MS


def test_kilowatts_become_watts_and_zero_is_zero() -> None:
    found = Desk().accepts(of(("IMPORT_CAPACITY_LIMIT", [0]), ("DISPATCH_SETPOINT", [18500.5])))
    assert (found.intervals[0].limit_w, found.intervals[0].setpoint_w) == (0.0, 18_500_500.0)
    assert found.intervals[0].subscription_w is None


def test_a_limit_above_the_rating_is_the_rating_but_a_setpoint_is_kept() -> None:
    found = Desk().accepts(of(("IMPORT_CAPACITY_LIMIT", [99_000]), ("DISPATCH_SETPOINT", [99_000])))
    assert (found.intervals[0].limit_w, found.intervals[0].setpoint_w) == (25e6, 99e6)


def test_several_values_share_the_interval_evenly() -> None:
    found = Desk().accepts(of(("IMPORT_CAPACITY_LIMIT", [3000, 2000, 1000])))
    assert [(i.start_ms - START_MS, i.end_ms - START_MS, i.limit_w) for i in found.intervals] == [
        (0, 100_000, 3e6),
        (100_000, 200_000, 2e6),
        (200_000, 300_000, 1e6),
    ]


def test_payloads_of_different_lengths_are_cut_where_either_changes() -> None:
    found = Desk().accepts(of(("IMPORT_CAPACITY_LIMIT", [2000, 1000]), ("PRICE", [1, 2, 3])))
    assert [(i.start_ms - START_MS, i.limit_w, i.price) for i in found.intervals] == [
        (0, 2e6, 1),
        (100_000, 2e6, 2),
        (150_000, 1e6, 2),
        (200_000, 1e6, 3),
    ]
    assert found.intervals[-1].end_ms == START_MS + 300_000


@pytest.mark.parametrize("parts", [1, 2, 7, 100, 288])
def test_each_value_has_its_turn_even_when_the_parts_are_uneven(parts: int) -> None:
    period = {"start": "2026-11-23T10:05:00Z", "duration": "PT0.997S"}
    found = Desk().accepts(of(("PRICE", list(range(parts))), intervalPeriod=period))
    assert [i.price for i in found.intervals] == list(range(parts))
    assert all(a.end_ms == b.start_ms for a, b in zip(found.intervals, found.intervals[1:], strict=False))


def test_intervals_follow_one_another_and_may_have_their_own_period() -> None:
    payloads = [{"type": "IMPORT_CAPACITY_LIMIT", "values": [1]}]
    intervals = [
        {"id": 0, "payloads": payloads},
        {"id": 1, "payloads": payloads, "intervalPeriod": {"duration": "PT1M"}},
        {"id": 2, "payloads": payloads, "intervalPeriod": {"start": "2026-11-23T10:15:00Z"}},
    ]
    found = Desk().accepts(event(intervals=intervals, x={"expiresAt": "2026-11-23T11:00:00Z"}))
    spans = [((i.start_ms - START_MS) // 60_000, (i.end_ms - START_MS) // 60_000) for i in found.intervals]
    assert spans == [(0, 5), (5, 6), (10, 15)]


def test_simple_levels_come_from_the_table_and_level_three_is_an_emergency() -> None:
    assert Desk().accepts(of(("SIMPLE", [1]))).intervals[0].limit_w == 15e6
    found = Desk().accepts(of(("SIMPLE", [3])))
    assert (found.event_class, found.intervals[0].limit_w) == (EventClass.EMERGENCY, 300e3)


@pytest.mark.parametrize(("offset", "power_w"), [(0, 25e6), (0.4, 15e6), (-0.4, 15e6), (1, 0.0)])
def test_an_offset_never_means_more_than_either_reading(offset: float, power_w: float) -> None:
    found = Desk().accepts(of(("CONTROL_LEVEL_OFFSET_PERCENT", [offset]), x={"class": "TARGET"}))
    assert found.intervals[0].setpoint_w == pytest.approx(power_w)


@pytest.mark.parametrize("kind", ["ALERT_GRID_EMERGENCY", "ALERT_BLACK_START"])
def test_an_alert_is_an_emergency_at_the_emergency_power(kind: str) -> None:
    found = Desk().accepts(of((kind, ["shed now"])))
    assert (found.event_class, found.intervals[0].limit_w) == (EventClass.EMERGENCY, 300e3)


def test_an_emergency_without_a_number_has_the_emergency_power() -> None:
    found = Desk().accepts(of(("PRICE", [1]), x={"class": "EMERGENCY"}))
    assert found.intervals[0].limit_w == 300e3


def test_a_reservation_is_granted_on_top_of_the_standing_allocation() -> None:
    assert Desk().accepts(of(("IMPORT_CAPACITY_SUBSCRIPTION", [6000]))).intervals[0].subscription_w == 6e6
    assert Desk().accepts(of(("IMPORT_CAPACITY_RESERVATION", [1000]))).intervals[0].subscription_w == 5e6
    both = of(("IMPORT_CAPACITY_SUBSCRIPTION", [6000]), ("IMPORT_CAPACITY_RESERVATION", [1000]))
    assert Desk().accepts(both).intervals[0].subscription_w == 7e6
    assert (
        Desk(subscription_w=None).accepts(of(("IMPORT_CAPACITY_RESERVATION", [9]))).intervals[0].subscription_w == 9e3
    )


def test_the_up_ramp_is_capped_by_the_site() -> None:
    found = Desk().accepts(event(x={"ramp": {"upKwPerMin": 60_000}}))
    assert found.ramp_up_w_per_s == 50e3
