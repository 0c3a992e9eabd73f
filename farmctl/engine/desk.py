"""The operator's desk: overrides, stop-all, maintenance, the lease; who ordered what and why, in the journal.

What is in force survives a restart: it is a named state, written in the same transaction as its record.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from pydantic import TypeAdapter, ValidationError

from farmctl.core.model import Override
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.control import By, Lease
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, RecordKind, Store

log = structlog.get_logger(__name__)

DESK_STATE = "desk.orders"


class LeaseHeldError(RefusedError):
    """Another person holds manual authority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orders:
    """What is in force, as it is stored."""

    stop_all: bool
    maintenance: bool
    overrides: tuple[Override, ...]
    lease: Lease | None


_ORDERS: TypeAdapter[_Orders] = TypeAdapter(_Orders)


class Desk:
    """What operators have ordered; the cycle reads it, the control API writes it."""

    def __init__(self, store: Store, clock: Clock, wake: asyncio.Event, *, armed: bool) -> None:
        """`armed` False is observe mode: nothing is ever sent."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self.armed = armed
        self.stop_all = False
        self.maintenance = False
        self._overrides: dict[str, Override] = {}
        self._lease: Lease | None = None

    async def restore(self) -> None:
        """Put back in force what was so when the last run ended. Raises StoreError where it cannot be read.

        A stop that cannot be read must not become a start: the site stays down until a person has looked.
        """
        data = await self._store.state(DESK_STATE)
        if data is None:
            return
        try:
            orders = _ORDERS.validate_json(data)
        except ValidationError as error:
            message = f"state {DESK_STATE}: expected the operators' orders, got {data[:80]!r}"
            raise StoreError(message) from error
        self.stop_all, self.maintenance, self._lease = orders.stop_all, orders.maintenance, orders.lease
        self._overrides = {order.override_id: order for order in orders.overrides}
        if orders.stop_all or orders.maintenance or self.overrides:
            log.info(
                "orders_restored", stop_all=self.stop_all, maintenance=self.maintenance, overrides=len(self.overrides)
            )

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those that have not expired."""
        now_ms = self._clock.now_ms()
        self._overrides = {key: o for key, o in self._overrides.items() if o.expires_ms > now_ms}
        return tuple(self._overrides.values())

    @property
    def lease(self) -> Lease | None:
        """Who holds manual authority, None for nobody."""
        if self._lease is not None and self._lease.expires_ms <= self._clock.now_ms():
            self._lease = None
        return self._lease

    async def set_override(self, order: Override, by: By) -> None:
        """Take one on. Raises RefusedError without owner, reason or a future expiry, LeaseHeldError."""
        if not order.owner or not order.reason:
            raise RefusedError("override: expected an owner and a reason")
        if order.expires_ms <= self._clock.now_ms():
            raise RefusedError("override: expected an expiry in the future")
        self._must_lead(by)
        self._overrides[order.override_id] = order
        try:
            await self._write(
                RecordKind.OVERRIDE,
                "set",
                by,
                id=order.override_id,
                target_w=order.target_w,
                expires_ms=order.expires_ms,
            )
        except BaseException:
            self._overrides.pop(order.override_id, None)
            raise
        self._wake.set()

    async def release_override(self, override_id: str, by: By) -> None:
        """Let one go. Raises RefusedError for an unknown id, LeaseHeldError."""
        order = self._overrides.get(override_id)
        if order is None:
            message = f"override {override_id}: no such override is live"
            raise RefusedError(message)
        self._must_lead(by)
        self._overrides.pop(override_id)
        try:
            await self._write(RecordKind.OVERRIDE, "release", by, id=override_id)
        except BaseException:
            self._overrides[override_id] = order
            raise
        self._wake.set()

    async def set_stop_all(self, by: By, *, on: bool) -> None:
        """Stop the whole site, or permit it to run again; a stop counts even where it cannot be journalled."""
        if not on:
            self._must_lead(by)
        before, self.stop_all = self.stop_all, on or self.stop_all
        self._wake.set()
        if on:
            await self._write(RecordKind.OPERATOR, "stop_all", by)
            return
        self.stop_all = False
        try:
            await self._write(RecordKind.OPERATOR, "stop_all_release", by)
        except BaseException:
            self.stop_all = before
            raise

    async def set_maintenance(self, by: By, *, on: bool) -> None:
        """Forbid automatic starts, or permit them again. Raises LeaseHeldError."""
        self._must_lead(by)
        before, self.maintenance = self.maintenance, on
        try:
            await self._write(RecordKind.OPERATOR, "maintenance" if on else "maintenance_release", by)
        except BaseException:
            self.maintenance = before
            raise
        self._wake.set()

    async def take_lease(self, by: By, expires_ms: int) -> Lease:
        """Hold manual authority, or hold it longer. Raises LeaseHeldError, RefusedError without a future end."""
        now_ms = self._clock.now_ms()
        if expires_ms <= now_ms:
            raise RefusedError("lease: expected an end in the future")
        self._must_lead(by)
        before = self.lease
        lease = Lease(owner=by.owner, uid=by.uid, reason=by.reason, taken_ms=now_ms, expires_ms=expires_ms)
        self._lease = lease
        try:
            await self._write(RecordKind.OPERATOR, "lease_taken", by, expires_ms=expires_ms)
        except BaseException:
            self._lease = before
            raise
        self._wake.set()
        return lease

    async def release_lease(self, by: By, *, anybodys: bool) -> None:
        """Give it back; with `anybodys` another person's too. Raises RefusedError, LeaseHeldError."""
        lease = self.lease
        if lease is None:
            raise RefusedError("lease: nobody holds it")
        if not anybodys:
            self._must_lead(by)
        self._lease = None
        try:
            await self._write(RecordKind.OPERATOR, "lease_released", by, of=lease.owner)
        except BaseException:
            self._lease = lease
            raise
        self._wake.set()

    async def audit(self, verb: str, by: By, result: str) -> None:
        """Note an order that was refused, or what was done about one; best effort."""
        try:
            await self._write(RecordKind.OPERATOR, verb, by, result=result)
        except StoreError as error:
            log.warning("audit_not_journalled", verb=verb, owner=by.owner, result=result, error=str(error))

    def _must_lead(self, by: By) -> None:
        """While somebody holds the lease, nobody else steers; stopping is always allowed."""
        lease = self.lease
        if lease is not None and lease.uid != by.uid:
            message = f"the lease is held by {lease.owner} until {lease.expires_ms // 1000} ({lease.reason})"
            raise LeaseHeldError(message)

    async def _write(self, kind: RecordKind, verb: str, by: By, **figures: float | str) -> None:
        """Record and state in one transaction. The flag is set before, so a second order sees it."""
        body = {"verb": verb, "owner": by.owner, "reason": by.reason, "result": "ok", **by.told, **figures}
        orders = _Orders(
            stop_all=self.stop_all, maintenance=self.maintenance, overrides=self.overrides, lease=self.lease
        )
        states = {DESK_STATE: _ORDERS.dump_json(orders)}
        await self._store.append([JournalRecord(kind=kind, at_ms=self._clock.now_ms(), body=body)], states)
