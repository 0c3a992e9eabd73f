"""Commands out: two lanes with slots of their own, one command per miner at a time, and the fate of each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeGuard

import structlog
from typing_extensions import override

from farmctl.core.model import Command, Fate, Lane, MinerId
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.journey import Journey, journey
from farmctl.engine.link import Link
from farmctl.errors import FarmError
from farmctl.ports.devices import AppliesFast, AppliesPoint
from farmctl.ports.fence import fenced
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

NOT_OURS = "the right to command this shard has ended"
BURST = 25
"""Commands begun in one turn of the loop: what all of 500 connections cost lay before the first byte of any."""
MOST_PRESSED_S = 5.0
"""For so long urgent commands keep polls off the wire; then both share it, or a fleet would be shed blind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFate:
    """What became of one command on its way; confirmation is the core's word."""

    command: Command
    fate: Fate
    at_ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorRules:
    """Bounds on commands in flight, apart from those on polls."""

    urgent_in_flight: int
    normal_in_flight: int
    deadline_s: float
    """Backstop above the device's own deadlines: a session, a token and a slow write."""


class CommandWatch(Protocol):
    """Who wants to know of commands; called on the loop, must not wait."""

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate; seconds since it went to the wire."""
        ...


class Gate(Protocol):
    """Who knows whether this process may command a miner now."""

    def may_send(self, command: Command) -> bool:
        """Asked right before each socket write; must not wait."""
        ...


class Sender(Protocol):
    """Where the cycle hands its commands to: the wire itself, or the workers that hold the miners."""

    first_sent_s: float | None
    """Monotonic time of the first command on a wire since `mark`; None: none yet."""

    def mark(self) -> None:
        """Forget `first_sent_s`, so that the next command tells how long a signal took."""
        ...

    def submit(self, commands: Iterable[Command]) -> None:
        """Queue commands in their order; never waits."""
        ...

    def drain_fates(self) -> list[CommandFate]:
        """Fates since the last call, for the journal."""
        ...

    @property
    def open_commands(self) -> int:
        """Queued or on the wire."""
        ...


class Hastens(Protocol):
    """Polls a miner soon."""

    def hasten(self, link: Link, within_s: float | None = None) -> None:
        """Poll this link soon."""
        ...

    def follow(self, link: Link, way: Journey) -> None:
        """Poll this link when it may have got somewhere."""
        ...


class Actuator(Sender):
    """Sends absolute commands; the newest for a miner replaces a queued one."""

    def __init__(
        self,
        keeper: FleetKeeper,
        poller: Hastens,
        clock: Clock,
        rules: ActuatorRules,
        watch: CommandWatch,
        gate: Gate | None = None,
    ) -> None:
        """`links` come with `take`; without a gate every miner is this process's own."""
        self._gate = gate
        self._keeper = keeper
        self._poller = poller
        self._clock = clock
        self._rules = rules
        self._watch = watch
        self._links: Mapping[MinerId, Link] = {}
        self._queued: dict[MinerId, Command] = {}
        self._lanes: dict[Lane, deque[MinerId]] = {lane: deque() for lane in Lane}
        self._in_flight: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._fates: list[CommandFate] = []
        self._work = asyncio.Event()
        self._pressed_s: float | None = None
        self.first_sent_s: float | None = None

    def presses(self) -> bool:
        """Urgent commands still wait for the wire, for no longer than polls can be missed."""
        if not self._lanes[Lane.URGENT]:
            self._pressed_s = None
            return False
        if self._pressed_s is None:
            self._pressed_s = self._clock.monotonic_s()
        return self._clock.monotonic_s() - self._pressed_s < MOST_PRESSED_S

    def take(self, links: Mapping[MinerId, Link]) -> None:
        """Know the fleet's links."""
        self._links = links

    def nudge(self) -> None:
        """A miner that was busy with something else is free again."""
        self._work.set()

    @override
    def mark(self) -> None:
        self.first_sent_s = None

    @override
    def submit(self, commands: Iterable[Command]) -> None:
        for command in commands:
            old = self._queued.get(command.miner)
            if old is not None:
                self._fate(old, Fate.SUPERSEDED)
            self._queued[command.miner] = command
            self._lanes[command.lane].append(command.miner)
        self._work.set()

    @override
    def drain_fates(self) -> list[CommandFate]:
        fates, self._fates = self._fates, []
        return fates

    @property
    @override
    def open_commands(self) -> int:
        return len(self._queued) + sum(self._in_flight.values())

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._work.wait()
                self._work.clear()
                self._start(Lane.URGENT, self._rules.urgent_in_flight, tasks)
                self._start(Lane.NORMAL, self._rules.normal_in_flight, tasks)
                await asyncio.sleep(0)

    def _start(self, lane: Lane, bound: int, tasks: asyncio.TaskGroup) -> None:
        queue = self._lanes[lane]
        waiting: list[MinerId] = []
        left = BURST
        while queue and left and self._in_flight[lane] < bound:
            miner = queue.popleft()
            command, link = self._queued.get(miner), self._links.get(miner)
            if command is None or command.lane is not lane:
                continue
            if link is None:
                del self._queued[miner]
                self._fate(command, Fate.FAILED, "no such miner")
            elif link.commanding:
                waiting.append(miner)
            else:
                del self._queued[miner]
                link.commanding = True
                self._in_flight[lane] += 1
                left -= 1
                tasks.create_task(self._send(command, link))
        if queue and not left:
            self._work.set()
        queue.extend(waiting)

    async def _send(self, command: Command, link: Link) -> None:
        started = self._clock.monotonic_s()
        try:
            fate, detail = await self._applied(command, link)
        except Exception as error:
            log.exception("command_crashed", miner=command.miner)
            fate, detail = Fate.FAILED, repr(error)
        finally:
            link.commanding = False
            self._in_flight[command.lane] -= 1
            self._work.set()
        now_ms = self._clock.now_ms()
        if fate is Fate.ACKNOWLEDGED:
            self._keeper.acked(link.row, now_ms)
        else:
            self._keeper.refused(link.row, now_ms)
        self._fate(command, fate, detail, self._clock.monotonic_s() - started)
        way = None if fate is not Fate.ACKNOWLEDGED else self._way(command, link)
        if way is None:
            self._poller.hasten(link)
        else:
            self._poller.follow(link, way)

    def _way(self, command: Command, link: Link) -> Journey | None:
        keeper, row = self._keeper, link.row
        travel_s = keeper.travel_s(row, command.step)
        return journey(self._clock.monotonic_s(), travel_s, keeper.drawn_w(row), keeper.point_w(row, command.step))

    async def _applied(self, command: Command, link: Link) -> tuple[Fate, str]:
        if self._clock.now_ms() >= command.deadline_ms:
            return Fate.EXPIRED, "waited too long for a slot"
        device: object = link.device
        if not _applies(device):
            return Fate.FAILED, "this driver cannot command"
        if self._gate is not None and not self._gate.may_send(command):
            return Fate.FAILED, NOT_OURS
        if link.device.serial_only and link.polling is not None:
            link.polling.cancel()
        self._keeper.sent(link.row, self._clock.now_ms())
        if self.first_sent_s is None:
            self.first_sent_s = self._clock.monotonic_s()
        self._watch.fated(command, Fate.SENT, 0.0)
        try:
            async with asyncio.timeout(self._rules.deadline_s):
                if link.lost and await _is_another(link):
                    return Fate.FAILED, "another miner answers at its address"
                await self._apply(device, command)
        except (FarmError, TimeoutError) as error:
            log.debug("command_failed", miner=command.miner, setting=command.point.setting, error=str(error))
            return Fate.FAILED, f"{type(error).__name__}: {error}"
        return Fate.ACKNOWLEDGED, ""

    async def _apply(self, device: AppliesPoint, command: Command) -> None:
        if self._gate is None:
            await self._told(device, command)
            return
        with fenced(partial(self._gate.may_send, command)):
            await self._told(device, command)

    async def _told(self, device: AppliesPoint, command: Command) -> None:
        if command.lane is Lane.URGENT and _applies_fast(device):
            await device.apply_fast(command.point)
        else:
            await device.apply(command.point)

    def _fate(self, command: Command, fate: Fate, detail: str = "", seconds: float = 0.0) -> None:
        self._watch.fated(command, fate, seconds)
        self._fates.append(CommandFate(command=command, fate=fate, at_ms=self._clock.now_ms(), detail=detail))


_KNOWN: dict[tuple[type, type], bool] = {}
"""What a driver's devices can do: to ask one device is 8 us, of the 260 that a command costs."""


def _is_a(kind: type, port: type) -> bool:
    known = _KNOWN.get((kind, port))
    if known is None:
        known = _KNOWN[kind, port] = issubclass(kind, port)
    return known


def _applies(device: object) -> TypeGuard[AppliesPoint]:
    return _is_a(type(device), AppliesPoint)


def _applies_fast(device: object) -> TypeGuard[AppliesFast]:
    return _is_a(type(device), AppliesFast)


async def _is_another(link: Link) -> bool:
    """Whether the address of a lost miner is another one's now; False where nobody says: the command finds out."""
    try:
        facts = await link.device.facts()
    except FarmError:
        return False
    return facts.identity.miner_id != link.miner_id
