"""The site of the lease chaos: its shards, its cap, and the recorder that stands for all of its miners."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

from farmctl.store.fenced import FencedWrites
from farmctl.store.leases import LeaseKeeper
from farmctl.store.postgres import migrated, pool_of

SITE = "site-07"
CAP_W = 320_000.0
PATIENCE_S = 120.0
DAY_S = 86_400.0
LONGEST = 256


class Recorder:
    """Every command in order of arrival: datagrams of one Unix socket are one queue."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)  # noqa: FBT003 - its one way
        self._epoch: dict[str, int] = {}
        self._target_w: dict[str, float] = {}
        self._last_s: dict[str, float] = {}
        self._gaps_s: list[float] = []
        self._gaps_without_database_s: list[float] = []
        self.database_back_s = float("-inf")
        """When the last crash of the database was over; a gap that began before it is told apart."""
        self._wanted, self._complete = 0, asyncio.Event()
        self.commands = self.stale = self.over_cap = 0

    async def run(self) -> None:
        """Record until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._take(await loop.sock_recv(self._socket, LONGEST))

    async def all_shards(self, shards: int) -> None:
        """Wait until every shard was commanded."""
        self._wanted = shards
        async with asyncio.timeout(PATIENCE_S):
            await self._complete.wait()

    def told(self) -> dict[str, object]:
        """The counts, and how long a shard was without commands at a change of holder."""
        return {
            "commands": self.commands,
            "stale_commands": self.stale,
            "over_cap": self.over_cap,
            **_gaps("takeover", self._gaps_s),
            **_gaps("crash_takeover", self._gaps_without_database_s),
        }

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _take(self, line: bytes) -> None:
        shard, epoch, target_w = line.decode().split()
        now_s, seen = time.monotonic(), self._epoch.get(shard, 0)
        self.commands += 1
        if int(epoch) < seen:
            self.stale += 1
        elif int(epoch) > seen and seen:
            crashed = self._last_s[shard] < self.database_back_s
            (self._gaps_without_database_s if crashed else self._gaps_s).append(now_s - self._last_s[shard])
        self._epoch[shard] = max(int(epoch), seen)
        self._last_s[shard] = now_s
        if 0 < self._wanted <= len(self._epoch):
            self._complete.set()
        # A miner obeys whoever speaks to it, also one that should not.
        self._target_w[shard] = float(target_w)
        if sum(self._target_w.values()) > CAP_W + 1e-6:
            self.over_cap += 1


def _gaps(name: str, gaps_s: list[float]) -> dict[str, object]:
    inorder = sorted(gaps_s) or [0.0]
    return {
        f"{name}s": len(gaps_s),
        f"{name}_p50_s": round(inorder[len(inorder) // 2], 2),
        f"{name}_p99_s": round(inorder[min(int(len(inorder) * 0.99), len(inorder) - 1)], 2),
        f"{name}_max_s": round(inorder[-1], 2),
    }


async def prepared(dsn: str, shards: int) -> None:
    """Migrate, and share most of the cap out evenly under a plan for a day."""
    await migrated(dsn)
    pool = await pool_of(dsn, 1)
    writes, names = FencedWrites(pool), [f"C{number:03}" for number in range(shards)]
    await LeaseKeeper(pool, "preparing").add_shards(names)
    await writes.set_cap(SITE, CAP_W)
    for name in names:
        await writes.add_share(SITE, name, CAP_W / shards)
    await writes.publish(SITE, 1, CAP_W, DAY_S, "chaos")
    await pool.close()
