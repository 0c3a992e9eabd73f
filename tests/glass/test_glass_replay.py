"""The past in the same screens: decided anew from the recording, said to be the past, and never able to order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import count, product
from pathlib import Path
from typing import Any, Protocol

import pytest

from farmctl.errors import FarmError, RefusedError
from farmctl.tui.keys import KEYS
from farmctl.wiring.past import PastError
from farmctl.wiring.replaying import ReplayFeed, open_replay
from tests.glass.taped import Tape


class Sit(Protocol):
    def __call__(self, *size: int, **how: object) -> AbstractAsyncContextManager[Any]: ...


async def until(question: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        for _ in count():
            if question():
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tape = Tape(monkeypatch)
    tape.day.event("first", setpoint_w=0.7 * tape.day.rated_w, for_s=40)
    tape.day.run(50)
    tape.day.event("second", limit_w=0.5 * tape.day.rated_w, for_s=40)
    tape.day.run(30)
    return await tape.write(tmp_path)


async def test_the_keys_move_through_the_recording_and_every_cycle_is_decided_anew(sit: Sit, journal: Path) -> None:
    async with sit(past=lambda wanted: open_replay(journal, journal.parent, wanted)) as seat:
        await seat.press("T", "enter")
        await until(lambda: seat.app.glass is not seat.app.live and seat.app.glass.latest is not None)
        past: ReplayFeed = seat.app.glass.player
        first = past.playhead.first_ms
        past.pace(0.0)
        await seat.settle()
        assert "REPLAY 2" in seat.text()
        past.go(first + 35_000)
        await until(lambda: seat.app.glass.latest.at_ms == first + 35_000)
        image = seat.app.glass.latest
        assert past.playhead.proved >= 35
        assert (image.strip.site, image.strip.mode, len(image.ids)) == ("site-07", "FOLLOWING", 60)
        assert [(alarm.id, alarm.state) for alarm in image.alarms] == [("signal_stale@site", "UNACK")]
        assert [(job.owner, job.verb) for job in image.jobs] == [("operator1", "stop_all")]
        assert len(seat.app.glass.trace.at_s) == 36
        for key, moved_s in (("comma", -1), ("comma", -2), ("full_stop", -1), ("right_square_bracket", 45)):
            await seat.strike(key)
            at_ms = first + (35 + moved_s) * 1_000
            await until(lambda at_ms=at_ms: seat.app.glass.latest.at_ms == at_ms)  # type: ignore[misc]  # bound now
        assert seat.app.glass.latest.alarms == ()
        await seat.press("T")
        assert seat.app.glass is seat.app.live
        assert "REPLAY" not in seat.text()


async def test_a_replay_can_order_nothing_whatever_is_pressed(sit: Sit, journal: Path) -> None:
    async with sit(past=lambda wanted: open_replay(journal, journal.parent, wanted), role="engineer") as seat:
        await seat.press("colon")
        await seat.type("replay second")
        await seat.press("enter")
        await until(lambda: seat.app.glass is not seat.app.live and seat.app.glass.latest is not None)
        seat.app.glass.player.pace(0.0)
        for page, key in product(("miners", "alarms"), KEYS):
            if not (key.orders or key.past or key.id in ("order.menu", "go.into")):
                continue
            if seat.app.glass.page != page:
                seat.app.action_page(page)
            await seat.strike(key.key)
            while seat.app.screen is not seat.app.glass:
                await seat.strike("enter")
                await seat.strike("escape")
            if seat.app.glass.prompt.open:
                await seat.strike("escape")
        assert seat.feed.orders == []
        await seat.press("x")
        assert "(this is the past)" in seat.text()
        await seat.press("escape", "colon")
        await seat.type("stop-all --reason test")
        await seat.press("enter")
        assert seat.app.screen is seat.app.glass
        assert seat.feed.orders == []
        with pytest.raises(RefusedError, match="the past"):
            await seat.app.glass.feed.ask("POST", "/v1/commands", {})


async def test_a_replay_begins_where_it_is_told_or_says_what_is_recorded(journal: Path, tmp_path: Path) -> None:
    whole = await open_replay(journal, journal.parent)
    head = whole.playhead
    assert head.at_ms == head.first_ms
    event = await open_replay(journal, journal.parent, "second")
    assert event.playhead.at_ms == head.first_ms + 50_000 - 30_000
    for wanted, words in (("2020-01-01", "not recorded; expected"), ("once upon", "expected an event of the journal")):
        with pytest.raises(PastError, match=words):
            await open_replay(journal, journal.parent, wanted)
    with pytest.raises(FarmError, match="journal of a controller"):
        await open_replay(tmp_path / "none.db", tmp_path)


async def test_without_a_recording_within_reach_the_glass_says_how_to_see_one(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("T", "enter")
        (said,) = seat.app._notifications
        assert "no recording within reach" in said.message
        assert seat.app.glass is seat.app.live
