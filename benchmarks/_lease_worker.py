"""A worker for the lease chaos: holds shards, moves power between them, and sends every command to a recorder.

Its miners are the recorder: one set-point per shard, W, by a datagram `shard epoch target_w` in order of arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from farmctl.core.model import MinerId
from farmctl.errors import RefusedError, StoreError
from farmctl.store.fenced import FencedWrites, OverCapError, Wish
from farmctl.store.leases import Lease, LeaseKeeper, Terms
from farmctl.store.postgres import pool_of

PLAN_REV = 1
BETWEEN_SENDS_S = 0.02
"""Commands of one transaction leave paced, as wakes do: this is where a stop of the process hits."""
STEP_W = 500.0


class Worker:
    """One process's share of the site."""

    def __init__(self, keeper: LeaseKeeper, writes: FencedWrites, recorder: Path, *, checked: bool) -> None:
        self._keeper, self._writes, self._checked = keeper, writes, checked
        self._wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._wire.connect(str(recorder))
        self._dice = random.Random()  # noqa: S311 - no secret; every run is another history

    async def run(self) -> None:
        """Beat and command until killed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._command())

    async def _beat(self) -> None:
        while True:
            with suppress(StoreError):  # leases run out by themselves
                await self._keeper.beat()
            await asyncio.sleep(0.2)

    async def _command(self) -> None:
        while True:
            leases = list(self._keeper.held.values())
            self._dice.shuffle(leases)
            ready: list[tuple[Lease, float]] = []
            for lease in leases:
                with suppress(RefusedError, StoreError):
                    ready.append((lease, await self._written(lease)))
            for lease, target_w in ready:
                await asyncio.sleep(BETWEEN_SENDS_S)
                self._send(lease, target_w)
            if ready:
                with suppress(RefusedError, StoreError):
                    await self._moved(*ready[0])
            await asyncio.sleep(BETWEEN_SENDS_S)

    async def _written(self, lease: Lease) -> float:
        share_w = await self._writes.share_w(lease.shard)
        wish = Wish(miner_id=MinerId(lease.shard), action="throttle", target_w=share_w)
        await self._writes.raise_power(lease, PLAN_REV, [wish], share_w)
        return share_w

    async def _moved(self, lease: Lease, share_w: float) -> None:
        """Lower one shard on the wire, give what came free, and let another of ours take what the site has left."""
        less_w = max(share_w - STEP_W, 0.0)
        wish = Wish(miner_id=MinerId(lease.shard), action="throttle", target_w=less_w)
        await self._writes.lower(lease.shard, lease.epoch, PLAN_REV, [wish])
        if not self._send(lease, less_w):
            return
        await self._writes.give(lease, less_w, confirmed_w=less_w)
        others = [other for other in self._keeper.held.values() if other.shard != lease.shard]
        if others:
            with suppress(OverCapError):
                await self._writes.take(self._dice.choice(others), STEP_W)

    def _send(self, lease: Lease, target_w: float) -> bool:
        line = f"{lease.shard} {lease.epoch} {target_w}".encode()
        if self._checked and not self._keeper.may_send(lease):
            return False
        self._wire.send(line)
        return True


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--recorder", type=Path, required=True)
    parser.add_argument("--ttl", type=float, required=True)
    parser.add_argument("--unchecked", action="store_true")
    asked = parser.parse_args()
    pool = await pool_of(asked.dsn, 3)
    terms = Terms(ttl_s=asked.ttl, renew_s=asked.ttl / 3, guard_s=asked.ttl / 3)
    keeper = LeaseKeeper(pool, f"worker-{uuid.uuid4()}", terms)
    await Worker(keeper, FencedWrites(pool), asked.recorder, checked=not asked.unchecked).run()


if __name__ == "__main__":
    asyncio.run(_main())
