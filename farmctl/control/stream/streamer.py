"""Turns pictures into revisions, at most twice a second, and only while somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from farmctl.control.stream.image import Lists, WireImage, changes, snapshot
from farmctl.control.stream.ring import Revision, Ring
from farmctl.control.wire import ApiError
from farmctl.ports.control import SitePicture

PERIOD_S = 0.5
"""Deltas are coalesced to 2 Hz (OPERATIONS section 3)."""
WATCHED_S = 30.0
"""A snapshot is followed by a watch within this time, so revisions are kept for so long without a client."""


class Streamer:
    """One chain of revisions for every client."""

    def __init__(
        self,
        latest: Callable[[], SitePicture | None],
        listed: Callable[[SitePicture], Lists],
        draw: Callable[[SitePicture, Lists], WireImage],
        aside: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> None:
        """`listed` is quick and called on the loop; `draw` is called off it, by way of `aside`, one at a time."""
        self.ring = Ring()
        self.closing = False
        self.watchers = 0
        self._latest = latest
        self._listed = listed
        self._draw = draw
        self._aside = aside
        self._image: WireImage | None = None
        self._whole: tuple[int, bytes] = (-1, b"")
        self._news = asyncio.Event()
        self._one = asyncio.Lock()
        self._wanted_s = 0.0
        self._kept_s = 0.0

    async def run(self) -> None:
        """Make revisions until cancelled; idle, and without memory, while nobody wants them."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PERIOD_S)
            if self.watchers or loop.time() < self._wanted_s:
                self._kept_s = loop.time() + WATCHED_S
                await self.refresh()
            elif loop.time() > self._kept_s and self._image is not None:
                await self._forget()

    async def snapshot(self) -> bytes:
        """The newest revision whole, encoded once and shared. Raises ApiError 503 before the first cycle."""
        self._wanted_s = asyncio.get_running_loop().time() + WATCHED_S
        await self.refresh()
        async with self._one:
            image = self._image
            if image is None:
                raise ApiError(503, "no cycle has run yet", hint="try again in a second")
            if self._whole[0] != image.rev:
                made: list[bytes] = []
                await self._aside(lambda: made.append(snapshot(image)))
                self._whole = (image.rev, made[0])
            return self._whole[1]

    async def refresh(self) -> None:
        """Take the latest picture into the chain, where it is a new one."""
        async with self._one:
            picture = self._latest()
            before = self._image
            if picture is None or (before is not None and before.picture is picture):
                return
            lists = self._listed(picture)
            made: list[WireImage] = []
            told: list[dict[str, bytes]] = []

            def work() -> None:
                made.append(self._draw(picture, lists))
                if before is not None and before.epoch == made[0].epoch:
                    told.append(changes(before, made[0]))

            await self._aside(work)
            self._image = made[0]
            if told:
                self.ring.push(Revision(rev=made[0].rev, topics=told[0]))
            else:
                self.ring.restart(made[0].rev)
            self._tell()

    async def _forget(self) -> None:
        """Drop the last minutes: they are megabytes, and whoever comes now begins with a snapshot."""
        async with self._one:
            if not self.watchers and self._image is not None:
                self._image, self._whole = None, (-1, b"")
                self.ring.restart(-1)

    async def news(self, timeout_s: float) -> None:
        """Wait for the next revision, the end, or the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    @property
    def image(self) -> WireImage | None:
        """The newest revision."""
        return self._image

    def close(self) -> None:
        """Send every watcher home."""
        self.closing = True
        self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits now; who waits later waits for the next one."""
        self._news.set()
        if not self.closing:
            self._news = asyncio.Event()
