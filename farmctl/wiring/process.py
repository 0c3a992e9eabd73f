"""One process of a site of several on PostgreSQL: what its worker and its candidate for the seat share."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farmctl.config.load import Loaded
from farmctl.engine.clock import SystemClock
from farmctl.ports.shards import Role
from farmctl.store.leases import About, LeaseKeeper, Terms
from farmctl.store.postgres import open_postgres
from farmctl.store.sqlite import open_sqlite
from farmctl.store.sqlstore import SqlStore
from farmctl.store.standin import StandIn

if TYPE_CHECKING:
    import asyncpg

    from farmctl.metrics.controller import ControllerMetrics


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Process:
    """What both halves of one process share."""

    loaded: Loaded
    role: Role
    dsn: str
    name: str
    holder: str
    terms: Terms
    pool: asyncpg.Pool
    stop: asyncio.Event
    counts: ControllerMetrics

    @property
    def site(self) -> str:
        """The site's name."""
        return self.loaded.config.site.name

    @property
    def door(self) -> str:
        """Where others reach the control API of this process."""
        api = self.loaded.config.api
        return f"https://{api.listen}" if api.listen is not None else str(api.socket)

    def keeper(self, role: Role) -> LeaseKeeper:
        """Leases of one role."""
        about = About(role=role.value, name=self.name, door=self.door)
        return LeaseKeeper(self.pool, f"{self.holder}/{role.value}", self.terms, about=about)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Beside:
    """A local journal of this process, and the site's without a fence, to merge into."""

    local: SqlStore
    store: StandIn


async def open_beside(process: Process, file: str, stack: AsyncExitStack) -> Beside:
    """Open both, until the stack closes; raises StoreError."""
    local = await open_sqlite(Path(process.loaded.config.store.dir) / file)
    stack.push_async_callback(local.close)
    # A deadline as short as a lease's: whoever waits longer has lost it meanwhile.
    database = await open_postgres(process.dsn, deadline_s=process.terms.guard_s)
    stack.push_async_callback(database.close)
    store = StandIn(database, local, process.name, SystemClock().now_ms)
    await store.settle()
    return Beside(local=local, store=store)
