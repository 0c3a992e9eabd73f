"""A recorded day on disk: a journal and its recording, as a controller leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.scenarios.day as day_module
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.model import MinerId
from farmctl.core.step import Decision, step
from farmctl.engine import checkpoint
from farmctl.engine.recording import Recorder
from farmctl.engine.replay import decision_hash
from farmctl.ports.recording import Frame
from farmctl.ports.series import SETTLEMENT_FACTS
from farmctl.ports.store import InventoryRow, JournalRecord, JsonValue, RecordKind
from farmctl.store.recording import DayFiles
from farmctl.store.sqlite import open_sqlite
from tests.scenarios.day import Day

MINERS = 60


class Tape:
    """Keeps every cycle of a `Day` and writes them as the engine would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames: list[Frame] = []
        self.decisions: list[Decision] = []
        self._recorder = Recorder()
        monkeypatch.setattr(day_module, "step", self._step)
        self.day = Day(day_module.farm(MINERS, feeders=2, aux_w=9_000.0))

    def _step(
        self, memory: Memory, view: FleetView, now_ms: int, policy: str = "efficiency_first"
    ) -> tuple[Memory, Decision]:
        inputs = self._recorder.encode(view, now_ms)
        before = checkpoint.dump(memory) if self._recorder.was_key else b""
        after, decision = step(memory, view, now_ms, policy)
        self.decisions.append(decision)
        self.frames.append(
            Frame(
                run=1,
                cycle=decision.cycle,
                at_ms=now_ms,
                policy=policy,
                inputs=inputs,
                decision_sha256=decision_hash(decision, inputs),
                memory=before,
            )
        )
        return after, decision

    async def write(self, folder: Path) -> Path:
        """The journal: an alarm that came and went, an order, the site's name, and where the miners stand."""
        files = DayFiles(folder)
        for frame in self.frames:
            files.add(frame)
        await files.flush()
        store = await open_sqlite(folder / "journal.db")
        rows = [
            InventoryRow(miner_id=MinerId(miner), host="127.0.0.1", ports={}, driver="sim", model="M1", container="C1")
            for miner in self.day.table.miner_id.tolist()
        ]
        await store.put_inventory(rows)
        third, fifth = self.frames[30].at_ms, self.frames[50].at_ms
        alarm: dict[str, JsonValue] = {
            "alarm": "signal_stale@site",
            "priority": 1,
            "detail": "31 s",
            "owner": "",
            "note": "",
        }
        await store.append(
            [
                JournalRecord(
                    kind=RecordKind.CONFIG,
                    at_ms=third,
                    body={"what": SETTLEMENT_FACTS, "site": "site-07", "timezone": "America/Asuncion"},
                ),
                JournalRecord(kind=RecordKind.ALARM, at_ms=third, body={**alarm, "before": "NORMAL", "state": "UNACK"}),
                JournalRecord(
                    kind=RecordKind.OPERATOR,
                    at_ms=third,
                    body={"verb": "stop_all", "owner": "operator1", "reason": "smoke", "result": "ok"},
                ),
                JournalRecord(
                    kind=RecordKind.EVENT, at_ms=fifth, body={"event": "second", "state": "ACTIVE", "source": "grid"}
                ),
                JournalRecord(kind=RecordKind.ALARM, at_ms=fifth, body={**alarm, "before": "UNACK", "state": "NORMAL"}),
            ]
        )
        await store.close()
        return folder / "journal.db"
