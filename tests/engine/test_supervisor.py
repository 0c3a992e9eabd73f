"""Parts that run together end together, also one that misses the moment at which it is told to."""

from __future__ import annotations

import asyncio

import pytest

from farmctl.engine import supervisor
from farmctl.engine.supervisor import supervise


async def test_a_part_that_loses_its_cancel_in_wait_for_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MISSED_S", 0.05)
    stop, receipt, missed = asyncio.Event(), asyncio.Event(), list[bool]()

    async def deliver() -> None:
        try:
            await asyncio.wait_for(receipt.wait(), timeout=30.0)
        except asyncio.CancelledError:  # the same loss, for a Python whose wait_for no longer has it
            missed.append(True)
        await asyncio.Event().wait()

    async def part() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deliver())

    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(10.0):
        await supervise({"signal": part}, stop)
    assert missed == [True]
