"""Commands and budget shares behind the fence: written in one statement with the proof that they may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from farmctl.core.model import MinerId
from farmctl.errors import RefusedError
from farmctl.store.leases import FencedError, Lease
from farmctl.store.postgres import asked, reported

if TYPE_CHECKING:
    import asyncpg


ANSWER_S = 5.0
"""Of a database that is cut off nothing comes, not even an error."""


class OverCapError(RefusedError):
    """The shares would be more than the site's cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A command before it is written."""

    miner_id: MinerId
    action: str
    target_w: float
    id: UUID = field(default_factory=uuid4)


class FencedWrites:
    """What a worker writes about its shards; raises StoreError where the database does not answer."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def lower(self, shard: str, epoch: int, plan_rev: int, wishes: Sequence[Wish]) -> None:
        """Write commands that lower power: no lease is needed, by rule."""
        await self._fetch("lower", shard, epoch, plan_rev, *_columns(wishes))

    async def raise_power(self, lease: Lease, plan_rev: int, wishes: Sequence[Wish], worst_w: float) -> None:
        """Write commands that raise power; `worst_w` is what the whole shard may draw with them, at worst.

        Raises FencedError, with nothing written, unless the lease is alive by the database's clock, the plan is the
        newest and unexpired, and the share holds `worst_w`.
        """
        rows = await self._fetch("raise", lease.shard, lease.epoch, plan_rev, *_columns(wishes), worst_w)
        if len(rows) != len(wishes):
            raise FencedError(
                f"{lease.shard}: epoch {lease.epoch} may not raise to {worst_w:.0f} W under plan {plan_rev}"
            )

    async def share_w(self, shard: str) -> float:
        """The share as it is, W; 0 where there is none."""
        rows = await self._fetch("share", shard)
        return float(rows[0][0]) if rows else 0.0

    async def give(self, lease: Lease, share_w: float, confirmed_w: float) -> None:
        """Lower the own share, after the miners have confirmed `confirmed_w` at worst; raises FencedError."""
        if not await self._fetch("give", lease.shard, lease.epoch, share_w, confirmed_w):
            raise FencedError(f"{lease.shard}: epoch {lease.epoch} may not give down to {share_w:.0f} W")

    async def take(self, lease: Lease, more_w: float) -> float:
        """Raise the own share; the new one.  Raises OverCapError where the site's cap is spoken for, FencedError."""
        rows = await self._fetch("take", lease.shard, lease.epoch, more_w)
        if not rows:
            raise FencedError(f"{lease.shard}: epoch {lease.epoch} may not take")
        return float(rows[0][0])

    async def reclaim(self, shard: str, worst_w: float) -> bool:
        """Cut the share of a shard that nobody holds to what its miners draw at worst; False where there is none."""
        return bool(await self._fetch("reclaim", shard, worst_w))

    async def set_cap(self, site: str, cap_w: float) -> None:
        """Set a site's cap; raises OverCapError below what is shared out."""
        await self._fetch("set_cap", site, cap_w)

    async def add_share(self, site: str, shard: str, share_w: float) -> None:
        """Give a shard its first share; raises OverCapError."""
        await self._fetch("add_share", shard, site, share_w)

    async def publish(self, site: str, rev: int, cap_w: float, valid_s: float, source: str) -> None:
        """Make a plan the newest; its fail-safe is 0 W."""
        await self._fetch("publish_plan", site, rev, cap_w, timedelta(seconds=valid_s), 0.0, source)

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        import asyncpg  # noqa: PLC0415 - an extra

        with reported("the lease database", query):
            try:
                return await asked(self._pool, query, *values, within_s=ANSWER_S)
            except asyncpg.CheckViolationError as error:
                raise OverCapError(f"{query}: {error}") from error


def _columns(wishes: Sequence[Wish]) -> tuple[list[UUID], list[str], list[str], list[float]]:
    return (
        [wish.id for wish in wishes],
        [wish.miner_id for wish in wishes],
        [wish.action for wish in wishes],
        [wish.target_w for wish in wishes],
    )
