"""One process that does everything, or one of several on PostgreSQL."""

from __future__ import annotations

import asyncio

from farmctl.config.load import Loaded
from farmctl.ports.shards import Role
from farmctl.wiring.crew import run_crew
from farmctl.wiring.farm import built


async def run_farm(loaded: Loaded, stop: asyncio.Event, role: str = "all") -> None:
    """Run a site, or this process's part of it, until `stop` is set. Raises RoleError, which names what is missing."""
    if loaded.config.store.kind == "sqlite" and role == Role.ALL:
        async with built(loaded, stop=stop) as farm:
            await farm.run()
    else:
        await run_crew(loaded, Role(role), stop)
