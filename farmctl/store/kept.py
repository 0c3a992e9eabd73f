"""Telemetry pages of a site of workers, read back from its database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from farmctl.store.postgres import asked, pool_of, reported

ANSWER_S = 20.0
"""Some thousand pages of 20 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPage:
    """A shard at one moment."""

    shard: str
    at_ms: int
    packed: bytes


async def kept_pages(dsn: str, from_ms: int, to_ms: int, step_s: int, most: int) -> list[KeptPage]:
    """The last page of every shard in every step, in order of time; at most so many. Raises StoreError."""
    place = "the site's database"
    with reported(place, "kept_pages"):
        async with asyncio.timeout(ANSWER_S):
            pool = await pool_of(dsn, 1)
            try:
                rows = await asked(pool, "kept_pages", from_ms, to_ms, step_s, most, within_s=ANSWER_S)
            finally:
                pool.terminate()
    return [KeptPage(shard=shard, at_ms=at_ms, packed=bytes(z)) for shard, at_ms, z in rows]
