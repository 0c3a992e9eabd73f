"""What a poll costs pyasic and pyasic_rs: CPU of this process, all threads, for the miners that they identify."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchmarks._poll_cost import cost

IDENTIFY_IN_FLIGHT = 20
DEADLINE_S = 60.0
ROUNDS = 3


async def pyasic_ms(hosts: Sequence[str]) -> float | None:
    """CPU ms of one `get_data`; None where it identifies none of them."""
    import pyasic  # noqa: PLC0415 - costs most of a second, only where it is measured

    return await _measured(await _found(pyasic.get_miner, hosts))


async def pyasic_rs_ms(hosts: Sequence[str]) -> float | None:
    """The same of pyasic_rs; None also where it is not installed."""
    try:
        from pyasic_rs import MinerFactory  # noqa: PLC0415 - a peer, not a dependency
    except ImportError:
        return None
    return await _measured(await _found(MinerFactory().get_miner, hosts))


async def _measured(found: Sequence[Any]) -> float | None:
    if not found:
        return None

    async def poll(index: int) -> None:
        with contextlib.suppress(Exception):  # what they cannot read costs them too
            await asyncio.wait_for(found[index].get_data(), DEADLINE_S)

    await poll(0)
    rounds = [(await cost(poll, len(found))).cpu_ms for _ in range(ROUNDS)]
    return round(sorted(rounds)[ROUNDS // 2], 3)


async def _found(get_miner: Callable[[str], Awaitable[Any]], hosts: Sequence[str]) -> list[Any]:
    """Let a foreign library identify the hosts, a few at a time: above some hundreds it finds none."""
    slots = asyncio.Semaphore(IDENTIFY_IN_FLIGHT)

    async def one(host: str) -> Any:
        async with slots:
            with contextlib.suppress(Exception):
                return await asyncio.wait_for(get_miner(host), DEADLINE_S)
        return None

    found = await asyncio.gather(*(one(host) for host in hosts))
    return [miner for miner in found if miner is not None and type(miner).__name__ != "UnknownMiner"]
