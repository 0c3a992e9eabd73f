"""A site that may be looked at: a day in virtual time behind the real desk, the real server and a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.desk import AlarmDesk
from farmctl.control.client import ControlClient
from farmctl.control.identity import Caller, Identify, Role
from farmctl.control.remote import Remote
from farmctl.control.server import ControlParts, ControlServer
from farmctl.control.strip import Site
from farmctl.core.alarms import Yard
from farmctl.core.fleet import FleetView
from farmctl.core.grid import OptReason
from farmctl.core.model import MinerId
from farmctl.core.units import FloatColumn
from farmctl.engine.cycle import Picture, scene_of
from farmctl.engine.desk import Desk
from farmctl.engine.hands import SiteHands
from farmctl.engine.inbox import GridInbox
from farmctl.engine.records import input_hash
from farmctl.ports.control import By, Extras, Hands, SitePicture
from farmctl.ports.programme import ProgrammePicture
from farmctl.ports.store import InventoryRow
from farmctl.store.memory import MemoryStore
from tests.scenarios.day import Day, Farm


class VisibleDay(Day):
    """A day that keeps what each cycle saw."""

    seen_view: FleetView

    @override
    def view(self) -> FleetView:
        self.seen_view = super().view()
        return self.seen_view


@dataclass(kw_only=True)
class DayClock:
    """The day's own time."""

    day: VisibleDay
    ahead_ms: int = 0

    def now_ms(self) -> int:
        return self.day.now_ms + self.ahead_ms

    def monotonic_s(self) -> float:
        return self.now_ms() / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits in a glasshouse, asked for {seconds} s")


@dataclass
class Badge:
    """Who the next caller is taken for."""

    role: Role = Role.OPERATOR
    name: str = "kim"
    uids: list[int] = field(default_factory=list)

    def __call__(self, uid: int) -> Caller:
        self.uids.append(uid)
        return Caller(uid=uid, name=self.name, role=self.role)


class Hand(Hands):
    """Miners that say yes, except those whose names are noted; and the latch."""

    def __init__(self, house: Glasshouse) -> None:
        self._house = house
        self.done: list[tuple[str, str]] = []
        self.unable: set[str] = set()

    @override
    def reboot(self, miners: Sequence[str], told: Callable[[str], None]) -> None:
        self._do("reboot", miners, told)

    @override
    def locate(self, miners: Sequence[str], told: Callable[[str], None], *, on: bool) -> None:
        self._do("light on" if on else "light off", miners, told)

    @override
    async def release_emergency(self, picture: SitePicture, by: By) -> tuple[str, ...]:
        inbox = GridInbox(self._house.store, self._house.clock, asyncio.Event())
        ids = await SiteHands({}, inbox, lambda: None).release_emergency(picture, by)
        self._house.day.inbox += [arrival.message for arrival in inbox.drain()]
        return ids

    @override
    async def opt_out(self, picture: SitePicture, event_id: str, why: OptReason, by: By) -> None:
        inbox = GridInbox(self._house.store, self._house.clock, asyncio.Event())
        await SiteHands({}, inbox, lambda: None).opt_out(picture, event_id, why, by)
        self._house.day.inbox += [arrival.message for arrival in inbox.drain()]

    def _do(self, what: str, miners: Sequence[str], told: Callable[[str], None]) -> None:
        for miner in miners:
            self.done.append((what, miner))
            told("no such capability" if miner in self.unable else "")


class Glasshouse:
    """Glass and desk of one day."""

    def __init__(
        self,
        the_farm: Farm,
        *,
        confirm_fraction: float = 1.0,
        identify: Identify | None = None,
        containers_of: int = 10,
        **rule_changes: Any,
    ) -> None:
        self.day = VisibleDay(the_farm, **rule_changes)
        self.clock = DayClock(day=self.day)
        self.store = MemoryStore()
        self.desk = Desk(self.store, self.clock, asyncio.Event(), armed=True)
        self.alarms = AlarmDesk(self.store, self.clock, CATALOGUE, lambda: None)
        self.programme: ProgrammePicture | None = None
        self.badge = Badge()
        self.hands = Hand(self)
        self.identify = identify or self.badge
        self.site = Site(name="demo", timezone="Asia/Karachi", confirm_fraction=confirm_fraction)
        self.blind = False
        self.told: Extras | None = None
        self.limit_c: FloatColumn | None = None
        self._picture: SitePicture | None = None
        self._inventory = tuple(
            _row(number, str(miner), containers_of) for number, miner in enumerate(self.day.table.miner_id)
        )
        containers, racks = [row.container for row in self._inventory], [row.rack for row in self._inventory]
        self.yard = Yard.of(self.day.farm.tree, self.day.table.node, containers, racks)

    def run(self, seconds: float) -> Glasshouse:
        """Let time pass with the desk's orders in force."""
        for _ in range(int(seconds)):
            self.day.overrides = list(self.desk.overrides)
            self.day.changes.update(stop_all=self.desk.stop_all, maintenance=self.desk.maintenance)
            self.day.table.maintained[:] = [row.container in self.desk.maintained for row in self._inventory]
            self.day.run(1)
            self._look()
        return self

    def picture(self) -> SitePicture | None:
        if self.blind:
            return None
        if self._picture is None:
            self._look()
        return self._picture

    def _look(self) -> None:
        """What the cycle does with a decision."""
        day = self.day
        board = self.alarms.advance(scene_of(day.seen_view, day.decision, day.memory, self.yard, self.limit_c))
        active = tuple(alarm.condition for alarm in board.active)
        self._picture = Picture(
            view=day.seen_view, decision=day.decision, memory=day.memory, alarms=active, board=board
        )

    def inventory(self) -> Sequence[InventoryRow]:
        return self._inventory

    def extras(self, picture: SitePicture) -> Extras:
        return self.told or Extras.unknown(len(picture.view.table))

    def input_hash(self, picture: SitePicture) -> str:
        return input_hash(picture.view, picture.decision.at_ms)

    def server(self, path: Path, remote: Remote | None = None) -> ControlServer:
        parts = ControlParts(
            socket_path=path, group=None, glass=self, orders=self.desk, alarms=self.alarms,
            identify=self.identify, clock=self.clock, site=self.site, hands=self.hands, store=self.store,
            settings=lambda: [{"key": "site.name", "value": "demo", "origin": "farm.toml:2"}], remote=remote,
            config_files=[str(path.with_name("farm.toml"))],
            programme=lambda: self.programme,
        )  # fmt: skip
        return ControlServer(parts)

    @property
    def shown(self) -> SitePicture:
        """The picture, which is there."""
        picture = self.picture()
        assert picture is not None
        return picture


@dataclass(frozen=True)
class Asker:
    """A client that asks from a thread, so that the server's loop stays free."""

    client: ControlClient

    async def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        return await asyncio.to_thread(self.client.get, path, **query)

    async def post(self, **body: object) -> dict[str, Any]:
        return await asyncio.to_thread(self.client.post, "/v1/commands", body)


def _row(number: int, miner: str, containers_of: int) -> InventoryRow:
    models = ("Antminer S21", "Antminer S19", "Whatsminer M60S")
    return InventoryRow(
        miner_id=MinerId(miner), host=f"10.0.{number // 250}.{number % 250 + 1}", ports={}, driver="antminer",
        model=models[number % 3], firmware="2024.1", container=f"C{number // containers_of:03d}",
        rack=f"R{number // 5 % 2:02d}", slot=str(number % 5),
    )  # fmt: skip
