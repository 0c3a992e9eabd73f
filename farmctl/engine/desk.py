"""The operator's desk: overrides, stop-all, maintenance, the lease; who ordered what and why, in the journal.

What is in force survives a restart: it is a named state, written in the same transaction as its record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from pydantic import TypeAdapter, ValidationError

from farmctl.core.model import Override
from farmctl.core.units import MS_PER_S
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.control import By, Lease
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, Store

log = structlog.get_logger(__name__)

DESK_STATE = "desk.orders"


class LeaseHeldError(RefusedError):
    """Another person holds manual authority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What operators have ordered, as it is stored."""

    stop_all: bool = False
    maintenance: bool = False
    maintained: tuple[str, ...] = ()
    """Containers in maintenance, sorted."""
    overrides: tuple[Override, ...] = ()
    lease: Lease | None = None


_STORED: TypeAdapter[InForce] = TypeAdapter(InForce)


class Desk:
    """What operators have ordered; the cycle reads it, the control API writes it."""

    def __init__(self, store: Store, clock: Clock, wake: asyncio.Event, *, armed: bool) -> None:
        """`armed` False is observe mode: nothing is ever sent."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._one = asyncio.Lock()
        self._in_force = InForce()
        self.armed = armed

    async def restore(self) -> None:
        """Put back in force what was so when the last run ended.

        Raises StoreError where it cannot be read: a stop that is not understood must not become a start.
        """
        data = await self._store.state(DESK_STATE)
        if data is None:
            return
        try:
            self._in_force = _STORED.validate_json(data)
        except ValidationError as error:
            message = f"state {DESK_STATE}: expected the operators' orders, got {data[:80]!r}"
            raise StoreError(message) from error
        if self.stop_all or self.maintenance or self.overrides:
            log.info(
                "orders_restored", stop_all=self.stop_all, maintenance=self.maintenance, overrides=len(self.overrides)
            )

    @property
    def stop_all(self) -> bool:
        """The whole site was told to sleep."""
        return self._in_force.stop_all

    @property
    def maintenance(self) -> bool:
        """Automatic starts are forbidden."""
        return self._in_force.maintenance

    @property
    def maintained(self) -> tuple[str, ...]:
        """Containers in which automatic starts are forbidden, sorted."""
        return self._in_force.maintained

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those that have not expired."""
        now_ms = self._clock.now_ms()
        return tuple(order for order in self._in_force.overrides if order.expires_ms > now_ms)

    @property
    def lease(self) -> Lease | None:
        """Who holds manual authority, None for nobody."""
        lease = self._in_force.lease
        return lease if lease is not None and lease.expires_ms > self._clock.now_ms() else None

    async def set_override(self, order: Override, by: By) -> None:
        """Take one on. Raises RefusedError without owner, reason or a future expiry, LeaseHeldError."""
        if not order.owner or not order.reason:
            raise RefusedError("override: expected an owner and a reason")
        if order.expires_ms <= self._clock.now_ms():
            raise RefusedError("override: expected an expiry in the future")
        self._must_lead(by)
        circuit = {"circuit": order.selector} if order.selector else {}
        miners: dict[str, list[JsonValue]] = {"miners": list(order.miners)} if order.miners else {}
        record = self._record(
            RecordKind.OVERRIDE, "set", by,
            id=order.override_id, target_w=order.target_w, expires_ms=order.expires_ms, **circuit, **miners,
        )  # fmt: skip
        await self._take(record, by, lambda now: replace(now, overrides=(*self.overrides, order)))

    async def release_override(self, override_id: str, by: By) -> None:
        """Let one go. Raises RefusedError for an unknown id, LeaseHeldError."""
        if all(order.override_id != override_id for order in self.overrides):
            message = f"override {override_id}: no such override is live"
            raise RefusedError(message)
        self._must_lead(by)
        record = self._record(RecordKind.OVERRIDE, "release", by, id=override_id)
        await self._take(
            record,
            by,
            lambda now: replace(now, overrides=tuple(o for o in now.overrides if o.override_id != override_id)),
        )

    async def set_stop_all(self, by: By, *, on: bool) -> None:
        """Stop the whole site, or permit it to run again; a stop counts even where it cannot be journalled."""
        if on:
            self._in_force = replace(self._in_force, stop_all=True)
            self._wake.set()
        else:
            self._must_lead(by)
        record = self._record(RecordKind.OPERATOR, "stop_all" if on else "stop_all_release", by)
        await self._take(record, by, lambda now: replace(now, stop_all=on))

    async def set_maintenance(self, by: By, *, on: bool, containers: Sequence[str] = ()) -> None:
        """Forbid automatic starts, or permit them again, in some containers or everywhere. Raises LeaseHeldError."""
        self._must_lead(by)
        verb = "maintenance" if on else "maintenance_release"
        record = self._record(RecordKind.OPERATOR, verb, by, containers=",".join(containers))
        some = frozenset(containers)

        def after(now: InForce) -> InForce:
            if not some:
                return replace(now, maintenance=on)
            kept = some | set(now.maintained) if on else set(now.maintained) - some
            return replace(now, maintained=tuple(sorted(kept)))

        await self._take(record, by, after)

    async def take_lease(self, by: By, expires_ms: int) -> Lease:
        """Hold manual authority, or hold it longer. Raises LeaseHeldError, RefusedError without a future end."""
        now_ms = self._clock.now_ms()
        if expires_ms <= now_ms:
            raise RefusedError("lease: expected an end in the future")
        self._must_lead(by)
        lease = Lease(owner=by.owner, uid=by.uid, reason=by.reason, taken_ms=now_ms, expires_ms=expires_ms)
        record = self._record(RecordKind.OPERATOR, "lease_taken", by, expires_ms=expires_ms)
        await self._take(record, by, lambda now: replace(now, lease=lease))
        return lease

    async def release_lease(self, by: By, *, anybodys: bool) -> None:
        """Give it back; with `anybodys` another person's too. Raises RefusedError, LeaseHeldError."""
        lease = self.lease
        if lease is None:
            raise RefusedError("lease: nobody holds it")
        if not anybodys:
            self._must_lead(by)
        record = self._record(RecordKind.OPERATOR, "lease_released", by, of=lease.owner)
        await self._take(record, by, lambda now: replace(now, lease=None))

    async def audit(self, verb: str, by: By, result: str) -> None:
        """Note an order that was refused, or what was done about one; best effort."""
        record = self._record(RecordKind.OPERATOR, verb, by, result=result)
        try:
            await self._store.append([record], by.along)
        except StoreError as error:
            log.warning("audit_not_journalled", verb=verb, owner=by.owner, result=result, error=str(error))

    async def note(self, verb: str, by: By, result: str) -> None:
        """Note an order before it is carried out by other hands. Raises LeaseHeldError, StoreError."""
        self._must_lead(by)
        await self._store.append([self._record(RecordKind.OPERATOR, verb, by, result=result)], by.along)

    def _must_lead(self, by: By) -> None:
        """While somebody holds the lease, nobody else steers; stopping is always allowed."""
        lease = self.lease
        if lease is not None and lease.uid != by.uid:
            until = datetime.fromtimestamp(lease.expires_ms / MS_PER_S, UTC).isoformat(timespec="seconds")
            message = f"the lease is held by {lease.owner} until {until}: {lease.reason}"
            raise LeaseHeldError(message)

    def _record(self, kind: RecordKind, verb: str, by: By, **figures: JsonValue) -> JournalRecord:
        body: dict[str, JsonValue] = {
            "verb": verb,
            "owner": by.owner,
            "reason": by.reason,
            "result": "ok",
            **by.told,
            **figures,
        }
        return JournalRecord(kind=kind, at_ms=self._clock.now_ms(), body=body)

    async def _take(self, record: JournalRecord, by: By, change: Callable[[InForce], InForce]) -> None:
        """Record and state in one transaction; only then it is in force."""
        async with self._one:
            after = change(self._in_force)
            await self._store.append([record], {**by.along, DESK_STATE: _STORED.dump_json(after)})
            # A stop may have been ordered while this waited for the disk; it is never undone by another order.
            stopped = self._in_force.stop_all and record.body["verb"] != "stop_all_release"
            self._in_force = replace(after, stop_all=after.stop_all or stopped)
            self._wake.set()
