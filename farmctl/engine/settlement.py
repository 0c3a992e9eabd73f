"""Keeps the settlement series: a sample a second off the loop, a page a minute in the journal, sooner in an event."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from farmctl.core.confirm import nominal_w, top_step
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.model import MinerState, Quality
from farmctl.core.step import Decision
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, CodeColumn, IntColumn
from farmctl.errors import StoreError
from farmctl.ports.series import QUALITIES, SETTLEMENT_FACTS, UNKNOWN, SeriesPage, SitePart, pack
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, Store

log = structlog.get_logger(__name__)

PAGE_MS = 60_000
EVENT_PAGE_MS = 30_000
"""A crash may lose so much of the series; the gap shows in every report."""
PARTS_MS = 10_000
"""Containers and owners between events; in an event they are sampled like the site."""
MOST_WAITING = 5
"""Pictures held for the thread; each may be megabytes."""
MOST_SAMPLES = 3_600
"""An hour is kept for a disk that is full; then the oldest are given up."""
HASHES_PER_GIGAHASH = HASHES_PER_TERAHASH / 1e3
FloatMatrix = NDArray[np.float64]
_RUNNING = (MinerState.HASHING, MinerState.THROTTLED, MinerState.CURTAILED, MinerState.BOOTING)
_STATES = (*_RUNNING, MinerState.FAULT)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Facts:
    """What a report must know of the site besides the series; journalled once per run."""

    body: dict[str, JsonValue]
    blob: bytes
    part_of: CodeColumn
    """Part of every row, in the order of the table."""
    parts: int
    meter_node: IntColumn
    """Circuit whose meter measures the container of each part and nothing else; -1 for none."""
    container_of: CodeColumn
    """Container of each part, as a number."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    view: FleetView
    decision: Decision
    live: bool


class SettlementSeries:
    """Samples pictures and journals them as pages; late or lost pages never hold the control loop up."""

    def __init__(self, store: Store, clock: Clock, facts: Facts) -> None:
        self._store = store
        self._clock = clock
        self._facts = facts
        self._facts_seq = 0
        self._waiting: deque[_Seen] = deque(maxlen=MOST_WAITING)
        self._last_s = -1
        self._site: list[list[int]] = []
        self._parts: list[tuple[int, FloatMatrix]] = []
        self._parts_ms = 0
        self._live = False
        self._ended = False
        self._failing = False

    def see(self, view: FleetView, decision: Decision, *, live: bool) -> None:
        """Take one cycle, the first of its second; `live`: an event is under way. Never waits."""
        second = decision.at_ms // MS_PER_S
        if second != self._last_s:
            self._last_s = second
            self._waiting.append(_Seen(view, decision, live))

    async def run(self) -> None:
        """Sample and journal until cancelled; then journal the rest."""
        try:
            while True:
                await self._clock.sleep(1.0)
                await self.beat()
        finally:
            await asyncio.shield(self.finish())

    async def beat(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Sample what waits, and journal the page where it is due.

        `before` writes what the caller holds back: the journal is searched by time, so its records keep to their order.
        """
        await asyncio.to_thread(self._sample)
        if self._due():
            if before is not None:
                await before()
            await self._flush()

    async def finish(self) -> None:
        """Journal the rest."""
        await asyncio.to_thread(self._sample)
        await self._flush()

    def _due(self) -> bool:
        if not self._site:
            return False
        age_ms = self._site[-1][0] - self._site[0][0]
        ended, self._ended = self._ended, False
        return ended or age_ms >= (EVENT_PAGE_MS if self._live else PAGE_MS)

    def _sample(self) -> None:
        while self._waiting:
            seen = self._waiting.popleft()
            self._ended = self._ended or (self._live and not seen.live)
            self._live = seen.live
            self._site.append(site_sample(seen.view, seen.decision))
            at_ms = seen.decision.at_ms
            if seen.live or at_ms - self._parts_ms >= PARTS_MS:
                self._parts_ms = at_ms
                self._parts.append((at_ms, part_sample(seen.view, seen.decision, self._facts)))

    async def _flush(self) -> None:
        if not self._site:
            return
        site, parts = self._site, self._parts
        self._site, self._parts = [], []
        try:
            if not self._facts_seq:
                self._facts_seq = await self._write_facts()
            blob = await asyncio.to_thread(_packed, site, parts, self._facts.parts)
            body: dict[str, JsonValue] = {
                "facts": self._facts_seq, "from_ms": site[0][0], "to_ms": site[-1][0], "samples": len(site)
            }  # fmt: skip
            # Stamped when it is written: the journal is searched by time, and a page may wait for a disk.
            at_ms = self._clock.now_ms()
            await self._store.append([JournalRecord(kind=RecordKind.SERIES, at_ms=at_ms, body=body, blob=blob)])
        except StoreError as error:
            if not self._failing:
                log.warning("series_failed", error=str(error), effect="kept for an hour, then a gap in the reports")
            self._failing = True
            self._site, self._parts = (site + self._site)[-MOST_SAMPLES:], (parts + self._parts)[-MOST_SAMPLES:]
        else:
            self._failing = False

    async def _write_facts(self) -> int:
        at_ms = self._clock.now_ms()
        body = {"what": SETTLEMENT_FACTS, **self._facts.body}
        record = JournalRecord(kind=RecordKind.CONFIG, at_ms=at_ms, body=body, blob=self._facts.blob)
        stored = await self._store.append([record])
        return stored.seq if stored is not None else 0


def site_sample(view: FleetView, decision: Decision) -> list[int]:
    """One value per column of `SITE_COLUMNS`; O(rows)."""
    site, seen, table, meter = decision.site, decision.seen, view.table, view.meter
    running = seen.fresh & np.isin(table.state, _RUNNING) & (table.ladder != NO_LADDER)
    full_w = np.where(running, nominal_w(view, top_step(view)), seen.power_now_w)
    hash_hs = np.where(seen.fresh, np.nan_to_num(table.hash_rate_hs, nan=0.0), 0.0)
    full_hs = hash_hs.copy()
    full_hs[running] = view.ladders.hash_rate_hs.max(axis=1)[table.ladder[running]] if running.any() else 0.0
    states = np.bincount(table.state[seen.fresh], minlength=len(MinerState))
    counted = [int(states[state]) for state in _STATES]
    warm = table.temperature_c[seen.fresh & np.isfinite(table.temperature_c)]
    quality = meter.quality if site.metered or meter.quality is not Quality.OK else Quality.MISSING
    metered = quality is not Quality.MISSING and meter.at_ms >= 0
    return [
        decision.at_ms,
        meter.at_ms if metered else decision.at_ms,
        _whole(meter.power_w) if metered else UNKNOWN,
        QUALITIES.index(quality),
        _whole(float(seen.power_now_w.sum())),
        _whole(site.gain * float(full_w.sum()) + site.unexplained_w),
        _whole(decision.budget.target_w),
        _whole(decision.budget.ceiling_w),
        _whole(float(hash_hs.sum()) / HASHES_PER_GIGAHASH),
        _whole(float(full_hs.sum()) / HASHES_PER_GIGAHASH),
        _whole(float(warm.mean()) * 10.0) if len(warm) else UNKNOWN,
        *counted,
        len(table) - sum(counted),
    ]


def part_sample(view: FleetView, decision: Decision, facts: Facts) -> FloatMatrix:
    """Figures of every part, shape (len(SitePart), parts); O(rows)."""
    seen, table = decision.seen, view.table
    hash_hs = np.where(seen.fresh, np.nan_to_num(table.hash_rate_hs, nan=0.0), 0.0)
    power_w = np.bincount(facts.part_of, weights=seen.power_now_w, minlength=facts.parts).astype(np.float64)
    hash_rate = np.bincount(facts.part_of, weights=hash_hs, minlength=facts.parts).astype(np.float64)
    container_w = np.bincount(facts.container_of, weights=power_w)[facts.container_of]
    share = np.divide(power_w, container_w, out=np.full(facts.parts, np.nan), where=container_w > 0)
    metered_w = np.where(facts.meter_node >= 0, view.circuits.meter_w[facts.meter_node], np.nan) * share
    return np.stack([power_w, hash_rate / HASHES_PER_GIGAHASH, metered_w])


def _packed(site: list[list[int]], parts: list[tuple[int, FloatMatrix]], width: int) -> bytes:
    figures = np.array([matrix for _, matrix in parts]).reshape(len(parts), len(SitePart), width)
    whole = np.where(np.isfinite(figures), np.rint(np.nan_to_num(figures)), UNKNOWN).astype(np.int64)
    page = SeriesPage(
        site=np.array(site, dtype=np.int64).T,
        parts_at_ms=np.array([at_ms for at_ms, _ in parts], dtype=np.int64),
        parts=whole.transpose(1, 2, 0),
    )
    return pack(page)


def _whole(value: float) -> int:
    return round(value) if math.isfinite(value) else UNKNOWN
