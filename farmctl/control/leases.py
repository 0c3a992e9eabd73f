"""The control lease: one person steers by hand, the others see who, why and until when."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from farmctl.control.asked import Asked, Noted, ordered, read
from farmctl.control.identity import Caller, Role
from farmctl.control.wire import ApiError, Json, iso
from farmctl.core.units import MS_PER_S
from farmctl.ports.control import Lease, Orders
from farmctl.ports.site import Clock

LONGEST_S = 12 * 3600
"""A shift."""


class LeaseOrder(Asked):
    """Take it, or keep it longer."""

    expires_at: Annotated[AwareDatetime, Field(strict=False)]


class LeaseDoor:
    """Where the lease is taken and given back."""

    def __init__(self, orders: Orders, clock: Clock) -> None:
        self._orders = orders
        self._clock = clock

    async def take(self, body: bytes, caller: Caller, origin: str) -> Json:
        """Hold manual authority. Raises ApiError 400, 403, 409 where another person holds it, 507."""
        order = read(LeaseOrder, body)
        by = caller.by(order.reason, origin=origin)
        expires_ms = int(order.expires_at.timestamp() * MS_PER_S)
        if expires_ms > self._clock.now_ms() + LONGEST_S * MS_PER_S:
            raise ApiError(400, f"expires_at: expected an end within {LONGEST_S // 3600} hours", field="expires_at")
        lease = await ordered(self._orders, "lease", caller, by, lambda: self._orders.take_lease(by, expires_ms))
        return {"lease": told(lease)}

    async def release(self, body: bytes, caller: Caller, origin: str) -> Json:
        """Give it back; an engineer may take it from anybody. Raises ApiError 400, 403, 409, 507."""
        by = caller.by(read(Noted, body).reason, origin=origin)
        anybodys = caller.role >= Role.ENGINEER
        await ordered(self._orders, "lease", caller, by, lambda: self._orders.release_lease(by, anybodys=anybodys))
        return {"lease": None}


def told(lease: Lease | None) -> Json | None:
    """A lease as the API shows it."""
    if lease is None:
        return None
    return {
        "owner": lease.owner,
        "reason": lease.reason,
        "taken_at": iso(lease.taken_ms),
        "expires_at": iso(lease.expires_ms),
    }
