"""What workers and the controller of one site tell one another through PostgreSQL; fills `ports.shards`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from pydantic import TypeAdapter
from typing_extensions import override

from farmctl.core.model import Command
from farmctl.errors import StoreError
from farmctl.ports.shards import (
    AsideKind,
    AsidePage,
    Held,
    Leases,
    LivePage,
    Member,
    Outcome,
    Plan,
    Role,
    SetPoint,
    ShardPost,
    SitePost,
)
from farmctl.store.connection import LostSessionError
from farmctl.store.fenced import FencedWrites, Wish
from farmctl.store.leases import FencedError, Lease, LeaseKeeper, boot_time_s
from farmctl.store.postgres import asked, reported

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger(__name__)

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
ANSWER_S = 3.0
"""An order that took longer is stale; the next cycle writes it again."""
AGAIN_S = 1.0
CHANNEL = "farmctl_setpoints"
DAYS_AHEAD = 3
"""Today's partition, where nobody led yesterday, and those of two days more."""
FORGET = timedelta(days=1)
SHRUNK_W = 1.0
GROWN = 0.005
"""A cap that grew by less than this part is not worth a new plan."""


class ShardLeases(Leases):
    """A LeaseKeeper as the engine sees it."""

    def __init__(self, keeper: LeaseKeeper) -> None:
        self._keeper = keeper

    @override
    async def beat(self) -> None:
        await self._keeper.beat()

    @override
    def held(self) -> Mapping[str, Held]:
        return self._keeper.held

    @override
    def may_send(self, shard: str) -> bool:
        lease = self._keeper.held.get(shard)
        return lease is not None and self._keeper.may_send(lease)

    @override
    async def leave(self) -> None:
        await self._keeper.leave()


class _Asking:
    """Named queries with a deadline, errors as StoreError."""

    def __init__(self, pool: asyncpg.Pool, site: str) -> None:
        self._pool = pool
        self._site = site

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        with reported("the site's database", query):
            return await asked(self._pool, query, *values, within_s=ANSWER_S)


class WorkerPost(_Asking, ShardPost):
    """A worker's side."""

    def __init__(self, pool: asyncpg.Pool, site: str) -> None:
        super().__init__(pool, site)
        self._writes = FencedWrites(pool)
        self._shares: dict[tuple[str, int], float] = {}
        """Shard and epoch -> share, W, as last told."""

    @override
    async def plan(self) -> Plan | None:
        found = await self._fetch("newest_plan", self._site)
        if not found:
            return None
        rev, cap_w, failsafe_w, left_s = found[0]
        return Plan(rev=rev, cap_w=cap_w, failsafe_w=failsafe_w, left_s=left_s)

    @override
    async def setpoints(self, after: Mapping[str, int]) -> Sequence[SetPoint]:
        rows = await self._fetch("setpoints", list(after), list(after.values()))
        return [
            SetPoint(shard=shard, rev=rev, epoch=epoch, raises=raises, command=_COMMAND.validate_json(text))
            for shard, rev, epoch, raises, text in rows
        ]

    @override
    async def lower(self, held: Held, plan_rev: int, commands: Sequence[Command]) -> None:
        await self._writes.lower(held.shard, held.epoch, plan_rev, _wishes(commands))

    @override
    async def raise_power(self, held: Held, plan_rev: int, commands: Sequence[Command], worst_w: float) -> None:
        lease = _lease(held)
        if (short_w := worst_w - await self._share_w(held)) > 0:
            self._shares[held.shard, held.epoch] = await self._writes.take(lease, short_w)
        await self._writes.raise_power(lease, plan_rev, _wishes(commands), worst_w)

    @override
    async def settle(self, held: Held, worst_w: float) -> None:
        lease, share_w = _lease(held), await self._share_w(held)
        if worst_w > share_w:
            share_w = await self._writes.take(lease, worst_w - share_w)
        elif worst_w < share_w:
            await self._writes.give(lease, worst_w, confirmed_w=worst_w)
            share_w = worst_w
        self._shares[held.shard, held.epoch] = share_w

    @override
    async def show(self, pages: Sequence[tuple[Held, bytes]]) -> None:
        columns = [held.shard for held, _ in pages], [held.epoch for held, _ in pages], [page for _, page in pages]
        await self._fetch("show_pages", *columns)

    @override
    async def show_beside(self, pages: Sequence[tuple[Held, AsideKind, bytes]]) -> None:
        for held, kind, page in pages:
            await self._fetch("show_beside", held.shard, held.epoch, kind, page)

    @override
    async def keep(self, at_ms: int, pages: Sequence[tuple[Held, bytes]]) -> None:
        await self._fetch("keep_pages", at_ms, [held.shard for held, _ in pages], [page for _, page in pages])

    @override
    async def tell(self, outcomes: Sequence[Outcome]) -> None:
        await self._fetch(
            "tell",
            [o.miner for o in outcomes],
            [o.shard for o in outcomes],
            [o.epoch for o in outcomes],
            [f"{o.fate.value}: {o.detail}" if o.detail else o.fate.value for o in outcomes],
        )

    async def open_shares(self, shards: Collection[str]) -> None:
        """Have a share for every shard, of nothing where it is new."""
        await self._fetch("open_budget", self._site)
        await self._fetch("open_shares", list(shards), self._site)

    async def _share_w(self, held: Held) -> float:
        key = (held.shard, held.epoch)
        if key not in self._shares:
            self._shares = {known: w for known, w in self._shares.items() if known[0] != held.shard}
            self._shares[key] = await self._writes.share_w(held.shard)
        return self._shares[key]


@dataclass(slots=True)
class _Standing:
    """The plan as this controller wrote it last."""

    rev: int
    cap_w: float


class ControllerPost(_Asking, SitePost):
    """The controller's side; every write is fenced by its seat."""

    def __init__(self, pool: asyncpg.Pool, site: str, seat: Held, holder: str) -> None:
        super().__init__(pool, site)
        self._fence = (seat.shard, seat.epoch, holder)
        self._standing: _Standing | None = None

    @override
    async def order(self, points: Sequence[SetPoint]) -> None:
        written = await self._fetch(
            "put_setpoints",
            *self._fence,
            self._standing.rev if self._standing is not None else 0,
            [point.command.miner for point in points],
            [point.shard for point in points],
            [point.command.point.power_w for point in points],
            [point.raises for point in points],
            [point.command.deadline_ms for point in points],
            [orjson.dumps(point.command).decode() for point in points],
        )
        if len(written) != len(points):
            raise FencedError(f"{self._fence[0]}: epoch {self._fence[1]} leads no longer")
        await self._fetch("wake_workers")

    @override
    async def publish(self, cap_w: float, failsafe_w: float, valid_s: float) -> None:
        valid, standing = timedelta(seconds=valid_s), self._standing
        same = standing is not None and -SHRUNK_W < cap_w - standing.cap_w <= GROWN * standing.cap_w
        if standing is not None and same:
            rows = await self._fetch("extend_plan", *self._fence, self._site, standing.cap_w, valid, standing.rev)
        else:
            rows = await self._fetch("new_plan", *self._fence, self._site, cap_w, valid, failsafe_w)
        if not rows:
            raise FencedError(f"{self._fence[0]}: epoch {self._fence[1]} leads no longer")
        self._standing = standing if same else _Standing(rev=int(rows[0][0]), cap_w=cap_w)

    @override
    async def pages(self, after: int) -> Sequence[LivePage]:
        rows = await self._fetch("pages", after)
        return [LivePage(shard=shard, epoch=epoch, rev=rev, packed=bytes(z)) for shard, epoch, rev, z in rows]

    @override
    async def beside(self, after: int) -> Sequence[AsidePage]:
        rows = await self._fetch("beside", after)
        return [AsidePage(shard=shard, kind=kind, rev=rev, packed=bytes(z)) for shard, kind, rev, z in rows]

    @override
    async def tidy(self, keep_days: int) -> None:
        for day in range(DAYS_AHEAD):
            for query in ("make_command_day", "make_telemetry_day"):
                try:
                    await self._fetch(query, day)
                except LostSessionError:
                    raise
                except StoreError as error:  # rows of that day stand in the default partition, and stay there
                    log.warning("day_not_made", what=query, days_ahead=day, error=str(error))
        await self._fetch("drop_telemetry", keep_days)
        await self._fetch("forget_workers", FORGET)

    @override
    async def members(self) -> Sequence[Member]:
        return await members(self._pool)

    @override
    async def known(self, shards: Collection[str]) -> None:
        await self._fetch("add_shards", list(shards), Role.WORKER.value)


async def members(pool: asyncpg.Pool, within_s: float = 30.0) -> Sequence[Member]:
    """Who was seen lately; raises StoreError."""
    with reported("the site's database", "members"):
        rows = await asked(pool, "members", timedelta(seconds=within_s), within_s=ANSWER_S)
    return [
        Member(name=name, role=Role(role), door=door, seen_s=seen_s, leads=leads, shards=shards)
        for name, role, door, seen_s, leads, shards in rows
    ]


async def woken(pool: asyncpg.Pool, wake: asyncio.Event) -> None:
    """Set `wake` whenever set-points were written, until cancelled; a hint only: a connection may be lost unseen."""
    while True:
        try:
            with reported("the site's database", "listen"):
                await _listened(await pool.acquire(timeout=ANSWER_S), wake)
        except StoreError as error:
            log.debug("not_listening", error=str(error))
        await asyncio.sleep(AGAIN_S)


async def _listened(connection: asyncpg.Connection, wake: asyncio.Event) -> None:
    """Hear what is notified until the connection ends."""
    try:
        await connection.add_listener(CHANNEL, lambda *_: wake.set())
        await _ended(connection)
    finally:
        # Not given back to the pool: asyncpg complains of a listener there, and what it raises would stand in for the
        # cancel that ended the wait, or ask a server that is gone to be reset first.
        connection.terminate()


async def _ended(connection: asyncpg.Connection) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda *_: lost.set())
    await lost.wait()


def _lease(held: Held) -> Lease:
    return held if isinstance(held, Lease) else Lease(shard=held.shard, epoch=held.epoch, deadline_s=boot_time_s())


def _wishes(commands: Sequence[Command]) -> list[Wish]:
    return [
        Wish(miner_id=each.miner, action=each.point.kind.name.lower(), target_w=each.point.power_w) for each in commands
    ]
