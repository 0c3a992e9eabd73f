"""The operator's desk: overrides, stop-all and maintenance, each with an owner, a reason and a record."""

from __future__ import annotations

import asyncio

from farmctl.core.model import Override
from farmctl.errors import RefusedError
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, RecordKind, Store


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

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those that have not expired."""
        now_ms = self._clock.now_ms()
        self._overrides = {key: o for key, o in self._overrides.items() if o.expires_ms > now_ms}
        return tuple(self._overrides.values())

    async def set_override(self, order: Override) -> None:
        """Take one on. Raises RefusedError without owner, reason or a future expiry."""
        if not order.owner or not order.reason:
            raise RefusedError("override: expected an owner and a reason")
        if order.expires_ms <= self._clock.now_ms():
            raise RefusedError("override: expected an expiry in the future")
        await self._write(
            RecordKind.OVERRIDE,
            "set",
            order.owner,
            order.reason,
            id=order.override_id,
            target_w=order.target_w,
            expires_ms=order.expires_ms,
        )
        self._overrides[order.override_id] = order
        self._wake.set()

    async def release_override(self, override_id: str, owner: str, reason: str) -> None:
        """Let one go. Raises RefusedError for an unknown id."""
        if override_id not in self._overrides:
            message = f"override {override_id}: no such override is live"
            raise RefusedError(message)
        await self._write(RecordKind.OVERRIDE, "release", owner, reason, id=override_id)
        self._overrides.pop(override_id, None)
        self._wake.set()

    async def set_stop_all(self, owner: str, reason: str, *, on: bool) -> None:
        """Stop the whole site, or permit it to run again."""
        await self._write(RecordKind.OPERATOR, "stop_all" if on else "stop_all_release", owner, reason)
        self.stop_all = on
        self._wake.set()

    async def set_maintenance(self, owner: str, reason: str, *, on: bool) -> None:
        """Forbid automatic starts, or permit them again."""
        await self._write(RecordKind.OPERATOR, "maintenance" if on else "maintenance_release", owner, reason)
        self.maintenance = on
        self._wake.set()

    async def _write(self, kind: RecordKind, verb: str, owner: str, reason: str, **figures: float | str) -> None:
        body = {"verb": verb, "owner": owner, "reason": reason, **figures}
        await self._store.append([JournalRecord(kind=kind, at_ms=self._clock.now_ms(), body=body)])
