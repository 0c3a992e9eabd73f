"""The settlement series: what the meter showed is in the journal, at one second, whatever the disk did."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from farmctl.core.units import MS_PER_S
from farmctl.engine.clock import SystemClock
from farmctl.engine.settlement import Facts, SettlementSeries, site_sample
from farmctl.errors import StoreError
from farmctl.ports.series import SITE_COLUMNS, UNKNOWN, SeriesPage, pack, unpack
from farmctl.ports.store import JournalRecord, RecordKind, StoredRecord
from farmctl.store.memory import MemoryStore
from tests.scenarios.day import Day, farm

NUMBERS = st.integers(-(2**53), 2**53)


class FullDisk(MemoryStore):
    """Refuses while it is full."""

    full = True

    @override
    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        if self.full:
            raise StoreError("no room")
        return await super().append(records, states)


def facts(rows: int) -> Facts:
    return Facts(
        body={"site": "s"},
        blob=b"",
        part_of=(np.arange(rows) % 3).astype(np.int16),
        parts=3,
        meter_node=np.full(3, -1),
        container_of=np.arange(3, dtype=np.int16),
    )


@given(st.data())
def test_a_page_comes_back_as_it_was_packed(data: st.DataObject) -> None:
    samples, parts_at = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 3))
    width = data.draw(st.integers(0, 3))
    site = data.draw(st.lists(NUMBERS, min_size=len(SITE_COLUMNS) * samples, max_size=len(SITE_COLUMNS) * samples))
    part = data.draw(st.lists(NUMBERS, min_size=3 * width * parts_at, max_size=3 * width * parts_at))
    page = SeriesPage(
        site=np.array(site, dtype=np.int64).reshape(len(SITE_COLUMNS), samples),
        parts_at_ms=np.arange(parts_at, dtype=np.int64),
        parts=np.array(part, dtype=np.int64).reshape(3, width, parts_at),
    )
    if not samples:
        return
    found = unpack(pack(page))
    assert (found.site == page.site).all()
    assert (found.parts_at_ms == page.parts_at_ms).all()
    assert (found.parts == page.parts).all()


@pytest.mark.parametrize("bad", [b"", b"FSP1", struct.pack("<4sIIIHH", b"FSP1", 9, 0, 0, 17, 3) + b"junk"])
def test_a_damaged_page_is_an_error_of_the_store(bad: bytes) -> None:
    with pytest.raises(StoreError, match="unreadable"):
        unpack(bad)


def test_a_sample_says_what_the_meter_and_the_miners_showed() -> None:
    day = Day(farm(60, feeders=2, aux_w=9_000.0)).run(30)
    figures = dict(zip(SITE_COLUMNS, site_sample(day.view(), day.decision), strict=True))
    assert figures["meter_w"] == round(day.decision.site.power_w)
    assert sum(figures[state] for state in SITE_COLUMNS[11:]) == 60
    assert figures["hashing"] > 50
    assert figures["could_w"] == pytest.approx(day.power_w, rel=0.02)
    assert figures["temperature_dc"] == UNKNOWN or figures["temperature_dc"] > 0


async def test_samples_of_a_full_disk_are_written_when_there_is_room_and_none_is_lost() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), FullDisk()
    series = SettlementSeries(store, SystemClock(), facts(30))
    seconds: list[int] = []

    async def look(times: int) -> None:
        for _ in range(times):
            day.run(1)
            seconds.append(day.now_ms // MS_PER_S)
            series.see(day.view(), day.decision, live=False)
            await asyncio.to_thread(series._sample)
        await series._flush()

    await look(5)
    assert await store.head() is None
    store.full = False
    await look(5)
    kinds = frozenset({RecordKind.SERIES})
    found = [unpack(each.record.blob) async for each in store.records(kinds=kinds)]
    assert [int(at) // MS_PER_S for page in found for at in page.column("at_ms")] == seconds
    told = [each async for each in store.records()]
    assert told[0].record.body["what"] == "settlement"
    assert told[1].record.body["facts"] == told[0].seq
