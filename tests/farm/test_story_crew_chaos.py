"""A fault of each kind befalls a crew at once: whoever leaves out the deadline check is found out, nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from benchmarks import _crew_site as site
from benchmarks._crew_hosts import on_loopback
from benchmarks._crew_stage import Stage, staged
from benchmarks._postgresql import Cluster

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]
UNCHECKED, CHECKED, KILLED, CUT = SLOTS = range(4)
SIZE = site.Size(shards=8, miners=3)
NETWORK = "127.88"
LEASE_S = 6.0
LONG_S = 120.0
CUT_S = 3_600.0
"""Longer than the story: whoever comes back takes its share again."""
HOLDERS = (
    "SELECT DISTINCT split_part(holder, '-', 2)::int FROM shard_lease WHERE role = 'worker' AND holder IS NOT NULL"
)
SEEN = "SELECT count(*) FROM worker WHERE role = 'worker' AND name = $1 AND seen_at > $2"
LOW, ASLEEP, HIGH = 0.0, 0.05, 0.69
"""Of what all draw at full: everybody sleeps, and each worker has somebody to wake."""


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG_S):
        while not await done():  # noqa: ASYNC110 - a database that tells nobody
            await asyncio.sleep(0.1)


class Office:
    """What the database says of its crew."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def holders(self) -> set[int]:
        """Slots that hold a shard, or held one last."""
        connection = await asyncpg.connect(self._dsn)
        try:
            return {row[0] for row in await connection.fetch(HOLDERS)}
        finally:
            await connection.close()

    async def hears_again(self, slot: int) -> None:
        """Wait until a worker of that slot beats after this moment: it has gone on from where it stood."""
        connection = await asyncpg.connect(self._dsn)
        try:
            now = await connection.fetchval("SELECT clock_timestamp()")

            async def seen() -> bool:
                return bool(await connection.fetchval(SEEN, f"w-{slot}", now))

            await until(seen)
        finally:
            await connection.close()


async def everything_befalls(stage: Stage, office: Office) -> asyncio.Task[None]:
    """Two stopped in front of the fence of a raise, one killed, one cut off, the database restarted.

    Returns when none but the one that was started anew holds a shard; the cut goes on.
    """
    froze = await asyncio.gather(*(stage.freezes(slot, LONG_S) for slot in (UNCHECKED, CHECKED)))
    assert all(froze), "a worker raised nobody"
    cut = asyncio.create_task(stage.hosts[CUT].without_database(CUT_S))
    stage.kill(KILLED)  # its next process starts while the database does
    await stage.restart("immediate")

    async def one_holds_all() -> bool:
        return await office.holders() == {KILLED}

    await until(one_holds_all)
    return cut


async def test_what_was_stopped_in_front_of_its_fence_wakes_to_a_raise_that_only_the_check_holds_back(
    tmp_path: Path, cluster: Cluster
) -> None:
    made, dsn = site.world(SIZE, NETWORK), cluster.schema("crew")
    office = Office(dsn)
    async with (
        on_loopback(dsn, len(SLOTS)) as hosts,
        staged(cluster, dsn, made, hosts, tmp_path, lease_s=LEASE_S, unchecked={UNCHECKED}) as stage,
    ):
        site.schedule(tmp_path, made, share=LOW)
        for slot in (UNCHECKED, CHECKED):  # whoever leads must not be stopped before both have something to raise
            stage.commands[slot] += ["--role", "worker"]
        stage.start_all()
        await stage.ready(ASLEEP * site.full_w(made))

        async def all_hold() -> bool:
            return await office.holders() == set(SLOTS)

        await until(all_hold)
        stage.recorder.begin()
        site.schedule(tmp_path, made, 1, share=HIGH)
        cut = await everything_befalls(stage, office)
        stage.thaw(CHECKED)
        await office.hears_again(CHECKED)
        told = stage.recorder.told(await site.claims(dsn))
        assert (told["stale_commands"], told["over_cap"]) == (0, 0)
        assert told["takeovers"]

        stage.thaw(UNCHECKED)
        await office.hears_again(UNCHECKED)
        stale = stage.recorder.stale(await site.claims(dsn))
        assert {sent.slot for sent in stale} == {UNCHECKED}, "the judge sees what the check is for"
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
