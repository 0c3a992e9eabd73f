"""What operators do by hand to single miners: asked for by capability, behind the controller's own commands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from farmctl.core.model import MinerId
from farmctl.engine.hands import SiteHands
from farmctl.engine.inbox import GridInbox
from farmctl.engine.link import Link
from farmctl.errors import SilentPeerError
from farmctl.ports.devices import Facts, Reading
from farmctl.store.memory import MemoryStore
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm


@dataclass
class Mute:
    """A machine without any capability."""

    serial_only: bool = False

    async def poll(self) -> Reading:
        raise SilentPeerError

    async def facts(self) -> Facts:
        raise SilentPeerError

    async def close(self) -> None:
        return


@dataclass
class Able(Mute):
    """One that restarts and blinks."""

    done: list[str] = field(default_factory=list)
    silent: bool = False

    async def reboot(self) -> None:
        if self.silent:
            raise SilentPeerError
        self.done.append("reboot")

    async def locate(self, *, on: bool) -> None:
        self.done.append("on" if on else "off")


async def test_each_miner_says_yes_or_why_not() -> None:
    devices = {"able": Able(), "mute": Mute(), "silent": Able(silent=True), "new": Able(), "busy": Able()}
    links = {MinerId(name): Link(MinerId(name), row, device) for row, (name, device) in enumerate(devices.items())}
    for link in links.values():
        link.proved = link.miner_id != "new"
    links[MinerId("busy")].commanding = True
    clock, freed = Glasshouse(farm(2)).clock, list[bool]()
    hands = SiteHands(links, GridInbox(MemoryStore(), clock, asyncio.Event()), lambda: freed.append(True))
    running = asyncio.create_task(hands.run())
    told: list[str] = []
    hands.reboot([*devices, "gone"], told.append)
    async with asyncio.timeout(20):
        while len(told) < 5:  # noqa: ASYNC110 - the answers come by callback
            await asyncio.sleep(0.01)
        assert sorted(told) == [
            "", "NotAble", "SilentPeer", "its identity is not proved", "not in this controller's fleet",
        ]  # fmt: skip
        links[MinerId("busy")].commanding = False
        hands.locate(["able"], told.append, on=True)
        while len(told) < 7:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    running.cancel()
    able, busy = devices["able"], devices["busy"]
    assert isinstance(able, Able)
    assert isinstance(busy, Able)
    assert (able.done, busy.done) == (["reboot", "on"], ["reboot"])
    assert not any(link.commanding for link in links.values())
    assert len(freed) == 5
