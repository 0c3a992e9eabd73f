from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farmctl.core.grid import Ack, EventClass, EventState, OnExpiry
from farmctl.signals._intake.duration import rfc3339, time_ms_of
from farmctl.signals.schedule import ScheduleConfig, ScheduleSource
from farmctl.signals.schedule.entries import BadScheduleError, read_schedule
from farmctl.signals.schedule.occurrences import occurrences
from tests.signals.notebook import HandClock, Notebook
from tests.signals.words import NOW_MS

MINUTE = 60_000
DATED = "limitKw = 5.0\nstart = 2026-11-23T10:00:00Z\nend = 2026-11-23T11:00:00Z\n"
EXAMPLES = Path(__file__).parents[2] / "configs" / "schedules"
GOOD = """
timezone = "Asia/Karachi"

[[entry]]
name = "night"
from = "22:00"
to = "06:00"
targetKw = 18500.0

[[entry]]
start = 2026-11-23T15:00:00
end = 2026-11-23T16:00:00
limitKw = 40000.0
priority = 5
"""


class Room:
    """A schedule on disk, its source and what it said."""

    def __init__(self, path: Path, notebook: Notebook, at_ms: int) -> None:
        self.path = path
        self.notebook = notebook
        self.clock = HandClock(at_ms)
        self.source = ScheduleSource(ScheduleConfig(name="plan", path=path, rating_w=25e6), self.clock)
        self.task: asyncio.Task[None] | None = None

    def write(self, text: str | None) -> bytes:
        """Replace the file, or remove it."""
        if text is None:
            self.path.unlink()
            return b""
        self.path.write_text(text)
        return text.encode()

    async def turn(self, by_ms: int = 0) -> None:
        assert self.task is not None
        await self.clock.turn(self.task, by_ms)


@contextlib.asynccontextmanager
async def opened(path: Path, notebook: Notebook | None = None, at_ms: int = NOW_MS) -> AsyncIterator[Room]:
    room = Room(path, notebook or Notebook(), at_ms)
    room.task = asyncio.create_task(room.source.run(room.notebook))
    try:
        await room.clock.first(room.task)
        yield room
    finally:
        room.task.cancel()
        await asyncio.gather(room.task, return_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(GOOD)
    return path


async def test_entries_become_events_a_day_ahead(file: Path) -> None:
    async with opened(file) as room:
        limit, night = room.notebook.put
        assert limit.event_id == "entry-1-20261123T100000Z"
        assert (limit.event_class, limit.on_expiry, limit.priority) == (EventClass.LIMIT, OnExpiry.SUBSCRIPTION, 5)
        assert limit.intervals[0].limit_w == 25e6
        assert night.event_class is EventClass.TARGET
        assert (rfc3339(night.start_ms), rfc3339(night.end_ms)) == ("2026-11-23T17:00:00Z", "2026-11-24T01:00:00Z")
        assert room.notebook.status is None
        await room.turn(by_ms=5 * MINUTE)
        assert len(room.notebook.put) == 2


async def test_a_changed_file_is_read_at_once_and_its_hash_is_journalled(file: Path) -> None:
    async with opened(file) as room:
        assert [room.source.digest in n.topic for n in room.notebook.notices] == [True]
        raw = room.write(GOOD.replace("18500.0", "9000.0").replace("[[entry]]\nstart", "[[entry]]\nname = 'x'\nstart"))
        await room.turn()
        assert [e.event_id for e in room.notebook.put[2:]] == ["x-20261123T100000Z", "night-20261123T170000Z"]
        assert room.notebook.put[-1].intervals[0].setpoint_w == 9e6
        assert room.notebook.deleted == ["entry-1-20261123T100000Z"]
        assert len(room.notebook.notices) == 2
        assert room.notebook.notices[1].raw == raw
        assert room.source.digest in room.notebook.receipts[2].raw.decode()


async def test_a_bad_file_keeps_the_last_good_one_also_across_a_restart(file: Path) -> None:
    async with opened(file) as room:
        good = room.source.digest
        room.write("[[entry]]\nfrom = 'late'\n")
        await room.turn()
        await room.turn()
        assert room.source.digest == good
        assert "plan.toml: entry.0.from" in room.source.fault
        assert len(room.notebook.refusals) == 1
        assert room.notebook.deleted == []
    again = Notebook()
    again.states.update(room.notebook.states)
    async with opened(file, again, at_ms=NOW_MS + 24 * 60 * MINUTE) as later:
        assert later.source.digest == good
        assert [e.event_id for e in again.put] == ["night-20261124T170000Z"]
        later.write(None)
        await later.turn()
        assert "plan.toml" in later.source.fault
        later.write(GOOD)
        await later.turn()
        assert later.source.fault == ""


async def test_what_was_stated_is_not_stated_again_by_the_next_run(file: Path) -> None:
    async with opened(file) as room:
        states = room.notebook.states
    again = Notebook()
    again.states.update(states)
    async with opened(file, again):
        assert again.put == []
        assert again.deleted == []


async def test_a_set_point_that_was_superseded_is_stated_again_while_it_holds(file: Path) -> None:
    async with opened(file, at_ms=time_ms_of("2026-11-23T20:01:00Z")) as room:
        [night, _] = room.notebook.put
        superseded = Ack(
            source="plan",
            event_id=night.event_id,
            msg_id=night.msg_id,
            epoch=0,
            seq=1,
            state=EventState.SUPERSEDED,
            code=7,
            reason="SUPERSEDED",
            at_ms=0,
        )
        await room.source.ack(superseded)
        await room.turn(by_ms=MINUTE)
        assert len(room.notebook.put) == 2
        await room.turn(by_ms=5 * MINUTE)
        assert [e.event_id for e in room.notebook.put[2:]] == [night.event_id]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("class = 'EMERGENCY'\nlimitKw = 5.0\nfrom = '10:00'\nto = '11:00'", "class"),
        ("limitKw = -5.0\nfrom = '10:00'\nto = '11:00'", "limitKw"),
        ("limitKw = nan\nfrom = '10:00'\nto = '11:00'", "limitKw"),
        ("limitKw = 'much'\nfrom = '10:00'\nto = '11:00'", "limitKw"),
        ("from = '10:00'\nto = '11:00'", "limitKw, targetKw or both"),
        ("limitKw = 5.0\nfrom = '10:00'", "either start and end, or from and to"),
        ("limitKw = 5.0\nfrom = '10:00'\nto = '10:00'", "another time"),
        ("limitKw = 5.0\nstart = 2026-11-23T10:00:00Z\nend = 2026-11-23T10:00:00Z", "after start"),
        ("limitKw = 5.0\nstart = 2026-11-23T10:00:00Z\nend = 2026-11-23T11:00:00", "zone"),
        ("limitKw = 5.0\ndays = ['monday']\nfrom = '10:00'\nto = '11:00'", "days"),
        ("limitKw = 5.0\nfrom = '10:00'\nto = '11:00'\nramp = 5", "ramp"),
        ("limitKw = 5.0\nfrom = '10:00'\nto = '11:00'\nrepeats = 'FREQ=DAILY'", "start and end beside it"),
        (DATED + "repeats = 'FREQ=HOURLY'", "FREQ"),
        (DATED + "repeats = 'FREQ=DAILY;BYSETPOS=1'", "BYSETPOS"),
        (DATED + "repeats = 'FREQ=WEEKLY;BYDAY=1MO'", "BYDAY"),
        (DATED + "repeats = 'FREQ=DAILY;COUNT=0'", "COUNT"),
        (DATED + "repeats = 'FREQ=DAILY;UNTIL=never'", "UNTIL"),
    ],
)
def test_a_bad_entry_is_named(entry: str, told: str) -> None:
    with pytest.raises(BadScheduleError, match=rf"plan.toml: entry.0.*{told}"):
        read_schedule(f"[[entry]]\n{entry}\n".encode(), "plan.toml", timezone="UTC")


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"[[entry", b'timezone = "Mars/Olympus"', b"entry = 5", b"x" * 2**21])
def test_a_file_that_is_no_schedule_is_refused(raw: bytes) -> None:
    with pytest.raises(BadScheduleError, match=r"plan\.toml"):
        read_schedule(raw, "plan.toml", timezone="UTC")


def test_json_lists_are_read_like_toml() -> None:
    entries = [
        {"start": "2026-11-23T10:05:00Z", "end": "2026-11-23T10:10:00+00:00", "targetKw": 5, "class": "ECONOMIC"}
    ]
    [found] = occurrences(read_schedule(json.dumps(entries).encode(), "plan.json", timezone="UTC"), NOW_MS)
    assert found.end_ms - found.start_ms == 5 * MINUTE


def test_a_night_across_the_change_of_clocks_is_an_hour_longer() -> None:
    raw = b"[[entry]]\nfrom = '22:00'\nto = '06:00'\ntargetKw = 1.0\n"
    schedule = read_schedule(raw, "plan.toml", timezone="Europe/Helsinki")
    found = occurrences(schedule, time_ms_of("2026-10-24T18:00:00Z"))
    assert (found[0].end_ms - found[0].start_ms) / (60 * MINUTE) == 9


def test_weekdays_and_whole_days_are_kept() -> None:
    raw = b"[[entry]]\ndays = ['tue']\nfrom = '00:00'\nto = '24:00'\nlimitKw = 1.0\n"
    schedule = read_schedule(raw, "plan.toml", timezone="UTC")
    [tuesday] = occurrences(schedule, NOW_MS)
    assert (rfc3339(tuesday.start_ms), rfc3339(tuesday.end_ms)) == ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=DAILY", ["23"]),
        ("FREQ=DAILY;INTERVAL=23", ["23"]),
        ("FREQ=DAILY;INTERVAL=2", []),
        ("FREQ=WEEKLY;BYDAY=MO,TH", ["23"]),
        ("RRULE:FREQ=WEEKLY", []),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", ["23"]),
        ("FREQ=WEEKLY;INTERVAL=3;BYDAY=MO", []),
        ("FREQ=DAILY;COUNT=24", ["23"]),
        ("FREQ=DAILY;COUNT=23", []),
        ("FREQ=DAILY;UNTIL=20261123", ["23"]),
        ("FREQ=DAILY;UNTIL=20261122T235959Z", []),
        ("FREQ=DAILY;BYMONTH=11", ["23"]),
        ("FREQ=DAILY;BYMONTH=12,1", []),
    ],
)
def test_a_calendar_rule_repeats_an_entry_at_its_time_of_day(rule: str, days: list[str]) -> None:
    raw = f"[[entry]]\nstart = 2026-10-31T11:00:00\nend = 2026-10-31T12:00:00\nrepeats = '{rule}'\nlimitKw = 1.0\n"
    found = occurrences(read_schedule(raw.encode(), "plan.toml", timezone="UTC"), NOW_MS)
    assert [rfc3339(o.start_ms)[8:10] for o in found] == days
    assert all(rfc3339(o.start_ms)[11:] == "11:00:00Z" for o in found)


def test_a_rule_keeps_the_time_of_day_across_the_change_of_clocks() -> None:
    raw = b"[[entry]]\nstart = 2026-10-20T10:00:00\nend = 2026-10-20T11:00:00\nrepeats = 'FREQ=DAILY'\nlimitKw = 1.0\n"
    schedule = read_schedule(raw, "plan.toml", timezone="Europe/Helsinki")
    summer, winter = (occurrences(schedule, time_ms_of(f"2026-10-{day}T00:30:00Z"))[0].start_ms for day in ("24", "26"))
    assert (rfc3339(summer)[11:], rfc3339(winter)[11:]) == ("07:00:00Z", "08:00:00Z")


@pytest.mark.parametrize("name", ["schedule.example.toml", "schedule.example.json"])
def test_the_shipped_examples_are_good(name: str) -> None:
    schedule = read_schedule((EXAMPLES / name).read_bytes(), name, timezone="UTC")
    assert len(schedule.entry) >= 3
