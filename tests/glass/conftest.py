"""A glass on a synthetic site, with a clock that stands still until it is told to go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.events import Paste
from textual.pilot import Pilot
from typing_extensions import override

from benchmarks._glass import SyntheticFeed
from farmctl.tui.app import FarmApp


@dataclass(slots=True)
class Seat:
    """Somebody at the glass."""

    app: FarmApp
    feed: SyntheticFeed
    pilot: Pilot[None]
    clock: list[float]

    async def press(self, *keys: str) -> None:
        """Press keys, and let what they cause happen."""
        for key in keys:
            await self.pilot.press(key)
        await self.settle()

    async def strike(self, key: str) -> None:
        """Press one key that types nothing; a third of the time that `press` takes."""
        self.app.simulate_key(key)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Put text into the field that has the keyboard, as a terminal pastes it: all at once."""
        self.app.post_message(Paste(text))
        await self.settle()

    async def settle(self) -> None:
        """Until nothing more is to be done; workers of orders and previews included."""
        await self.pilot.pause()
        for worker in list(self.app.workers):
            if worker.name not in ("feed", "replay"):
                await worker.wait()
        await self.pilot.pause()

    async def wait(self, seconds: float) -> None:
        """Time passes, without anybody waiting."""
        self.clock[0] += seconds
        self.app.glass.frame()
        await self.settle()

    async def hear(self) -> None:
        """One more image arrives and is shown."""
        self.feed.push()
        self.app.glass.flush()
        await self.settle()

    def text(self) -> str:
        """The screen as text; the one place that knows Textual's compositor."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)


async def examined() -> list[dict[str, str]]:
    """What a doctor finds on a synthetic site."""
    return [
        {"check": "socket and role", "level": "ok", "found": "answers in 2 ms as operator", "fix": ""},
        {"check": "file handles", "level": "warn", "found": "1,024 for 300 miners", "fix": "LimitNOFILE=65536"},
    ]


Sit = Callable[..., AbstractAsyncContextManager[Seat]]


@pytest.fixture
def sit() -> Sit:
    """Take a seat: size, miners, role."""

    @asynccontextmanager
    async def seated(
        width: int = 120,
        height: int = 36,
        *,
        miners: int = 300,
        role: str = "operator",
        programme: Any = None,
        **how: Any,
    ) -> AsyncIterator[Seat]:
        clock = [100.0]
        feed = SyntheticFeed(miners, role=role)
        feed.programme = programme
        app = FarmApp(feed, now_s=lambda: clock[0], doctor=examined, **how)
        async with app.run_test(size=(width, height)) as pilot:
            seat = Seat(app=app, feed=feed, pilot=pilot, clock=clock)
            await seat.settle()
            yield seat

    return seated


class Screen(SingleFileSnapshotExtension):
    """One text file per screen, to be read as it is."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

    @override
    def serialize(self, data: Any, **_: Any) -> str:
        return str(data)


@pytest.fixture
def drawn(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """The screen as it was drawn before."""
    return snapshot.use_extension(Screen)
