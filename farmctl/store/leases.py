"""Leases on shards: who may raise power where, until when, and the fence that keeps everybody else out.

A miner cannot check a token, so the holder must: right before each socket write it asks `may_send`, whose deadline lies
a guard before the lease's end and is counted from before the renewal was sent.  The write's own timeout must be shorter
than the guard.  Lowering needs none of this.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from farmctl.errors import RefusedError
from farmctl.ports.shards import Held
from farmctl.store.postgres import asked, reported

if TYPE_CHECKING:
    import asyncpg

LEAST_GUARD = 0.25
"""Guard as a part of the time to live: less than this is refused."""
COMMAND_S = 3.2
"""Above the longest a request to a miner may take from its connection on (3 s in every wire of the drivers): what
passed the check is on its way no longer than the guard."""
ORPHAN_S = 0.8
"""What nobody has claimed for so long after its end is anybody's, fair share or not: those who count for a share and
do not claim have just been lost themselves."""
BEATS = 3
"""So many chances to renew has a claim, also where a beat takes long."""
RENEWALS = 6
"""In a lifetime: a worker that misses two of them may still send."""


class FencedError(RefusedError):
    """Somebody else holds the shard, its lease has run out, or there is no plan or headroom: stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Seconds of a lease; the guard is above the longest command timeout."""

    ttl_s: float = 9.0
    renew_s: float = 3.0
    guard_s: float = 3.0
    claim_s: float = 2.0
    """Of a claim until it is first renewed; three beats where those are slow, and never more than half a lifetime.
    Nothing is sent under it, so it needs no guard and may be short: whoever is lost in the moment of a takeover does
    not keep the shard for a whole lifetime more."""

    @classmethod
    def of(cls, lease_s: float) -> Terms:
        """Of a lease that lives so long: at least 4.3 s. Raises ValueError."""
        return cls(ttl_s=lease_s, renew_s=lease_s / RENEWALS, guard_s=max(lease_s / 3, COMMAND_S))

    def __post_init__(self) -> None:
        """Refuse what cannot be safe."""
        if not LEAST_GUARD * self.ttl_s <= self.guard_s < self.ttl_s - self.renew_s:
            raise ValueError(
                f"guard_s {self.guard_s}: expected a quarter of ttl_s {self.ttl_s} to ttl_s - renew_s {self.renew_s}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Held):
    """The right to raise power in one shard, with its end."""

    deadline_s: float
    """CLOCK_BOOTTIME after which nothing is sent; counted from before the renewal was sent, less the guard."""


def boot_time_s() -> float:
    """CLOCK_BOOTTIME, s: CLOCK_MONOTONIC stands still in a suspended virtual machine, and would keep leases alive."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a process says of itself; only leases of its role are claimed."""

    role: str = "worker"
    name: str = ""
    door: str = ""
    """Where its control API answers."""


class LeaseKeeper:
    """One worker's leases: call `beat` more often than every `renew_s`.

    Every call raises StoreError where the database does not answer: leases then run out by themselves.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        holder: str,
        terms: Terms | None = None,
        clock: Callable[[], float] = boot_time_s,
        *,
        about: About | None = None,
    ) -> None:
        """`holder` names this start of this process and nothing else, ever: a name used twice has no fence."""
        self._pool = pool
        self.holder = holder
        self._about = about or About()
        self._terms = terms or Terms()
        self._clock = clock
        self._held: dict[str, Lease] = {}
        self._renewed_s = -math.inf
        self._beat_s = -math.inf
        self._period_s = math.inf
        """From the beat before to this one."""

    @property
    def held(self) -> Mapping[str, Lease]:
        """Leases by shard, also those past their deadline: ask `may_send`."""
        return self._held

    def may_send(self, lease: Lease) -> bool:
        """True while a command that raises may leave; the last thing asked before the socket write."""
        held = self._held.get(lease.shard)
        return held is not None and held.epoch == lease.epoch and self._clock() < held.deadline_s

    async def add_shards(self, shards: Collection[str]) -> None:
        """Make shards known, held by nobody; those that are known stay as they are."""
        await self._fetch("add_shards", list(shards), self._about.role)

    async def beat(self) -> None:
        """Renew what is due, claim up to a fair share of what nobody holds, let go of what is more than that.

        What was claimed may be looked at at once, and commanded after the next beat.
        """
        about, now_s = self._about, self._clock()
        self._period_s, self._beat_s = now_s - self._beat_s, now_s
        await self._fetch("beat", self.holder, about.role, about.name, about.door)
        if self._clock() - self._renewed_s >= self._terms.renew_s:
            await self._renew()
        # A worker unseen for this long is past its deadlines, as by `_leases`: the others may fill its place.
        unseen = timedelta(seconds=self._terms.ttl_s - self._terms.guard_s)
        shards, workers = (await self._fetch("fair_share", unseen, about.role))[0]
        fair = math.ceil(shards / max(workers, 1))
        if len(self._held) > fair:
            await self.release(sorted(self._held)[fair:])
        else:
            await self._claim(fair - len(self._held))

    async def release(self, shards: Sequence[str]) -> None:
        """Let go: nothing of them is sent from here on, and others may claim them when what is under way has ended."""
        for shard in shards:
            self._held.pop(shard, None)
        await self._fetch("release", self.holder, list(shards), timedelta(seconds=self._terms.guard_s))

    async def leave(self) -> None:
        """Let go of everything and be counted no more."""
        await self.release(sorted(self._held))
        await self._fetch("leave", self.holder)

    @property
    def _ttl(self) -> timedelta:
        return timedelta(seconds=self._terms.ttl_s)

    async def _renew(self) -> None:
        asked_s = self._clock()
        # Only shards that this worker knows of: one that it let go of is not renewed by a claim under the same name.
        rows = await self._fetch("renew", self.holder, self._ttl, list(self._held))
        self._renewed_s = asked_s
        self._held = self._leases(rows, asked_s)

    async def _claim(self, most: int) -> None:
        term = timedelta(seconds=min(max(self._terms.claim_s, BEATS * self._period_s), self._terms.ttl_s / 2))
        rows = await self._fetch("claim", self.holder, term, most, self._about.role, timedelta(seconds=ORPHAN_S))
        self._held |= {shard: Lease(shard=shard, epoch=epoch, deadline_s=-math.inf) for shard, epoch in rows}
        if rows:
            self._renewed_s = -math.inf  # the next beat makes it a lease

    def _leases(self, rows: Sequence[Any], asked_s: float) -> dict[str, Lease]:
        deadline_s = asked_s + self._terms.ttl_s - self._terms.guard_s
        return {shard: Lease(shard=shard, epoch=epoch, deadline_s=deadline_s) for shard, epoch in rows}

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        with reported("the lease database", query):
            # An answer later than the guard is worth nothing, and waiting for it keeps the next from being asked.
            return await asked(self._pool, query, *values, within_s=self._terms.guard_s)
