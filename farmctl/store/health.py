"""What a doctor wants to know of a site's database: who it is, its clock, its replicas, its leases."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from farmctl.errors import StoreError
from farmctl.store.postgres import pool_of, reported

ANSWER_S = 5.0
_FACTS = """
SELECT extract(epoch FROM clock_timestamp())::float8, pg_is_in_recovery(),
       (SELECT count(*) FROM pg_stat_replication),
       (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 FROM pg_stat_replication)
"""
_LEASES = """
SELECT count(*) FILTER (WHERE role = 'worker'),
       count(*) FILTER (WHERE role = 'worker' AND expires_at <= clock_timestamp()),
       count(*) FILTER (WHERE role = 'controller' AND expires_at > clock_timestamp())
FROM shard_lease
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look."""

    skew_s: float
    """How far this host's clock is ahead of the database's; known to `within_s`."""
    within_s: float
    standby: bool
    """True: it takes no writes."""
    replicas: int
    lag_s: float
    """Of the replica that is furthest behind; 0 where there is none."""
    shards: int
    orphans: int
    """Shards that nobody holds."""
    leaders: int


async def examine(dsn: str) -> Health:
    """Ask it. Raises StoreError where it does not answer, or was never migrated."""
    with reported("the site's database", "examine"):
        async with asyncio.timeout(ANSWER_S):
            pool = await pool_of(dsn, 1, ANSWER_S)
            try:
                if not await pool.fetchval("SELECT to_regclass('shard_lease') IS NOT NULL"):
                    raise StoreError("the database has no tables of farmctl: farmctl store migrate")
                asked_s, began_s = time.time(), time.monotonic()
                now_s, standby, replicas, lag_s = await pool.fetchrow(_FACTS)
                took_s = time.monotonic() - began_s
                shards, orphans, leaders = await pool.fetchrow(_LEASES)
            finally:
                pool.terminate()
    return Health(
        skew_s=asked_s + took_s / 2 - now_s, within_s=took_s / 2, standby=standby, replicas=replicas, lag_s=lag_s,
        shards=shards, orphans=orphans, leaders=leaders,
    )  # fmt: skip
