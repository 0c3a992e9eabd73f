"""The schedule file as a signal source: watched for changes, a bad file keeps the last good one."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from farmctl.core.grid import Ack, EventState
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S
from farmctl.errors import ConfigError, StoreError
from farmctl.ports.grid import Inbox, Notice, Receipt, Refusal, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake import listing, standing
from farmctl.signals._intake.desk import sequence_state
from farmctl.signals._intake.listing import Change
from farmctl.signals._intake.standing import Standing
from farmctl.signals.schedule.entries import BadScheduleError, Schedule, read_schedule
from farmctl.signals.schedule.occurrences import Occurrence, event_of, occurrences

log = structlog.get_logger()

LOOK_S = 2.0
"""How often the file is looked at, and due entries are stated."""
RESTATE_MS = 300 * MS_PER_S
"""A set-point that lost to a better one is ended by the core; while its entry holds it is stated again this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """Which file, and what the site can bear."""

    name: str
    path: Path
    rating_w: float
    timezone: str = "UTC"
    """Zone of times that name none, where the file names none either."""


class ScheduleSource:
    """A SignalSource without a link: it never counts as the grid's voice.  Raises ConfigError for a bad rating.

    It hears its own acks (Uplink) to know what was superseded.
    """

    def __init__(self, config: ScheduleConfig, clock: Clock) -> None:
        if not config.rating_w > 0:
            raise ConfigError(f"schedule {config.name!r}: rating_w is {config.rating_w}, expected more than 0")
        self.name = config.name
        self.fault = ""
        """Why the file as it is now is not used; empty: it is."""
        self.digest = ""
        """SHA-256 of the file in force; empty: none was ever good."""
        self._config = config
        self._clock = clock
        self._schedule = Schedule()
        self._standing = Standing()
        self._seen: tuple[int, int, int] | None = None
        self._superseded: set[str] = set()
        self._restated_at = 0

    async def run(self, inbox: Inbox) -> None:
        """Look and state until cancelled."""
        await self._recall(inbox)
        while True:
            try:
                await self._look(inbox)
                await self._state(inbox)
            except StoreError as fault:
                log.error("grid_signal_not_stored", source=self.name, fault=str(fault))  # noqa: TRY400 - the text says it all
            await self._clock.sleep(LOOK_S)

    async def ack(self, ack: Ack) -> None:
        """Remember what was superseded, to state it again."""
        if ack.source == self.name and ack.state is EventState.SUPERSEDED:
            self._superseded.add(ack.event_id)

    async def telemetry(self, telemetry: Telemetry) -> None:
        """A file has no use for it."""

    async def site_state(self, state: SiteState) -> None:
        """A file has no use for it."""

    async def _recall(self, inbox: Inbox) -> None:
        """What the last run knew, and the last good file: the one on disk may be bad by now."""
        self._standing = standing.from_bytes(await inbox.state(sequence_state(self.name)))
        raw = await inbox.state(self._file_state)
        if raw is not None:
            try:
                self._schedule = read_schedule(raw, self._config.path.name, timezone=self._config.timezone)
                self.digest = hashlib.sha256(raw).hexdigest()
            except BadScheduleError as fault:
                log.warning("schedule_stored_unreadable", source=self.name, fault=str(fault))

    async def _look(self, inbox: Inbox) -> None:
        """Read the file where it changed.  Raises StoreError: then it is read again."""
        try:
            stamp, raw = await asyncio.to_thread(_read_changed, self._config.path, self._seen)
        except OSError as error:
            await self._bad(f"{self._config.path}: {error.strerror or error}", b"", inbox)
            self._seen = None
            return
        if raw is None:
            return
        digest = hashlib.sha256(raw).hexdigest()
        try:
            schedule = read_schedule(raw, self._config.path.name, timezone=self._config.timezone)
        except BadScheduleError as fault:
            await self._bad(str(fault), raw, inbox)
            self._seen = stamp
            return
        if digest != self.digest:
            topic = f"{self._config.path}#sha256:{digest}"
            states = {self._file_state: raw}
            await inbox.note(Notice(source=self.name, topic=topic, what="schedule", raw=raw, states=states))
            log.info("schedule_read", source=self.name, entries=len(schedule.entry), sha256=digest)
        self._schedule, self.digest, self.fault, self._seen = schedule, digest, "", stamp

    async def _bad(self, fault: str, raw: bytes, inbox: Inbox) -> None:
        """The last good file holds; said and journalled once per fault."""
        if fault == self.fault:
            return
        log.warning("schedule_bad", source=self.name, fault=fault, kept=self.digest)
        refusal = Refusal(
            source=self.name,
            topic=str(self._config.path),
            reason=Reason.BAD_FIELD,
            detail=fault,
            ack=None,
            raw=raw,
        )
        await inbox.refuse(refusal)
        self.fault = fault

    async def _state(self, inbox: Inbox) -> None:
        now_ms = self._clock.now_ms()
        if now_ms // RESTATE_MS != self._restated_at:
            self._restated_at = now_ms // RESTATE_MS
            for event_id in self._superseded:
                self._standing = self._standing.without_event(event_id)
            self._superseded.clear()
        found = occurrences(self._schedule, now_ms)
        for occurrence in found:
            pair = listing.next_pair(self._standing)
            event = event_of(occurrence, source=self.name, rating_w=self._config.rating_w, pair=pair, now_ms=now_ms)
            change = listing.put(self._standing, event, occurrence.digest, now_ms)
            if change is not None:
                await self._accept(change, self._raw(occurrence), inbox)
        listed = {occurrence.event_id for occurrence in found}
        for change in listing.gone(self._standing, listed, source=self.name, now_ms=now_ms):
            await self._accept(change, b"", inbox)

    async def _accept(self, change: Change, raw: bytes, inbox: Inbox) -> None:
        states = {sequence_state(self.name): standing.to_bytes(change.standing)}
        topic = str(self._config.path)
        await inbox.accept(Receipt(source=self.name, topic=topic, message=change.message, raw=raw, states=states))
        self._standing = change.standing

    def _raw(self, occurrence: Occurrence) -> bytes:
        """The entry and the file that it stands in, for the journal."""
        entry = occurrence.entry.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps({"sha256": self.digest, "entry": entry}, sort_keys=True).encode()

    @property
    def _file_state(self) -> str:
        return f"signals.{self.name}.file"


def _read_changed(path: Path, seen: tuple[int, int, int] | None) -> tuple[tuple[int, int, int], bytes | None]:
    """Its stamp, and its content where the stamp is a new one."""
    found = path.stat()
    stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
    return stamp, None if stamp == seen else path.read_bytes()
