"""What operators do by hand: restart or find single miners, and clear a latched EMERGENCY."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import orjson
import structlog
from typing_extensions import override

from farmctl.core.events import TERMINAL
from farmctl.core.grid import EventClass, EventDelete, OptOut, OptReason
from farmctl.core.model import MinerId
from farmctl.engine.inbox import GridInbox
from farmctl.engine.link import Link
from farmctl.errors import FarmError, RefusedError
from farmctl.ports.control import By, Hands, SitePicture
from farmctl.ports.devices import Device, Locates, Reboots
from farmctl.ports.grid import Receipt

log = structlog.get_logger(__name__)

IN_FLIGHT = 100
DEADLINE_S = 15.0
"""Of one call to one miner."""
BUSY_LOOK_S = 0.05
BUSY_LOOKS = 100
"""A command of the controller goes first; after five seconds of it this gives up."""
TOPIC = "operator"
Told = Callable[[str], None]


class NothingLatchedError(RefusedError):
    """No EMERGENCY is latched."""


class NoSuchEventError(RefusedError):
    """No event of that name can be declined."""


class SiteHands(Hands):
    """Work waits in a queue that `run` empties; the sweep and the commands go first."""

    def __init__(self, links: Mapping[MinerId, Link], inbox: GridInbox, free: Callable[[], None]) -> None:
        """`free` is told when a miner that was busy with this is not any more."""
        self._links = links
        self._inbox = inbox
        self._free = free
        self._queue: asyncio.Queue[tuple[str, Callable[[Device], Awaitable[None]], Told]] = asyncio.Queue()

    async def run(self) -> None:
        """Do what is asked until cancelled, some miners at a time."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._work())

    @override
    def reboot(self, miners: Sequence[str], told: Told) -> None:
        for miner in miners:
            self._queue.put_nowait((miner, _reboot, told))

    @override
    def locate(self, miners: Sequence[str], told: Told, *, on: bool) -> None:
        for miner in miners:
            self._queue.put_nowait((miner, partial(_locate, on=on), told))

    @override
    async def release_emergency(self, picture: SitePicture, by: By) -> tuple[str, ...]:
        latched = [
            track.event
            for track in picture.memory.tracks
            if track.event.event_class is EventClass.EMERGENCY and track.state not in TERMINAL
        ]
        if not latched:
            raise NothingLatchedError("emergency: none is latched")
        for event in latched:
            message = EventDelete(
                source=event.source, event_id=event.event_id, msg_id=event.msg_id, epoch=event.epoch, seq=event.seq,
                release=True,
            )  # fmt: skip
            raw = orjson.dumps({"released": event.event_id, "owner": by.owner, "reason": by.reason})
            await self._inbox.accept(Receipt(source=event.source, topic=TOPIC, message=message, raw=raw, states={}))
        return tuple(event.event_id for event in latched)

    @override
    async def opt_out(self, picture: SitePicture, event_id: str, why: OptReason, by: By) -> None:
        tracks = [t for t in picture.memory.tracks if t.event.event_id == event_id and t.state not in TERMINAL]
        if not tracks:
            raise NoSuchEventError(f"event {event_id}: no such event is open")
        for event in (track.event for track in tracks):
            if event.event_class is EventClass.EMERGENCY or any(i.limit_w is not None for i in event.intervals):
                hint = "it protects the grid; ask its dispatcher, or switch control.outside_control off"
                raise NoSuchEventError(f"event {event_id}: a limit or an EMERGENCY cannot be declined: {hint}")
        for event in (track.event for track in tracks):
            message = OptOut(source=event.source, event_id=event_id, why=why, text=by.reason)
            raw = orjson.dumps({"opted_out": event_id, "why": why, "owner": by.owner, "reason": by.reason})
            await self._inbox.accept(Receipt(source=event.source, topic=TOPIC, message=message, raw=raw, states={}))

    async def _work(self) -> None:
        while True:
            miner, call, told = await self._queue.get()
            why = await self._one(miner, call)
            if why:
                log.info("by_hand_failed", miner=miner, why=why)
            told(why)

    async def _one(self, miner: str, call: Callable[[Device], Awaitable[None]]) -> str:
        """One miner; why it failed, or nothing."""
        link = self._links.get(MinerId(miner))
        if link is None:
            return "not in this controller's fleet"
        if not link.proved:
            return "its identity is not proved"
        for _ in range(BUSY_LOOKS):
            if not (link.commanding or (link.device.serial_only and link.polling is not None)):
                break
            await asyncio.sleep(BUSY_LOOK_S)
        else:
            return "busy with a command"
        link.commanding = True
        try:
            async with asyncio.timeout(DEADLINE_S):
                await call(link.device)
        except FarmError as error:
            return type(error).__name__.removesuffix("Error")
        except TimeoutError:
            return f"no answer within {DEADLINE_S:.0f} s"
        finally:
            link.commanding = False
            self._free()
        return ""


async def _reboot(device: Device) -> None:
    if not isinstance(device, Reboots):
        raise NotAbleError("its firmware cannot be restarted from afar")
    await device.reboot()


async def _locate(device: Device, *, on: bool) -> None:
    if not isinstance(device, Locates):
        raise NotAbleError("it has no light that can be blinked")
    await device.locate(on=on)


class NotAbleError(RefusedError):
    """The machine has no such capability."""
