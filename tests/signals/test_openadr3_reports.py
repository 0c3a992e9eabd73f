from __future__ import annotations

from typing import Any

import pytest

from farmctl.core.grid import EventClass, GridEvent, Interval, SiteMode
from farmctl.core.model import Quality
from farmctl.ports.grid import Telemetry
from farmctl.signals.openadr3.metering import Metering
from farmctl.signals.openadr3.reports import Reporter

REPORTER = Reporter(client_name="ven-07", resource="site-07", rating_w=25e6)
MINUTE = 60_000


def event(intervals: int = 3, **changes: Any) -> GridEvent:
    parts = tuple(Interval(start_ms=k * 5 * MINUTE, end_ms=(k + 1) * 5 * MINUTE, limit_w=1.0) for k in range(intervals))
    plain: dict[str, Any] = {
        "event_id": "event-1",
        "msg_id": "m",
        "source": "utility",
        "issuer": "utility",
        "epoch": 0,
        "seq": 1,
        "event_class": EventClass.LIMIT,
        "priority": 0,
        "created_ms": 0,
        "expires_ms": parts[-1].end_ms,
        "intervals": parts,
        "respond_within_s": 60.0,
    }
    return GridEvent(**{**plain, **changes})


def seen(at_ms: int, power_w: float, quality: Quality = Quality.OK) -> Telemetry:
    return Telemetry(
        at_ms=at_ms,
        power_w=power_w,
        power_source="METER",
        quality=quality,
        setpoint_w=None,
        limit_w=None,
        min_w=0,
        max_w=0,
        up_available_w=0,
        down_available_w=0,
        ramp_up_w_per_s=0,
        ramp_down_w_per_s=0,
        hash_rate_hs=0,
        on=0,
        throttled=0,
        sleep=0,
        offline=0,
        mode=SiteMode.LIMITED,
        event_id="event-1",
        epoch=0,
        seq=1,
    )


def play(metering: Metering, until_ms: int, power_w: float = 6e6, step_ms: int = 2_000, since_ms: int = 0) -> list[Any]:
    found: list[Any] = []
    for at_ms in range(since_ms, until_ms + 1, step_ms):
        metering.sample(seen(at_ms, power_w))
        found += metering.due(at_ms)
    return found


def values(report: Any) -> list[tuple[int, Any, str]]:
    return [
        (i["id"], i["payloads"][0]["values"][0], i["payloads"][1]["values"][0])
        for i in report["resources"][0]["intervals"]
    ]


def test_by_default_one_report_covers_all_intervals_at_the_end() -> None:
    metering = Metering(REPORTER)
    metering.watch(event(), [{"payloadType": "DEMAND"}])
    [report] = play(metering, 16 * MINUTE)
    assert report["eventID"] == "event-1"
    assert values(report) == [(0, 6_000, "OK"), (1, 6_000, "OK"), (2, 6_000, "OK")]


def test_a_usage_report_per_interval_gives_its_energy() -> None:
    metering = Metering(REPORTER)
    metering.watch(event(), [{"payloadType": "USAGE", "numIntervals": 1, "repeat": -1}])
    reports = play(metering, 16 * MINUTE)
    assert [values(r) for r in reports] == [[(k, 500.0, "OK")] for k in range(3)]
    assert reports[0]["payloadDescriptors"][0]["units"] == "KWH"


def test_repeat_and_frequency_are_kept() -> None:
    metering = Metering(REPORTER)
    asked = {"payloadType": "DEMAND", "startInterval": 1, "numIntervals": 2, "frequency": 2, "repeat": 2}
    metering.watch(event(6), [asked])
    reports = play(metering, 31 * MINUTE)
    assert [[row[0] for row in values(r)] for r in reports] == [[0, 1], [2, 3]]


def test_a_gap_is_not_guessed_and_an_unmeasured_interval_is_missing() -> None:
    metering = Metering(REPORTER)
    metering.watch(event(), [{"payloadType": "USAGE", "numIntervals": 1, "repeat": -1}])
    first = play(metering, 2 * MINUTE)
    later = play(metering, 16 * MINUTE, since_ms=11 * MINUTE)
    rows = [values(r)[0] for r in first + later]
    assert rows[0][1] == pytest.approx(6_000 * 130 / 3_600)
    assert [row[2] for row in rows] == ["ESTIMATED", "MISSING", "ESTIMATED"]


def test_a_sum_of_miners_is_not_reported_as_a_good_meter() -> None:
    metering = Metering(REPORTER)
    metering.watch(event(1), [{"payloadType": "DEMAND"}])
    found: list[Any] = []
    for at_ms in range(0, 6 * MINUTE, 2_000):
        metering.sample(seen(at_ms, 6e6, Quality.ESTIMATED))
        found += metering.due(at_ms)
    assert values(found[0]) == [(0, 6_000, "ESTIMATED")]


def test_a_withdrawn_event_reports_what_was_measured_until_then() -> None:
    metering = Metering(REPORTER)
    metering.watch(event(), [{"payloadType": "USAGE"}])
    play(metering, 5 * MINUTE)
    metering.withdraw("event-1", 5 * MINUTE)
    [report] = metering.due(5 * MINUTE + 1)
    assert values(report) == [(0, 500.0, "OK")]
    assert play(metering, 30 * MINUTE, since_ms=6 * MINUTE) == []


def test_what_cannot_be_measured_is_not_reported() -> None:
    metering = Metering(REPORTER)
    metering.watch(event(), [{"payloadType": "STORAGE_CHARGE_LEVEL"}, "rubbish", {"payloadType": 7}])
    assert play(metering, 16 * MINUTE) == []
