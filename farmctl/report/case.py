"""Everything that a report of one event is computed from, read once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farmctl.core.grid import EventState
from farmctl.errors import StoreError
from farmctl.ports.series import SETTLEMENT_FACTS
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.report import source
from farmctl.report.series import MAX_GAP_MS, Page, SiteSeries, joined, pages
from farmctl.report.source import Journal, Life, Version

BEFORE_MS = 15 * 60_000
"""The baseline looks back so far (SIGNALS section 12: the last 5-15 min)."""
AFTER_MS = 15 * 60_000
"""The return is watched for so long (acceptance target 8: 95 % of the hash rate within 15 min)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SiteFacts:
    """What the controller said of the site when it started."""

    seq: int
    body: Mapping[str, Any]
    miners: Mapping[str, tuple[int, int, int]]
    """Miner -> index of its firmware group, index of its part, full draw in W."""

    def group(self, miner: str) -> str:
        """Model and firmware."""
        known = self.miners.get(miner)
        return str(self.body["groups"][known[0]]) if known is not None else "unknown"

    def full_w(self, miner: str) -> float:
        """Full draw, W; 0 for a miner that was not in the inventory."""
        return float(self.miners[miner][2]) if miner in self.miners else 0.0

    @property
    def prices(self) -> Mapping[str, Any]:
        """The [settlement] table of that run."""
        found: Mapping[str, Any] = self.body["prices"]
        return found


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Case:
    """One event with all records around it."""

    nth: int
    """Which time that the event was live."""
    versions: tuple[Version, ...]
    moves: tuple[StoredRecord, ...]
    """EVENT records of this event, oldest first."""
    records: tuple[StoredRecord, ...]
    """All kinds, from the look-back to the look-ahead."""
    used: tuple[StoredRecord, ...]
    """`records`, the signals and the facts: the inputs that the digest covers."""
    pages: tuple[Page, ...]
    series: SiteSeries
    """From the look-back to the horizon, with a gap's length more on both sides: lines are cut, not samples."""
    facts: SiteFacts
    start_ms: int
    end_ms: int
    horizon_ms: int
    """End of the look-ahead: another event began, or the time was up."""
    next_event: str
    """Event that ended the look-ahead; empty for none."""
    ended: bool
    """Its end is in the journal."""
    final: bool
    """The journal goes beyond the horizon: no later report differs."""

    @property
    def event_id(self) -> str:
        """Name of the event."""
        return self.versions[-1].event.event_id

    @property
    def state(self) -> str:
        """Where the event has got to."""
        return str(self.moves[-1].record.body["state"]) if self.moves else EventState.RECEIVED.value

    @property
    def known_until_ms(self) -> int:
        """The horizon; before the report is final no later than the last sample."""
        last_ms = int(self.series.at_ms[-1]) if len(self.series.at_ms) else self.end_ms
        return self.horizon_ms if self.final else max(min(self.horizon_ms, last_ms), self.end_ms)

    def others_live(self, from_ms: int, to_ms: int) -> list[str]:
        """Other events that were under way in a stretch."""
        return other_events(self.records, self.event_id, from_ms, to_ms)


async def gather(journal: Journal, event_id: str, lives: Mapping[str, Life] | None = None, nth: int = 0) -> Case:
    """Read one event: the last time, or the nth time, that it was live.

    Raises NoSuchEventError, NeverLiveError; StoreError where the journal has no series for it.
    """
    life = source.of_event(await source.lives(journal, event_id) if lives is None else lives, event_id, nth)
    stated, moves = tuple(life.versions), tuple(life.moves)
    last = stated[-1].event
    earliest_ms = min(each.event.start_ms for each in stated)
    horizon_ms = max(each.event.end_ms for each in stated) + AFTER_MS
    around = await source.window(journal, earliest_ms - BEFORE_MS, horizon_ms + AFTER_MS)
    records = around.records
    active = [each.record.at_ms for each in moves if each.record.body["state"] == source.LIVE_WORD]
    start_ms = active[0] if active else last.start_ms
    ended = [each.record.at_ms for each in moves if each.record.body["state"] in source.TERMINAL_WORDS]
    end_ms = max(ended[-1] if ended else last.end_ms, start_ms)
    other = _next_start(records, event_id, end_ms)
    horizon_ms = min(end_ms + AFTER_MS, *([other[0]] if other else [horizon_ms + AFTER_MS]))
    inside = [each for each in records if _within(each, start_ms - BEFORE_MS, horizon_ms)]
    found = pages(inside)
    if not found:
        raise StoreError(f"event {event_id}: the journal holds no series of the site's power around it")
    facts = await facts_of(journal, found)
    signals = [await source.record_at(journal, each.seq) for each in stated]
    fact_records = [await source.record_at(journal, each.seq) for each in facts]
    used = {each.seq: each for each in (*inside, *moves, *signals, *fact_records)}
    return Case(
        nth=life.nth,
        versions=stated,
        moves=moves,
        records=tuple(inside),
        used=tuple(used[seq] for seq in sorted(used)),
        pages=tuple(found),
        series=joined(found, start_ms - BEFORE_MS - MAX_GAP_MS, horizon_ms + MAX_GAP_MS),
        facts=facts[0],
        start_ms=start_ms,
        end_ms=end_ms,
        horizon_ms=horizon_ms,
        next_event=other[1] if other else "",
        ended=bool(ended),
        final=bool(ended) and (around.closed or any(_later(each, horizon_ms) for each in records)),
    )


async def facts_of(journal: Journal, found: Iterable[Page]) -> list[SiteFacts]:
    """What the site was, for each run that wrote pages; oldest first. Raises StoreError."""
    facts: list[SiteFacts] = []
    for seq in sorted({page.facts for page in found}):
        stored = await source.record_at(journal, seq)
        if stored.record.body.get("what") != SETTLEMENT_FACTS:
            raise StoreError(f"journal record {seq}: expected the facts of the site")
        try:
            miners = json.loads(zlib.decompress(stored.record.blob)) if stored.record.blob else {}
        except (zlib.error, ValueError) as error:
            raise StoreError(f"journal record {seq} is unreadable: {error}") from error
        known = {miner: (int(about[0]), int(about[1]), int(about[2])) for miner, about in miners.items()}
        facts.append(SiteFacts(seq=seq, body=stored.record.body, miners=known))
    return facts


def other_events(records: Sequence[StoredRecord], event_id: str, from_ms: int, to_ms: int) -> list[str]:
    """Events that were live for some of a stretch, by their moves; sorted."""
    live: dict[str, int] = {}
    found: set[str] = set()
    for each in records:
        body, at_ms = each.record.body, each.record.at_ms
        if each.record.kind is not RecordKind.EVENT or body.get("event") == event_id:
            continue
        name, state = str(body["event"]), str(body["state"])
        if state in source.TERMINAL_WORDS:
            if live.pop(name, to_ms) < to_ms and at_ms > from_ms:
                found.add(name)
        elif state == source.LIVE_WORD:
            live[name] = at_ms
    return sorted(found | {name for name, at_ms in live.items() if at_ms < to_ms})


def _within(stored: StoredRecord, from_ms: int, to_ms: int) -> bool:
    """A page may begin a little beyond: lines are cut at the edges, not samples."""
    if stored.record.kind is RecordKind.SERIES:
        return int(str(stored.record.body["from_ms"])) <= to_ms + MAX_GAP_MS
    return from_ms <= stored.record.at_ms <= to_ms


def _later(stored: StoredRecord, at_ms: int) -> bool:
    begins = stored.record.kind is RecordKind.SERIES
    return begins and int(str(stored.record.body["from_ms"])) > at_ms + MAX_GAP_MS


def _next_start(records: Sequence[StoredRecord], event_id: str, end_ms: int) -> tuple[int, str] | None:
    for each in records:
        body = each.record.body
        begins = (
            each.record.kind is RecordKind.EVENT
            and body.get("state") == source.LIVE_WORD
            and body.get("event") != event_id
        )
        if begins and each.record.at_ms >= end_ms:
            return each.record.at_ms, str(body["event"])
    return None
