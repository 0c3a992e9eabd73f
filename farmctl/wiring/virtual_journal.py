"""What a virtual day leaves on disk: the same journal and recording as a live one, written in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.desk import AlarmDesk
from farmctl.core.alarms import Condition, Yard
from farmctl.core.model import Fate
from farmctl.core.units import MS_PER_S
from farmctl.engine import checkpoint
from farmctl.engine.actuator import CommandFate
from farmctl.engine.cycle import scene_of
from farmctl.engine.inbox import signal_record
from farmctl.engine.recording import Recorder
from farmctl.engine.records import command_records, decision_record, fate_records, transition_records
from farmctl.engine.replay import decision_hash
from farmctl.engine.settlement import SettlementSeries
from farmctl.engine.virtual.day import Turn, VirtualDay
from farmctl.engine.virtual.signals import SOURCE
from farmctl.ports.grid import Receipt
from farmctl.ports.recording import Frame
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.journal import Intact
from farmctl.store.memory import MemoryStore
from farmctl.store.reader import open_reader
from farmctl.store.recording import DayFiles
from farmctl.store.sqlite import SqliteStore, open_sqlite
from farmctl.wiring.settlement import facts_of
from farmctl.wiring.virtual_site import VirtualSite

JOURNAL = "journal.db"
BATCH_RECORDS = 500
BATCH_FRAMES = 200
QUIET_RECORD_S = 60.0
"""A quiet site still journals one decision a minute, as a live one does."""
NO_ANSWER = "no answer"
NO_INPUTS = ""
"""In place of the hash of the inputs where these are not kept."""


@dataclass(slots=True)
class DayClock(Clock):
    """Stands at the cycle that is being written."""

    at_ms: int

    @override
    def now_ms(self) -> int:
        return self.at_ms

    @override
    def monotonic_s(self) -> float:
        return self.at_ms / MS_PER_S

    @override
    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * MS_PER_S)


@dataclass(slots=True, eq=False)
class DayJournal:
    """Takes turns; writes nothing where there is no folder."""

    day: VirtualDay
    folder: Path | None
    store: SqliteStore | None
    files: DayFiles | None
    series: SettlementSeries | None
    clock: DayClock
    alarms: AlarmDesk
    yard: Yard
    rang: set[str] = field(default_factory=set)
    """Every alarm that was active at some time of the day."""
    waiting: list[JournalRecord] = field(default_factory=list)
    _recorder: Recorder = field(default_factory=Recorder)
    _frames: int = 0
    _told_ms: int = 0
    _said: tuple[object, ...] = ()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, folder: Path | None, day: VirtualDay, site: VirtualSite, *, record: bool, settled: bool
    ) -> AsyncIterator[DayJournal]:
        """Open the files; closed on the way out. `settled`: the settlement series is kept, too."""
        clock = DayClock(day.script.start_ms)
        alarms = AlarmDesk(MemoryStore(), clock, CATALOGUE, lambda: None, silent=True)
        places = [site.tree.names[node] for node in site.table.node.tolist()]
        yard = Yard.of(site.tree, site.table.node, places, [""] * len(places))
        if folder is None:
            yield cls(day, None, None, None, None, clock, alarms, yard)
            return
        store = await open_sqlite(folder / JOURNAL)
        files = DayFiles(folder, keep_days=366) if record else None
        series = None
        if settled:
            rows, s = site.rows(), site
            facts = facts_of(s.config, rows, s.table, s.book, s.groups, s.tree, s.rules)
            series = SettlementSeries(store, clock, facts)
            await store.put_inventory(rows)
        try:
            yield cls(day, folder, store, files, series, clock, alarms, yard)
        finally:
            await store.close()

    async def begin(self, **facts: str | int) -> None:
        """The first record says that the day is simulated."""
        body = {"simulated": True, "seed": self.day.site.seed, "policy": self.day.site.policy, **facts}
        self.waiting.append(JournalRecord(kind=RecordKind.START, at_ms=self.day.script.start_ms, body=body))

    async def take(self, turn: Turn) -> None:
        """One cycle: signals first, then the decision and its commands, then what became of these."""
        decision = turn.decision
        self.clock.at_ms = decision.at_ms
        board = self.alarms.advance(scene_of(turn.view, decision, turn.memory, self.yard))
        active = tuple(alarm.condition for alarm in board.active)
        self.rang.update(condition.alarm for condition in active)
        if self.store is None:
            return
        for message in turn.inbox:
            receipt = Receipt(source=SOURCE, topic="", message=message, raw=b"", states={})
            self.waiting.append(signal_record(receipt, decision.at_ms))
        self.waiting += self._records(turn, active)
        if self.files is not None:
            self.files.add(self._frame(turn))
            self._frames += 1
            if self._frames % BATCH_FRAMES == 0:
                await self.files.flush()
        if len(self.waiting) >= BATCH_RECORDS:
            await self._flush()
        if self.series is not None:
            self.series.see(turn.view, decision, live=any(track.live for track in turn.memory.tracks))
            await self.series.beat(self._flush)

    async def end(self) -> None:
        """Write the rest."""
        at_ms = self.day.end_ms
        self.waiting.append(
            JournalRecord(kind=RecordKind.STOP, at_ms=at_ms, body={"simulated": True, "cycle": self.day.ledger.cycles})
        )
        await self._flush()
        if self.series is not None:
            await self.series.finish()
        if self.files is not None:
            await self.files.flush()

    async def verdict(self) -> dict[str, object]:
        """How many records there are, and whether their chain holds."""
        if self.folder is None:
            return {"records": 0, "chain_ok": None, "recorded_cycles": 0}
        reader = await open_reader(self.folder / JOURNAL)
        try:
            verdict = await reader.verify()
        finally:
            await reader.close()
        count = verdict.count if isinstance(verdict, Intact) else verdict.seq
        return {"records": count, "chain_ok": isinstance(verdict, Intact), "recorded_cycles": self._frames}

    async def _flush(self) -> None:
        batch, self.waiting = self.waiting, []
        if self.store is not None and batch:
            await self.store.append(batch)

    def _records(self, turn: Turn, active: tuple[Condition, ...]) -> list[JournalRecord]:
        decision = turn.decision
        budget = decision.budget
        known = tuple(condition.alarm for condition in active)
        said = (
            decision.mode,
            budget.reason,
            budget.limit_reason,
            round(budget.target_w),
            round(budget.ceiling_w),
            known,
        )
        due = decision.at_ms - self._told_ms >= QUIET_RECORD_S * MS_PER_S
        told, _ = self.alarms.drain()
        records = [*told, *transition_records(decision), *command_records(decision), *fate_records(self._fates(turn))]
        if decision.commands or decision.transitions or said != self._said or due:
            inputs = None if self.files is not None else NO_INPUTS
            records.insert(0, decision_record(turn.view, decision, active, inputs))
            self._told_ms = decision.at_ms
        self._said = said
        return records

    def _fates(self, turn: Turn) -> list[CommandFate]:
        """What the modelled devices answered, in the words of the actuator."""
        at_ms = turn.decision.at_ms
        table = self.day.site.table
        mute = {str(miner) for miner in table.miner_id[table.refused_ms == at_ms]}
        fates: list[CommandFate] = []
        for command in turn.decision.commands:
            fates.append(CommandFate(command=command, fate=Fate.SENT, at_ms=at_ms))
            fate, detail = (Fate.FAILED, NO_ANSWER) if command.miner in mute else (Fate.ACKNOWLEDGED, "")
            fates.append(CommandFate(command=command, fate=fate, at_ms=at_ms, detail=detail))
        return fates

    def _frame(self, turn: Turn) -> Frame:
        inputs = self._recorder.encode(turn.view, turn.decision.at_ms)
        return Frame(
            run=self.day.script.start_ms,
            cycle=turn.decision.cycle,
            at_ms=turn.decision.at_ms,
            policy=self.day.site.policy,
            inputs=inputs,
            decision_sha256=decision_hash(turn.decision, inputs),
            memory=checkpoint.dump(turn.before) if self._recorder.was_key else b"",
        )
