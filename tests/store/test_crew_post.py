"""What workers and the process that leads leave in the database beside leases: days, pages, who was there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from benchmarks._lease_site import SITE, prepared
from farmctl.ports.shards import Held
from farmctl.store.crew import ControllerPost, WorkerPost
from farmctl.store.leases import LeaseKeeper
from farmctl.store.postgres import pool_of

PARTITIONS = """
SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent IN ('command'::regclass, 'telemetry_page'::regclass) AND child.relname ~ '_[0-9]{8}$' ORDER BY 1
"""
DAY = "to_char((clock_timestamp() AT TIME ZONE 'UTC')::date + $1::integer, 'YYYYMMDD')"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await prepared(dsn, 2)
    made = await pool_of(dsn, 2)
    yield made
    await made.close()


async def test_whoever_leads_makes_the_days_to_come_and_drops_what_is_too_old_however_often(
    pool: asyncpg.Pool, dsn: str
) -> None:
    days = {ahead: str(await pool.fetchval(f"SELECT {DAY}", ahead)) for ahead in (-5, 0, 1, 2)}
    await pool.fetchval("SELECT make_telemetry_day((clock_timestamp() AT TIME ZONE 'UTC')::date - 5)")
    await pool.execute("INSERT INTO worker VALUES ('gone', clock_timestamp() - interval '2 days')")
    post = ControllerPost(pool, SITE, Held(shard="controller", epoch=1), "me")
    await post.tidy(2)
    await post.tidy(2)
    owner = await asyncpg.connect(dsn)
    made = {row[0] for row in await owner.fetch(PARTITIONS)}
    await owner.close()
    wanted = {f"{table}_{days[ahead]}" for table in ("command", "telemetry_page") for ahead in (0, 1, 2)}
    assert wanted <= made
    assert f"telemetry_page_{days[-5]}" not in made
    assert await pool.fetchval("SELECT count(*) FROM worker WHERE holder = 'gone'") == 0


async def test_a_day_that_was_not_made_in_time_keeps_its_rows_and_stops_nothing(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO telemetry_page VALUES ('C000', clock_timestamp() + interval '2 days', 1, ''::bytea)"
    )
    post = ControllerPost(pool, SITE, Held(shard="controller", epoch=1), "me")
    await post.tidy(2)
    assert await pool.fetchval("SELECT count(*) FROM telemetry_page") == 1


async def test_what_stands_beside_the_columns_is_taken_from_the_holder_alone(pool: asyncpg.Pool) -> None:
    keeper = LeaseKeeper(pool, "one")
    for _ in range(2):
        await keeper.beat()
    lease = keeper.held["C000"]
    post = WorkerPost(pool, SITE)
    reading = ControllerPost(pool, SITE, Held(shard="controller", epoch=1), "me")
    await post.show_beside([(lease, "said", b"old"), (lease, "facts", b"facts")])
    first = {page.kind: page for page in await reading.beside(0)}
    assert (first["said"].packed, first["facts"].packed) == (b"old", b"facts")
    await post.show_beside([(Held(shard="C000", epoch=lease.epoch - 1), "said", b"stale")])
    await post.show_beside([(lease, "said", b"new")])
    (page,) = await reading.beside(first["facts"].rev)
    assert (page.shard, page.kind, page.packed) == ("C000", "said", b"new")
