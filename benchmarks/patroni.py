"""The shipped Patroni example with real etcd and PostgreSQL: the primary's whole host is lost, the standby takes over.

Two hosts and a witness on loopback addresses run what `configs/patroni` says; the store writes a record at a time with
the workers' login, through the DSN that the example names.  Each time kill -9 ends everything on the primary's host,
etcd too, and it comes back later by itself.  How long nothing durable was written is mostly Patroni's ttl.

Exit 1 where an acknowledged record was lost or the chain is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import uvloop

from benchmarks._host import StealWatch
from benchmarks._patroni import HOSTS, SECRET, SHIPPED, USER, Host, binaries, missing, three, until_paired
from benchmarks.failover import Load
from farmctl.store.journal import Intact
from farmctl.store.postgres import migrated, open_postgres

LOAD_S = 5.0
AGAIN_S = 0.1
PATIENCE_S = 120.0


def dsn(login: str) -> str:
    """As the example says, for one of the logins of `roles.sql`."""
    servers = f"{HOSTS['db-a']}:5432,{HOSTS['db-b']}:5432"
    return f"postgresql://{login}:{SECRET}@{servers}/farmctl?target_session_attrs=primary"


def roles(primary: Host) -> None:
    """What the database's administrator does once, on the primary's host."""
    secrets = [f"--set={name}={SECRET}" for name in ("owner_password", "farmctl_password")]
    script = (SHIPPED / "roles.sql").read_bytes()
    subprocess.run(  # noqa: S603 - our own words
        [f"{binaries()}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *secrets, "-h", str(primary.folder), "postgres"],
        input=script, user=USER, extra_groups=[], cwd="/", check=True, timeout=PATIENCE_S,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


async def losses(hosts: dict[str, Host], times: int) -> dict[str, Any]:
    """Lose the primary's host so many times."""
    primary, _ = await until_paired(hosts)
    await asyncio.to_thread(roles, primary)
    await migrated(dsn("farmctl_owner"))
    store = await open_postgres(dsn("farmctl"))
    load, gaps_s, lost = Load(store), list[float](), 0
    loading = asyncio.create_task(load.run())
    try:
        for _ in range(times):
            primary, _ = await until_paired(hosts)
            await asyncio.sleep(LOAD_S)
            load.gap_s = 0.0
            await asyncio.to_thread(primary.lose)
            lost_s = time.monotonic()
            async with asyncio.timeout(PATIENCE_S):
                while load.last_s < lost_s:  # noqa: ASYNC110 - the load counts on regardless
                    await asyncio.sleep(AGAIN_S)
            gaps_s.append(round(load.gap_s, 2))
            primary.start()
            lost += await load.lost()
        await until_paired(hosts)
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    intact = isinstance(await store.verify(), Intact)
    await store.close()
    return {
        "hosts_lost": times, "acknowledged": len(load.acknowledged), "lost": lost, "chain_ok": intact,
        "write_gap_max_s": max(gaps_s, default=0.0), "write_gaps_s": gaps_s,
    }  # fmt: skip


def main() -> int:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="Accepted for likeness; the output always is.")
    asked = parser.parse_args()
    if (wanted := missing()) is not None:
        print(f"not here: {wanted}", file=sys.stderr)
        return 2
    steal = StealWatch()
    with three() as hosts:
        told = uvloop.run(losses(hosts, asked.times))
    print(json.dumps(told | {"steal_pct": steal.steal_pct()}))
    return 1 if told["lost"] or not told["chain_ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
