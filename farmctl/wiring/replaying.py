"""A recorded stretch behind the Feed port: the glass shows it as it shows a live site, and can order nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from typing_extensions import override

from farmctl.control.past import moment_ms
from farmctl.control.sieve import fitting
from farmctl.control.strip import Site
from farmctl.control.wire import ApiError
from farmctl.core.units import MS_PER_S, MaskColumn
from farmctl.errors import RefusedError
from farmctl.ports.feed import FleetImage, LinkState
from farmctl.ports.replay import PastFeed, Playhead
from farmctl.ports.series import SETTLEMENT_FACTS
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.store.places import Place, open_reader
from farmctl.store.reader import SqlReader
from farmctl.wiring.past import PastError
from farmctl.wiring.reel import Reel
from farmctl.wiring.replay_alarms import KINDS, JournalPast

FRAME_S = 0.25
"""Images while it plays: the glass paints no more often."""
BEAT_S = 1.0
"""The same image again while nothing moves: silence would look like a lost link."""
LEAD_MS = 30_000
"""So long before an event the replay begins."""
LOOKED_BACK = 300_000
"""Records of the journal that alarms and orders are looked for in."""
_MINER = re.compile(r"/v1/miners/([^/]+)(/why)?")
_UP = LinkState(up=True, age_s=0.0, attempt=0, why="")
Done = TypeVar("Done")


class ReplayFeed(PastFeed):
    """One person's way through a recording."""

    def __init__(self, reel: Reel, span_ms: tuple[int, int], at_ms: int) -> None:
        self._reel = reel
        self._span_ms = span_ms
        self._at_ms = at_ms
        self._speed = 1.0
        self._busy = False
        self._image: FleetImage | None = None
        self._wanted_ms: int | None = at_ms
        self._steps = 0
        self._moved = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")

    @property
    @override
    def playhead(self) -> Playhead:
        first_ms, last_ms = self._span_ms
        return Playhead(
            at_ms=self._at_ms,
            first_ms=first_ms,
            last_ms=last_ms,
            speed=self._speed,
            busy=self._busy,
            proved=self._reel.proved,
            fault=self._reel.fault,
        )

    @override
    def go(self, at_ms: int) -> None:
        self._wanted_ms = min(max(at_ms, self._span_ms[0]), self._span_ms[1])
        self._moved.set()

    @override
    def step(self, cycles: int) -> None:
        self._speed = 0.0
        self._steps += cycles
        self._moved.set()

    @override
    def pace(self, speed: float) -> None:
        self._speed = speed
        self._moved.set()

    @override
    def trend(self) -> Mapping[str, Sequence[float | None]]:
        trend = self._reel.trend
        return {"at_ms": [*trend.at_ms], "power_w": [*trend.power_w], "target_w": [*trend.target_w]}

    @override
    async def run(self, on_image: Callable[[FleetImage], None], on_link: Callable[[LinkState], None]) -> None:
        on_link(_UP)
        try:
            while True:
                image = await self._next()
                self._image = image or self._image
                if self._image is not None:
                    on_image(self._image)
                with suppress(TimeoutError):
                    async with asyncio.timeout(FRAME_S if self._speed else BEAT_S):
                        await self._moved.wait()
                self._moved.clear()
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _next(self) -> FleetImage | None:
        """What to show now; None: the same as before."""
        wanted_ms, self._wanted_ms = self._wanted_ms, None
        steps, self._steps = self._steps, 0
        shown = self._image
        if wanted_ms is not None:
            self._at_ms = wanted_ms
            return await self._aside(lambda: self._reel.at(wanted_ms))
        if steps and shown is not None:
            image = await self._aside(lambda: self._reel.beside(shown, steps))
            self._at_ms = self._at_ms if image is None else image.at_ms
            return image
        if not self._speed:
            return None
        at_ms = min(self._at_ms + int(FRAME_S * self._speed * MS_PER_S), self._span_ms[1])
        if at_ms == self._at_ms:
            self._speed = 0.0
        self._at_ms = at_ms
        return await self._aside(lambda: self._reel.at(at_ms))

    async def _aside(self, work: Callable[[], Done]) -> Done:
        self._busy = True
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._busy = False

    @override
    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        if method != "GET":
            raise RefusedError("this is the past: nothing can be ordered")
        if path == "/v1/whoami":
            return {"uid": -1, "name": "replay", "role": "viewer"}
        found, shown = _MINER.fullmatch(path), self._image
        if found is None or shown is None:
            raise RefusedError("this is the past: only what was recorded can be seen")
        miner, why = unquote(found[1]), bool(found[2])
        return await self._aside(lambda: self._reel.about(shown, miner, why=why))

    @override
    def matching(self, image: FleetImage, text: str) -> MaskColumn:
        return fitting(image, text)


async def open_replay(journal: Place, folder: Path, wanted: str = "") -> ReplayFeed:
    """A replay of the recording in `folder` that begins at an event, at a moment, or (empty) with its first cycle.

    A moment is `16:32` (UTC, today), `2h` (ago) or a date and time. Raises PastError, StoreError.
    """
    await asyncio.to_thread(_must_be, journal)
    reader = await open_reader(journal)
    try:
        inventory = await reader.inventory()
        told = JournalPast.of(await _records(reader))
        site = await _site(reader, folder.name)
        event_ms = await _event_ms(reader, wanted) if wanted else None
    finally:
        await reader.close()
    reel = Reel(folder, inventory, told, site)
    span_ms = await asyncio.to_thread(reel.span_ms)
    if span_ms is None:
        raise PastError(f"{folder}: nothing is recorded here; the recording is kept for two days")
    at_ms = span_ms[0] if not wanted else event_ms if event_ms is not None else _moment_ms(wanted, span_ms[1])
    if not span_ms[0] - LEAD_MS <= at_ms <= span_ms[1]:
        raise PastError(
            f"{wanted}: {_told(at_ms)} is not recorded; expected {_told(span_ms[0])} to {_told(span_ms[1])}"
        )
    return ReplayFeed(reel, span_ms, max(at_ms, span_ms[0]))


async def _records(reader: SqlReader) -> list[StoredRecord]:
    head = await reader.head()
    after = max((head.seq if head is not None else 0) - LOOKED_BACK, 0)
    return [stored async for stored in reader.records(after_seq=after, kinds=KINDS)]


async def _site(reader: SqlReader, otherwise: str) -> Site:
    """The site's name and zone, as its newest run told settlement."""
    name, zone = otherwise, "UTC"
    async for stored in reader.records(kinds=frozenset({RecordKind.CONFIG})):
        body = stored.record.body
        if body.get("what") == SETTLEMENT_FACTS:
            name, zone = str(body["site"]), str(body.get("timezone") or zone)
    return Site(name=name, timezone=zone)


async def _event_ms(reader: SqlReader, event_id: str) -> int | None:
    """A little before the event became active; None where no such event is remembered."""
    found: int | None = None
    async for stored in reader.records(kinds=frozenset({RecordKind.EVENT})):
        body = stored.record.body
        if event_id in (body.get("event"), body.get("id"), body.get("event_id")):
            found = stored.record.at_ms if found is None or body.get("state") == "ACTIVE" else found
    return None if found is None else found - LEAD_MS


def _moment_ms(text: str, now_ms: int) -> int:
    """Raises PastError."""
    today = datetime.fromtimestamp(now_ms / MS_PER_S, tz=UTC).date().isoformat()
    try:
        return moment_ms(f"{today}T{text}" if text[:2].isdecimal() and text[2:3] == ":" else text, "replay", now_ms)
    except ApiError:
        raise PastError(
            f"replay {text!r}: expected an event of the journal, 16:32, 2h (ago) or a date and time"
        ) from None


def _must_be(journal: Place) -> None:
    if isinstance(journal, Path) and not journal.is_file():
        raise PastError(f"{journal}: expected the journal of a controller")


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / MS_PER_S, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
