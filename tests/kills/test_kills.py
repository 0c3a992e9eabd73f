"""N12 in short: a running controller is killed at random moments; `python -m tests.kills` does it 200 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, StoredRecord
from simulators.broker import find_mosquitto
from tests.kills.restarts import Restarts
from tests.kills.run import killed

KILLS = 20


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
async def test_a_controller_killed_at_random_moments_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    result = await killed(tmp_path, KILLS, seed=3, miners=12, say=lambda _text: None)
    assert result.broken == ()
    assert result.kills == KILLS
    assert result.events_accepted > KILLS


def told(*records: tuple[RecordKind, dict[str, JsonValue]]) -> list[str]:
    """What the law of restarts says of such a journal."""
    law = Restarts()
    stored = [
        StoredRecord(seq=seq, record=JournalRecord(kind=kind, at_ms=seq, body=body), prev_hash="", hash="")
        for seq, (kind, body) in enumerate(records, 1)
    ]
    return [broken for each in stored for broken in law.feed(each)]


def test_the_law_of_restarts_tells_a_shed_from_an_order_and_from_what_was_under_way() -> None:
    start: tuple[RecordKind, dict[str, JsonValue]] = (RecordKind.START, {})
    signal: tuple[RecordKind, dict[str, JsonValue]] = (RecordKind.SIGNAL, {})

    def decided(goal_w: float, power_w: float) -> tuple[RecordKind, dict[str, JsonValue]]:
        return RecordKind.DECISION, {"goal_w": goal_w, "power_w": power_w}

    def sleep(miner: str) -> tuple[RecordKind, dict[str, JsonValue]]:
        return RecordKind.COMMAND, {"setting": "sleep", "miners": [miner]}

    before = (start, signal, decided(5e3, 9e3), sleep("a"), decided(5e3, 5e3))
    assert len(told(*before, start, decided(4e3, 5e3), sleep("b"))) == 1
    snapshot: tuple[RecordKind, dict[str, JsonValue]] = (RecordKind.SIGNAL, {"kind": "SnapshotPut"})
    assert len(told(*before, start, snapshot, decided(4e3, 5e3), sleep("b"))) == 1
    assert told(*before, start, decided(5e3, 5e3), sleep("a")) == [], "told again"
    assert told(*before, start, signal, decided(4e3, 5e3), sleep("b")) == [], "the grid asked for it"
    assert told(*before, start, decided(5e3, 7e3), sleep("b")) == [], "the fall was under way"
    raised: tuple[RecordKind, dict[str, JsonValue]] = (RecordKind.COMMAND, {"setting": "full", "miners": ["b"]})
    assert told(*before, raised, start, decided(4e3, 5e3), sleep("b")) == [], "a raise was under way"
    arrived: tuple[RecordKind, dict[str, JsonValue]] = (RecordKind.FATE, {"fate": "confirmed", "miners": ["b"]})
    assert len(told(*before, raised, arrived, start, decided(4e3, 5e3), sleep("b"))) == 1
    assert told(*before, signal, start, decided(4e3, 5e3), sleep("b")) == [], "heard before the kill"
