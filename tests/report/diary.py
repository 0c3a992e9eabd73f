"""Journals to report from: a day in virtual time written down as the controller writes it, and power made by hand."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import override

from farmctl.core.grid import SignalMessage
from farmctl.engine.records import command_records, decision_record, transition_records
from farmctl.engine.settlement import Facts, SettlementSeries
from farmctl.ports.series import SITE_COLUMNS, SeriesPage, pack
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, Store
from tests.scenarios.day import Day

MESSAGE: TypeAdapter[SignalMessage] = TypeAdapter(SignalMessage)
PAGE_SAMPLES = 20
PRICES: dict[str, JsonValue] = {
    "currency": "USD",
    "tariff_per_kwh": 0.05,
    "hash_price_per_th_day": 0.06,
    "paid_per_mwh": 12.0,
    "shortfall_per_mwh": 25.0,
    "method": "MBMA",
}


def facts(day: Day) -> Facts:
    rows = day.rows
    part_of = (np.arange(rows) % 2).astype(np.int16)
    miners = {
        str(m): [0, int(part_of[row]), round(float(day.farm.full_w[row]))] for row, m in enumerate(day.table.miner_id)
    }
    body: dict[str, JsonValue] = {
        "site": "site-07",
        "timezone": "Asia/Karachi",
        "version": "0.1.0",
        "config_sha256": "0" * 64,
        "rated_w": day.rated_w,
        "firm_w": day.rules.failsafe_limit_w,
        "free_w": day.rules.standing_w if day.rules.standing_w is not None else day.rules.failsafe_limit_w,
        "prices": PRICES,
        "groups": ["fast 1.0"],
        "parts": [{"container": "C1", "owner": "acme"}, {"container": "C2", "owner": "bravo"}],
        "meter": ["main"],
        "meter_period_s": 1.0,
    }
    return Facts(
        body=body,
        blob=zlib.compress(json.dumps(miners).encode()),
        part_of=part_of,
        parts=2,
        meter_node=np.array([-1, -1], dtype=np.int64),
        container_of=np.array([0, 1], dtype=np.int16),
    )


class DayClock(Clock):
    """The time of a `Day`."""

    def __init__(self, day: Day) -> None:
        self._day = day

    @override
    def now_ms(self) -> int:
        return self._day.now_ms

    @override
    def monotonic_s(self) -> float:
        return self._day.now_ms / 1e3

    @override
    async def sleep(self, seconds: float) -> None:
        self._day.now_ms += int(seconds * 1e3)


class Diary:
    """Writes a `Day` into a store, cycle by cycle."""

    def __init__(self, day: Day, store: Store) -> None:
        self.day = day
        self.store = store
        self.series = SettlementSeries(store, DayClock(day), facts(day))
        self.sampled = True

    async def run(self, seconds: int, each: Callable[[], None] | None = None) -> Diary:
        for _ in range(seconds):
            signals = [self._signal(message) for message in self.day.inbox]
            self.day.run(1)
            if each is not None:
                each()
            decision, view = self.day.decision, self.day.view()
            records = [*signals, decision_record(view, decision, ()), *transition_records(decision)]
            await self.store.append([*records, *command_records(decision)])
            if self.sampled:
                live = any(track.live for track in self.day.memory.tracks)
                self.series.see(view, decision, live=live)
                self.series._sample()
                if len(self.series._site) >= PAGE_SAMPLES or self.series._due():
                    await self.series._flush()
        await self.series._flush()
        return self

    def _signal(self, message: SignalMessage) -> JournalRecord:
        body: dict[str, JsonValue] = {
            "source": "grid",
            "topic": "t",
            "message": MESSAGE.dump_python(message, mode="json"),
            "kind": type(message).__name__,
            "raw": '{"programID": "surplus"}',
        }
        return JournalRecord(kind=RecordKind.SIGNAL, at_ms=self.day.now_ms, body=body)

    def metered(self, from_ms: int, to_ms: int) -> list[tuple[int, float]]:
        """What the meter truly showed, whole watts as it was recorded."""
        return [(at, float(round(w))) for at, w in self.day.meter if from_ms <= at <= to_ms]


async def handmade(store: Store, day: Day, power_w: Sequence[tuple[int, float]]) -> None:
    """Series records of any power at any time, a page an hour, none of the rest."""
    made = facts(day)
    told = JournalRecord(
        kind=RecordKind.CONFIG, at_ms=power_w[0][0], body={"what": "settlement", **made.body}, blob=made.blob
    )
    stored = await store.append([told])
    assert stored is not None
    for begin in range(0, len(power_w), 3600):
        rows = power_w[begin : begin + 3600]
        site = np.zeros((len(SITE_COLUMNS), len(rows)), dtype=np.int64)
        at_ms = np.array([at for at, _ in rows], dtype=np.int64)
        site[0], site[1] = at_ms, at_ms
        site[2] = site[4] = site[5] = [round(w) for _, w in rows]
        page = SeriesPage(site=site, parts_at_ms=np.zeros(0, dtype=np.int64), parts=np.zeros((3, 2, 0), dtype=np.int64))
        body: dict[str, JsonValue] = {
            "facts": stored.seq, "from_ms": rows[0][0], "to_ms": rows[-1][0], "samples": len(rows)
        }  # fmt: skip
        await store.append([JournalRecord(kind=RecordKind.SERIES, at_ms=rows[-1][0], body=body, blob=pack(page))])


def trapezoids(points: Sequence[tuple[int, float]]) -> float:
    """Watt-hours, one second after the other."""
    return sum((b[0] - a[0]) / 3_600_000 * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
