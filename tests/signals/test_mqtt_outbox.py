"""Acks wait in the store: they outlive the process, keep their order, and are said again after a break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from typing_extensions import override

from farmctl.errors import StoreError
from farmctl.signals.mqtt import Mark, Outbox, Parcel
from tests.signals.words import Ledger, WallClock


class HandClock(WallClock):
    def __init__(self) -> None:
        self.at_ms = 1_000_000

    @override
    def now_ms(self) -> int:
        return self.at_ms


def parcel(number: int) -> Parcel:
    return Parcel(topic="site/v1/site-07/ack", payload=f'{{"n":{number}}}'.encode())


def written(number: int) -> Callable[[Mark], Parcel]:
    return lambda _: parcel(number)


def sent(box: Outbox) -> list[Parcel]:
    found = []
    while (next_one := box.oldest()) is not None:
        found.append(next_one)
        box.done(next_one)
    return found


async def opened(ledger: Ledger, clock: HandClock, *, slots: int = 8) -> Outbox:
    box = Outbox("grid", clock, slots=slots)
    await box.open(ledger)
    return box


async def test_what_was_put_before_a_crash_is_sent_after_it_in_order() -> None:
    ledger, clock = Ledger(), HandClock()
    before = await opened(ledger, clock)
    for number in range(3):
        await before.put(written(number))
    after = await opened(ledger, clock)
    await after.put(written(3))
    assert sent(after) == [parcel(n) for n in range(4)]


async def test_what_was_put_before_the_store_was_open_goes_behind_what_the_last_run_left() -> None:
    ledger, clock = Ledger(), HandClock()
    await (await opened(ledger, clock)).put(written(0))
    box = Outbox("grid", clock)
    await box.put(written(1))
    assert box.unkept == 1
    await box.open(ledger)
    assert (sent(box), box.unkept) == ([parcel(0), parcel(1)], 0)
    assert sent(await opened(ledger, clock, slots=4096)) == [parcel(0), parcel(1)]


async def test_what_the_broker_took_of_late_is_sent_once_more_after_a_break() -> None:
    ledger, clock = Ledger(), HandClock()
    box = await opened(ledger, clock)
    await box.put(written(0))
    assert sent(box) == [parcel(0)]
    clock.at_ms += 599_000
    await box.put(written(1))
    assert sent(box) == [parcel(1)]
    box.rewind()
    assert sent(box) == [parcel(0), parcel(1)]
    clock.at_ms += 600_000
    box.rewind()
    assert sent(box) == []


async def test_a_full_ring_forgets_the_oldest_and_counts_only_what_was_never_sent() -> None:
    ledger, clock = Ledger(), HandClock()
    box = await opened(ledger, clock, slots=2)
    await box.put(written(0))
    assert sent(box) == [parcel(0)]
    for number in (1, 2, 3):
        await box.put(written(number))
    assert (box.dropped, len(box), box.oldest()) == (1, 2, parcel(2))
    assert sent(await opened(ledger, clock, slots=2)) == [parcel(2), parcel(3)]


async def test_only_the_parcel_at_the_front_can_be_done() -> None:
    box = await opened(Ledger(), HandClock())
    for number in range(2):
        await box.put(written(number))
    box.done(parcel(1))
    assert len(box) == 2


async def test_a_store_that_fails_costs_durability_and_not_the_ack() -> None:
    class Full(Ledger):
        @override
        async def keep(self, states: Mapping[str, bytes]) -> None:
            raise StoreError("disk full")

    box = await opened(Full(), HandClock())
    await box.put(written(0))
    assert (box.unkept, sent(box)) == (1, [parcel(0)])


async def test_what_a_full_disk_refused_is_kept_as_soon_as_there_is_room() -> None:
    class Filling(Ledger):
        is_full = False

        @override
        async def keep(self, states: Mapping[str, bytes]) -> None:
            if self.is_full:
                raise StoreError("disk full")
            await super().keep(states)

    ledger, clock = Filling(), HandClock()
    box = await opened(ledger, clock)
    ledger.is_full = True
    await box.put(written(0))
    ledger.is_full = False
    await box.keep()
    assert box.unkept == 0
    assert sent(await opened(ledger, clock)) == [parcel(0)]


async def test_what_is_put_while_the_last_run_is_being_read_is_not_lost() -> None:
    class Slow(Ledger):
        @override
        async def state(self, name: str) -> bytes | None:
            await asyncio.sleep(0)
            return await super().state(name)

    ledger, clock = Slow(), HandClock()
    await (await opened(ledger, clock)).put(written(0))
    box = Outbox("grid", clock, slots=8)
    opening = asyncio.ensure_future(box.open(ledger))
    await asyncio.sleep(0)
    await box.put(written(1))
    await opening
    assert sent(box) == [parcel(0), parcel(1)]
    assert sent(await opened(ledger, clock)) == [parcel(0), parcel(1)]


async def test_rubbish_in_a_slot_loses_that_slot_only() -> None:
    ledger, clock = Ledger(), HandClock()
    box = await opened(ledger, clock)
    for number in range(3):
        await box.put(written(number))
    ledger.states["signals.grid.outbox.1"] = b"\xff"
    assert sent(await opened(ledger, clock)) == [parcel(0), parcel(2)]
