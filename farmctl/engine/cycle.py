"""The control cycle: freeze, step, journal, act; every second, and at once when something arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from farmctl.core.alarms import EMPTY_BOARD, AlarmBoard, Condition, Scene, Yard
from farmctl.core.fleet import CircuitTree, FleetView, SiteRules
from farmctl.core.grid import EventState
from farmctl.core.memory import Memory, Standing
from farmctl.core.model import Command, MinerId
from farmctl.core.step import Decision, step
from farmctl.core.units import MS_PER_S, FloatColumn
from farmctl.engine import checkpoint
from farmctl.engine.actuator import Sender
from farmctl.engine.answer import capability, differs, setpoint_w, site_state, telemetry
from farmctl.engine.asides import HeatLimits
from farmctl.engine.desk import Desk
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.framing import Framer
from farmctl.engine.inbox import Arrival, GridInbox
from farmctl.engine.link import Link
from farmctl.engine.metering import CircuitMeters, SiteMeter
from farmctl.engine.records import command_records, decision_record, fate_records, transition_records
from farmctl.engine.untold import UNTOLD_STATE, Untold
from farmctl.errors import StoreError
from farmctl.ports.control import AlarmWatch
from farmctl.ports.grid import AsksAgain, Capability, CapabilityUplink, Uplink
from farmctl.ports.recording import Recording
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, Store

log = structlog.get_logger(__name__)

MOST_OWED = 5_000
"""Records kept in memory while nothing can be written: an hour of a site that changes every second."""
MEMORY_STATE = "control.memory"
HEARD_STATE = "control.heard"
"""Journal number of the last signal that the stored memory has taken in."""
CHECKPOINT_S = 10.0
TELEMETRY_S = 2.0
SHORTEST_PAUSE_S = 0.002
"""A timer may fire a moment before the millisecond it was set for."""
STATE_S = 60.0
CAPABILITY_S = 300.0
CAPABILITY_LOOK_S = 10.0
HEARTBEAT_RECORD_S = 60.0
"""A quiet site still journals one decision a minute."""
OFF_LOOP_ROWS = 3_000
"""Above this many rows a step takes more than about 5 ms and leaves the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What everybody else may see of one cycle."""

    view: FleetView
    decision: Decision
    memory: Memory
    alarms: tuple[Condition, ...]
    """Active ones that are neither shelved nor suppressed, worst first."""
    board: AlarmBoard = EMPTY_BOARD
    """Every alarm with its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleParts:
    """What the cycle works with; filled by wiring."""

    keeper: FleetKeeper
    actuator: Sender
    inbox: GridInbox
    desk: Desk
    alarms: AlarmWatch
    yard: Yard | None
    """How the site divides, for common causes of alarms; None: none are looked for."""
    meter: SiteMeter
    circuit_meters: CircuitMeters
    store: Store
    clock: Clock
    wake: asyncio.Event
    links: dict[MinerId, Link]
    circuits: CircuitTree
    rules: SiteRules
    groups: tuple[str, ...]
    policy: str
    seed: int
    period_s: float
    signed: bool
    uplinks: tuple[Uplink, ...]
    limits: HeatLimits | None = None
    """How hot the machines may get; None: as hot as any usual one."""
    recording: Recording | None = None
    telemetry_s: float = TELEMETRY_S
    """Seconds between two telemetry messages."""
    on_picture: tuple[Callable[[Picture], None], ...] = ()
    may_raise: Callable[[], bool] = lambda: True
    """False while this process may only lower, for a reason outside of the cycle."""
    on_response: Callable[[float], None] = lambda _seconds: None
    """Told how long a signal took to its first command on the wire, s."""


class Cycle:
    """Runs the core for ever; isolates nothing and hides nothing."""

    def __init__(self, parts: CycleParts, memory: Memory) -> None:
        """`memory` is the last run's, rebooted, or blank."""
        self._p = parts
        self._memory = memory
        self._may_raise = True
        self.hurries = False
        """A signal waits for its commands: whoever shares this processor may wait for a moment."""
        self._heard = 0
        self._untold = Untold(parts.uplinks)
        self._owed_records: list[JournalRecord] = []
        self._owed_states: dict[str, bytes] = {}
        """What the store refused: it is written with the next that it takes, and says itself when it happened."""
        self._framer = Framer(parts.clock.now_ms(), parts.policy)
        self._told_ms = {"checkpoint": 0, "telemetry": 0, "state": 0, "record": 0, "capability_look": 0}
        self._last_said: tuple[object, ...] = ()
        self._waiting_since: float | None = None
        self._stated: tuple[object, ...] = ()
        """What the last `state` said: mode, limit, its source, set-point."""
        self._offered: Capability | None = None
        self.latest: Picture | None = None
        self.last_cycle_ms = 0

    async def run(self) -> None:
        """One cycle after another until cancelled."""
        parts = self._p
        await self._tell_again()
        while True:
            parts.wake.clear()
            await self._once()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await parts.wake.wait()
            except TimeoutError:
                continue

    def _pause_s(self) -> float:
        """Until the next cycle: the period, or sooner where an order begins or ends on its own second."""
        now_ms = self._p.clock.now_ms()
        edges = [
            edge
            for track in self._memory.tracks
            for interval in track.event.intervals
            for edge in (interval.start_ms, min(interval.end_ms, track.event.expires_ms))
            if edge > self.last_cycle_ms
        ]
        until_edge_s = (min(edges) - now_ms) / MS_PER_S if edges else self._p.period_s
        return min(self._p.period_s, max(until_edge_s, SHORTEST_PAUSE_S))

    async def stop(self, reason: str) -> None:
        """Leave the fleet as it is, and make what is remembered durable."""
        await asyncio.shield(self._append([], {UNTOLD_STATE: b""}, checkpointed=True))
        log.info("cycle_stopped", reason=reason, cycle=self._memory.cycle)

    async def _tell_again(self) -> None:
        """Acks of the last run's last decision: a kill may have come before they were in any outbox.

        Seed 262 of the simulation: SUPERSEDED was in the journal, the disk was slow, the grid never heard it.
        """
        for ack in self._untold.load(await self._p.store.state(UNTOLD_STATE)):
            for uplink in self._p.uplinks:
                await uplink.ack(ack)

    async def _once(self) -> None:
        parts = self._p
        arrivals = parts.inbox.drain()
        self._heard = max([self._heard, *(arrival.seq for arrival in arrivals)])
        now_ms = parts.clock.now_ms()
        self.hurries = bool(arrivals)
        view, before = self._freeze(arrivals), self._memory
        if len(view.table) > OFF_LOOP_ROWS:
            memory, decision = await asyncio.to_thread(step, before, view, now_ms, parts.policy)
        else:
            memory, decision = step(before, view, now_ms, parts.policy)
        self._memory = memory
        try:
            board, alarms = await self._acted(arrivals, view, decision)
        finally:
            self.hurries = False
            await self._record(view, before, decision)
        parts.meter.limit_w = decision.budget.ceiling_w
        self.last_cycle_ms = now_ms
        self.latest = Picture(view=view, decision=decision, memory=memory, alarms=alarms, board=board)
        for tell in parts.on_picture:
            tell(self.latest)

    async def _acted(
        self, arrivals: tuple[Arrival, ...], view: FleetView, decision: Decision
    ) -> tuple[AlarmBoard, tuple[Condition, ...]]:
        """Journal, command and answer; the board of alarms, and those that count."""
        parts, memory = self._p, self._memory
        limit_c = None if parts.limits is None else parts.limits.limit_c()
        board = parts.alarms.advance(scene_of(view, decision, memory, parts.yard, limit_c))
        alarms = tuple(alarm.condition for alarm in board.active)
        durable = await self._journal(view, decision, alarms)
        self._act(decision.commands if durable else _lowering(view, decision), arrivals, decision)
        self.hurries = False
        await self._answer(view, decision, memory, durable=durable)
        return board, alarms

    async def _record(self, view: FleetView, before: Memory, decision: Decision) -> None:
        """Keep what a replay needs to decide the same again.

        Behind the commands: with 10,000 of them the hash alone took 75 of the 195 ms between a signal and the first.
        """
        if self._p.recording is None:
            return
        if len(view.table) > OFF_LOOP_ROWS:
            self._p.recording.add(await asyncio.to_thread(self._framer.frame, view, before, decision))
        else:
            self._p.recording.add(self._framer.frame(view, before, decision))

    def _circuits(self) -> CircuitTree:
        """The tree with what its meters show now."""
        parts = self._p
        if parts.circuits.metered is None:
            return parts.circuits
        return replace(parts.circuits, meter_w=parts.circuit_meters.readings_w(parts.clock.now_ms()))

    def _freeze(self, arrivals: tuple[Arrival, ...]) -> FleetView:
        parts = self._p
        parts.keeper.maintain(parts.desk.maintained)
        return FleetView(
            table=parts.keeper.freeze(),
            ladders=parts.keeper.book,
            groups=parts.groups,
            circuits=self._circuits(),
            rules=parts.rules,
            meter=parts.meter.sample,
            links=parts.inbox.links,
            inbox=tuple(arrival.message for arrival in arrivals),
            overrides=parts.desk.overrides,
            stop_all=parts.desk.stop_all,
            maintenance=parts.desk.maintenance,
            armed=parts.desk.armed,
            may_raise=self._may_raise and parts.may_raise(),
            seed=parts.seed,
        )

    async def _journal(self, view: FleetView, decision: Decision, alarms: tuple[Condition, ...]) -> bool:
        """Intent before the wire; False where it could not be made durable."""
        said = (
            decision.mode,
            decision.budget.reason,
            decision.budget.limit_reason,
            round(decision.budget.target_w),
            round(decision.budget.ceiling_w),
            tuple(a.alarm for a in alarms),
        )
        news = bool(decision.commands or decision.transitions or said != self._last_said)
        told, states = self._p.alarms.drain()
        if decision.acks:
            states = {**states, UNTOLD_STATE: self._untold.pack(decision.acks)}
        records = [
            *told,
            *fate_records(self._p.actuator.drain_fates()),
            *transition_records(decision),
            *command_records(decision),
        ]
        if news or self._due("record", HEARTBEAT_RECORD_S, decision.at_ms):
            records.insert(0, decision_record(view, decision, alarms))
        self._last_said = said
        checkpointed = bool(decision.transitions or view.inbox) or self._due("checkpoint", CHECKPOINT_S, decision.at_ms)
        return await self._append(records, dict(states), checkpointed=checkpointed)

    async def _append(self, records: list[JournalRecord], states: dict[str, bytes], *, checkpointed: bool) -> bool:
        if checkpointed:
            states[MEMORY_STATE] = await asyncio.to_thread(checkpoint.dump, self._memory)
            if self._heard:
                states[HEARD_STATE] = str(self._heard).encode()
        records, states = [*self._owed_records, *records][-MOST_OWED:], {**self._owed_states, **states}
        if not records and not states:
            return self._may_raise
        try:
            await self._p.store.append(records, states)
        except StoreError as error:
            self._owed_records, self._owed_states = records, states
            if self._may_raise:
                log.error("journal_failed", error=str(error), effect="raising is forbidden, lowering goes on")  # noqa: TRY400 - the store's message says all; it is said once
            self._may_raise = False
            return False
        if not self._may_raise:
            log.info("journal_back", late=len(self._owed_records))
        self._owed_records, self._owed_states = [], {}
        self._may_raise = True
        return True

    def _act(self, commands: tuple[Command, ...], arrivals: tuple[Arrival, ...], decision: Decision) -> None:
        parts = self._p
        if self._waiting_since is not None and parts.actuator.first_sent_s is not None:
            parts.on_response(parts.actuator.first_sent_s - self._waiting_since)
            self._waiting_since = None
        if not commands:
            return
        begun = [m.track.event.start_ms for m in decision.transitions if m.track.state is EventState.ACTIVE]
        if begun:
            # An order that was announced ahead is answered from its start, another from its arrival.
            late_s = max(decision.at_ms - min(begun), 0) / MS_PER_S
            started_s = parts.clock.monotonic_s() - (parts.clock.now_ms() - decision.at_ms) / MS_PER_S - late_s
            self._waiting_since = max([started_s, *(arrival.arrived_s for arrival in arrivals)])
            parts.actuator.mark()
        elif arrivals:
            self._waiting_since = arrivals[0].arrived_s
            parts.actuator.mark()
        parts.actuator.submit(commands)

    async def _answer(self, view: FleetView, decision: Decision, memory: Memory, *, durable: bool) -> None:
        parts = self._p
        if decision.ask_again:
            for uplink in parts.uplinks:
                if isinstance(uplink, AsksAgain):
                    uplink.ask_again()
        acks = self._untold.due(decision.acks, durable=durable)
        if not parts.uplinks:
            return
        send_telemetry = self._due("telemetry", parts.telemetry_s, decision.at_ms)
        budget = decision.budget
        stated = (decision.mode, budget.ceiling_w, budget.limit_source, setpoint_w(decision, memory))
        changed = stated != self._stated or bool(decision.transitions or view.inbox)
        self._stated = stated
        send_state = changed or self._due("state", STATE_S, decision.at_ms)
        head = await parts.store.head() if send_state else None
        for uplink in parts.uplinks:
            for ack in acks:
                await uplink.ack(ack)
            if send_telemetry:
                await uplink.telemetry(telemetry(view, decision, memory))
            if send_state:
                state = site_state(view, decision, memory, signed=parts.signed, audit_head=head.hash if head else "")
                await uplink.site_state(state)
        if self._due("capability_look", CAPABILITY_LOOK_S, decision.at_ms):
            await self._offer(capability(view, decision))

    async def _offer(self, able: Capability) -> None:
        """Tell what the site could do, on change and every 5 min."""
        last = self._offered
        if last is not None and able.at_ms - last.at_ms < CAPABILITY_S * MS_PER_S and not differs(able, last):
            return
        self._offered = able
        for uplink in self._p.uplinks:
            if isinstance(uplink, CapabilityUplink):
                await uplink.capability(able)

    def _due(self, what: str, every_s: float, now_ms: int) -> bool:
        if now_ms - self._told_ms[what] < every_s * MS_PER_S:
            return False
        self._told_ms[what] = now_ms
        return True


def scene_of(
    view: FleetView, decision: Decision, memory: Memory, yard: Yard | None, limit_c: FloatColumn | None = None
) -> Scene:
    """What the alarms are judged by."""
    return Scene(
        view=view,
        memory=memory,
        site=decision.site,
        facts=decision.link,
        ceiling_w=decision.budget.ceiling_w,
        target_w=decision.budget.target_w,
        seen=decision.seen,
        yard=yard,
        limit_c=limit_c,
    )


def _lowering(view: FleetView, decision: Decision) -> tuple[Command, ...]:
    """While nothing can be made durable, only commands that surely lower power go out.

    Below what is wanted is lower only where telemetry has confirmed it: a wish that a silent miner never followed may
    stand above what it draws. And only where the miner still says so: an order of an earlier full disk is forgotten by
    a restart, not by the miner (seed 582 of the simulation).
    """
    rows, told = decision.seen.rows, view.table.step
    settled = rows.standing == Standing.SETTLED
    ids = {str(miner): row for row, miner in enumerate(rows.miner_id)}
    return tuple(
        command
        for command in decision.commands
        if command.step == 0
        or (settled[row := ids[command.miner]] and command.step < min(int(rows.wanted[row]), int(told[row])))
    )
