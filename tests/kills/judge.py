"""What must hold after a kill: nothing acknowledged is lost, nobody is shed, no command has two meanings."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

from farmctl.control.client import ControlClient
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.store.journal import Intact
from farmctl.store.reader import open_reader
from farmctl.wiring.stores import JOURNAL
from simulators.grid.uplink import TERMINAL
from tests.farm.site import Site
from tests.kills.restarts import Restarts

RESUMED_S = 30.0


class Judge:
    """Remembers what was acknowledged, and looks for it."""

    def __init__(self, there: Site) -> None:
        self._there = there
        self.broken: list[str] = []
        self.overrides: dict[str, str] = {}
        """Id -> reason of every override that the controller said yes to."""
        self.head = 0
        self.commands = 0
        self.restarts = Restarts()
        self._hash_at: dict[int, str] = {}
        """seq -> hash of every record read so far."""
        self._last_seen: tuple[int, str] = (0, "")
        """What a reader saw last while the controller ran: durable from then on."""
        self._seen_events: set[str] = set()
        self._seen_overrides: set[str] = set()
        self._meaning: dict[tuple[int, int, str], str] = {}
        """(life, cycle, miner) -> what it was told."""
        self._life = 0
        self._told = Counter[str]()
        """Miner -> intents in the journal."""

    async def before_kill(self) -> None:
        """What a reader sees now is durable."""
        if not (self._there.folder / JOURNAL).exists():
            return
        reader = await open_reader(self._there.folder / JOURNAL)
        try:
            if (head := await reader.head()) is not None:
                self._last_seen = (head.seq, head.hash)
        finally:
            await reader.close()

    async def after_kill(self) -> None:
        """The file as the dead controller left it."""
        path = self._there.folder / JOURNAL
        if (said := await asyncio.to_thread(_integrity, path)) != "ok":
            self._breaks(f"integrity_check: {said}")
        reader = await open_reader(path)
        try:
            verdict = await reader.verify()
            if not isinstance(verdict, Intact):
                self._breaks(f"the chain is broken: {verdict}")
            async for record in reader.records(after_seq=self.head):
                self._read(record)
        finally:
            await reader.close()
        seq, digest = self._last_seen
        if seq and self._hash_at.get(seq) != digest:
            self._breaks(f"record {seq}, which a reader had seen, is gone or changed")
        for event_id in sorted(self.accepted() - self._seen_events):
            self._breaks(f"{event_id} was accepted to the grid and is not in the journal")
        for override_id in sorted(self.overrides.keys() - self._seen_overrides):
            self._breaks(f"override {override_id} was acknowledged and is not in the journal")
        self._on_the_wire()

    async def resumed(self) -> None:
        """The restarted controller knows every override that it had said yes to, and its events."""
        await self.kept()

    async def kept(self) -> None:
        """Overrides that were acknowledged are in force."""
        wanted = list(self.overrides)
        client = ControlClient(str(self._there.folder / "farmctl.sock"), timeout_s=15.0)
        rows = (await asyncio.to_thread(client.get, "/v1/overrides"))["rows"]
        # One circuit has one override: the last that was said yes to, or a later one whose answer the kill has eaten.
        if wanted and not rows:
            self._breaks(f"override {wanted[-1]} was acknowledged and is not in force after the restart")
        if wanted and rows and rows[-1]["id"] in wanted[:-1]:
            self._breaks(f"override {rows[-1]['id']} is in force, {wanted[-1]} was acknowledged after it")

    def accepted(self) -> set[str]:
        """Events whose acceptance the grid has heard."""
        return {ack.event_id for ack in self._there.grid.acks if ack.state == "ACCEPTED"}

    def unfinished(self) -> set[str]:
        """Those of which it has not heard the end."""
        ended = {ack.event_id for ack in self._there.grid.acks if ack.state in TERMINAL}
        return self.accepted() - ended

    async def at_the_end(self) -> None:
        """After the last life, which was stopped in order."""
        await self.after_kill()
        for event_id in sorted(self.unfinished()):
            states = self._there.grid.uplink.states({event_id})
            self._breaks(f"{event_id} was accepted and never reached an end: {states}")

    def _read(self, stored: StoredRecord) -> None:
        record = stored.record
        self.head = stored.seq
        self._hash_at[stored.seq] = stored.hash
        for broken in self.restarts.feed(stored):
            self._breaks(broken)
        match record.kind:
            case RecordKind.START:
                self._life += 1
            case RecordKind.EVENT:
                self._seen_events.add(str(record.body["event"]))
            case RecordKind.OVERRIDE:
                self._seen_overrides.add(str(record.body.get("id", "")))
            case RecordKind.COMMAND:
                self._intent(stored)
            case _:
                pass

    def _intent(self, stored: StoredRecord) -> None:
        body = stored.record.body
        cycle, setting, miners = int(str(body["cycle"])), str(body["setting"]), body["miners"]
        assert isinstance(miners, list | tuple)
        for miner in map(str, miners):
            self.commands += 1
            self._told[miner.lower()] += 1
            if self._meaning.setdefault((self._life, cycle, miner), setting) != setting:
                self._breaks(f"record {stored.seq}: cycle {cycle} tells {miner} {setting} and something else")

    def _on_the_wire(self) -> None:
        """No miner was written to more often than the journal has intents for it."""
        for miner in self._there.world.miners:
            name = miner.identity.mac.lower()
            wrote = sum(_sleeps_or_wakes(told.command, told.text) for told in miner.log)
            if wrote > self._told[name]:
                self._breaks(f"{name} was told {wrote} times, the journal has {self._told[name]} intents")

    def _breaks(self, what: str) -> None:
        if what not in self.broken:
            self.broken.append(what)


def _sleeps_or_wakes(command: str, text: str) -> bool:
    """The write that every move between sleeping and running has exactly one of, by firmware."""
    del text
    return command in {"curtail", "power_off", "power_on"}


def _integrity(path: Path) -> str:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as link:
        answer = str(link.execute("PRAGMA integrity_check").fetchone()[0])
    link.close()
    return answer
