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


async def test_parts_that_end_slowly_take_nobody_along_who_was_there_before_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "MISSED_S", 0.02)
    stop, ended = asyncio.Event(), asyncio.Event()

    async def worker() -> None:
        """Always on its way out of a timeout, with a cancel of its own in hand."""
        while not ended.is_set():
            try:
                async with asyncio.timeout(0.0):
                    try:
                        await asyncio.Event().wait()
                    finally:
                        await asyncio.sleep(0.01)
            except TimeoutError:
                continue

    async def lead() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)

    async with asyncio.timeout(10.0), asyncio.TaskGroup() as tasks:
        beside = tasks.create_task(worker())
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.05, stop.set)
        await supervise({"lead": lead}, stop)
        assert not beside.done(), "it was cancelled together with the lead"
        ended.set()
