"""Orders and their idempotency keys, kept over restarts: a repeated key gets the first answer and acts only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from farmctl.control.jobs import RESTARTED, Job, JobBook
from farmctl.control.wire import ApiError
from farmctl.core.units import MS_PER_S
from farmctl.ports.store import Store

log = structlog.get_logger(__name__)

LEDGER_STATE = "control.ledger"
KEY_LIFE_S = 24 * 3600.0
MOST_KEYS = 10_000
KEPT_KEYS = 1_000
KEPT_JOBS = 200
"""What a restart remembers: one order writes all of it, some 100 kB at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command was answered with."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key that was used."""

    uid: int
    key: str
    meaning: str
    """Hash of the body."""
    at_ms: int
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    jobs: tuple[Job, ...]
    open: tuple[str, ...]
    entries: tuple[Entry, ...]


_KEPT: TypeAdapter[_Kept] = TypeAdapter(_Kept)


class Ledger:
    """The last orders and keys; `states` goes into the transaction of whatever changes it."""

    def __init__(self) -> None:
        self.jobs = JobBook()
        self._entries: OrderedDict[tuple[int, str], Entry] = OrderedDict()

    async def restore(self, store: Store) -> None:
        """Know what the last run knew; a ledger that cannot be read is said and begun anew."""
        data = await store.state(LEDGER_STATE)
        if data is None:
            return
        try:
            kept = _KEPT.validate_json(data)
        except ValidationError as error:
            log.warning("ledger_unreadable", error=str(error), effect="no key of the last run is known")
            return
        for job in kept.jobs:
            if job.work is not None and job.job_id in kept.open:
                job.work.give_up(RESTARTED)
            self.jobs.add(job, is_open=job.job_id in kept.open)
        self._entries.update({(entry.uid, entry.key): entry for entry in kept.entries})

    def known(self, uid: int, key: str | None, meaning: str, now_ms: int) -> Answer | None:
        """The first answer to a repeated order. Raises ApiError 409 where the key meant something else."""
        if key is None:
            return None
        oldest_ms = now_ms - KEY_LIFE_S * MS_PER_S
        while self._entries and next(iter(self._entries.values())).at_ms < oldest_ms:
            self._entries.popitem(last=False)
        before = self._entries.get((uid, key))
        if before is None:
            return None
        if before.meaning != meaning:
            message = f"idempotency_key {key}: it was used for another order"
            raise ApiError(409, message, field="idempotency_key", hint="take a new key for a new order")
        return before.answer

    def states(self, job: Job | None = None, entry: Entry | None = None) -> dict[str, bytes]:
        """The ledger as it will be with one more order, to become durable together with it."""
        jobs = [*reversed(self.jobs.latest(0, KEPT_JOBS)), *([job] if job is not None else [])]
        entries = [*self._entries.values()][-KEPT_KEYS:]
        kept = _Kept(
            jobs=tuple(replace(each, by=None if each.by is None else replace(each.by, along={})) for each in jobs),
            open=tuple(each.job_id for each in (*self.jobs.open, *([job] if job is not None else []))),
            entries=(*entries, *([entry] if entry is not None else [])),
        )
        return {LEDGER_STATE: _KEPT.dump_json(kept)}

    def note(self, job: Job, entry: Entry | None) -> None:
        """The order was taken."""
        self.jobs.add(job)
        if entry is None:
            return
        self._entries[entry.uid, entry.key] = entry
        while len(self._entries) > MOST_KEYS:
            self._entries.popitem(last=False)
