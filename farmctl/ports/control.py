"""What the control API needs of the farm: a picture to show, and a desk that takes orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from farmctl.core.alarms import AlarmBoard, AlarmKind, Condition, Scene
from farmctl.core.fleet import FleetView
from farmctl.core.grid import OptReason
from farmctl.core.memory import Memory
from farmctl.core.model import Override
from farmctl.core.step import Decision
from farmctl.core.units import NEVER_MS, CodeColumn, FloatColumn, IntColumn
from farmctl.ports.store import InventoryRow, JournalRecord, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who orders something, and why; all of it stands in the journal."""

    owner: str
    reason: str
    uid: int = -1
    """By the kernel's word; -1 where nobody asked it."""
    role: str = ""
    key: str = ""
    """Idempotency key, empty for none."""
    origin: str = ""
    """Where the client says that it comes from: declared, not known."""
    along: Mapping[str, bytes] = field(default_factory=dict)
    """Named states that become durable in the transaction of what is ordered."""

    @property
    def told(self) -> dict[str, JsonValue]:
        """What the journal adds to owner and reason."""
        return {"uid": self.uid, "role": self.role, "key": self.key, "declared_origin": self.origin}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Manual authority, held by one person for a while."""

    owner: str
    uid: int
    reason: str
    taken_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Extras:
    """What people look at and control does not use, one entry per row of the table."""

    fan_rpm: FloatColumn
    """The slowest fan; NaN where none is told."""
    limit_c: FloatColumn
    """Heat of `temperature_c` at which the machine protects itself; NaN unknown."""
    since_ms: IntColumn
    """Since when the controller has seen it in this state; -1 never."""
    fault: CodeColumn
    """Index into `faults`."""
    faults: tuple[str, ...]
    pool: CodeColumn
    """Index into `pools`."""
    pools: tuple[str, ...]
    """Only ever grows while the daemon runs."""

    @classmethod
    def unknown(cls, rows: int) -> Extras:
        """Nothing was told."""
        none, zero = np.full(rows, np.nan), np.zeros(rows, dtype=np.int16)
        never = np.full(rows, NEVER_MS, dtype=np.int64)
        return cls(
            fan_rpm=none, limit_c=none, since_ms=never, fault=zero, faults=("",), pool=zero, pools=("",)
        )  # fmt: skip


class SitePicture(Protocol):
    """What may be seen of one cycle; `engine.cycle.Picture` is one."""

    @property
    def view(self) -> FleetView:
        """What the cycle saw."""
        ...

    @property
    def decision(self) -> Decision:
        """What it decided."""
        ...

    @property
    def memory(self) -> Memory:
        """What it remembers after the decision."""
        ...

    @property
    def alarms(self) -> tuple[Condition, ...]:
        """Active alarms that are neither shelved nor suppressed, worst first."""
        ...

    @property
    def board(self) -> AlarmBoard:
        """Every alarm with its state."""
        ...


class Glass(Protocol):
    """What may be looked at."""

    def picture(self) -> SitePicture | None:
        """The latest cycle, None before the first one."""
        ...

    def inventory(self) -> Sequence[InventoryRow]:
        """Every miner as the site knows it, in any order; the same object for as long as nothing changed."""
        ...

    def extras(self, picture: SitePicture) -> Extras:
        """What stands beside the columns now; may be called in a thread."""
        ...

    def input_hash(self, picture: SitePicture) -> str:
        """SHA-256, hex, of what that cycle was shown; the same as in the journal's decision record."""
        ...


class Orders(Protocol):
    """The operator's desk as the control API writes to it; `engine.desk.Desk` is one.

    Every method is durable when it returns; raises RefusedError where a rule says no, StoreError where the
    journal cannot be written.
    """

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those that have not expired."""
        ...

    @property
    def lease(self) -> Lease | None:
        """Who holds manual authority, None for nobody."""
        ...

    @property
    def stop_all(self) -> bool:
        """The whole site is stopped."""
        ...

    async def set_override(self, order: Override, by: By) -> None:
        """Take one on."""
        ...

    async def release_override(self, override_id: str, by: By) -> None:
        """Let one go."""
        ...

    async def set_stop_all(self, by: By, *, on: bool) -> None:
        """Stop the whole site, or permit it to run again. A stop counts even where StoreError is raised."""
        ...

    async def set_maintenance(self, by: By, *, on: bool, containers: Sequence[str] = ()) -> None:
        """Forbid automatic starts, or permit them again, in some containers or (none) the whole site."""
        ...

    @property
    def maintained(self) -> tuple[str, ...]:
        """Containers in maintenance, sorted."""
        ...

    async def take_lease(self, by: By, expires_ms: int) -> Lease:
        """Hold manual authority, or hold it longer. Raises LeaseHeldError where another person holds it."""
        ...

    async def release_lease(self, by: By, *, anybodys: bool) -> None:
        """Give it back; with `anybodys` another person's too. Raises RefusedError."""
        ...

    async def audit(self, verb: str, by: By, result: str) -> None:
        """Note an order that was refused, or what was done about one; best effort, raises nothing."""
        ...

    async def note(self, verb: str, by: By, result: str) -> None:
        """Note an order before it is carried out by other hands. Raises LeaseHeldError, StoreError."""
        ...


class Hands(Protocol):
    """What operators do to single miners and to the latch; `engine.hands.SiteHands` is one."""

    def reboot(self, miners: Sequence[str], told: Callable[[str], None]) -> None:
        """Begin to restart control boards; `told` hears of each miner why it failed, empty for a yes."""
        ...

    def locate(self, miners: Sequence[str], told: Callable[[str], None], *, on: bool) -> None:
        """Begin to blink lights, or to stop it."""
        ...

    async def release_emergency(self, picture: SitePicture, by: By) -> tuple[str, ...]:
        """Clear every latched EMERGENCY, durable when it returns; their event ids. Raises RefusedError for none."""
        ...

    async def opt_out(self, picture: SitePicture, event_id: str, why: OptReason, by: By) -> None:
        """Take no part in an order about load, durable when it returns. Raises RefusedError where that is not open."""
        ...


class AlarmWatch(Protocol):
    """The alarms as the control cycle feeds them; `alarms.desk.AlarmDesk` is one."""

    def advance(self, scene: Scene) -> AlarmBoard:
        """One cycle later."""
        ...

    def drain(self) -> tuple[Sequence[JournalRecord], Mapping[str, bytes]]:
        """What the journal should have of it: records, and the named states that go with them."""
        ...


class AlarmOrders(Protocol):
    """The alarms as the control API orders them.

    Every method is durable when it returns; raises NoSuchAlarmError, AlarmRefusedError, StoreError.
    """

    @property
    def board(self) -> AlarmBoard:
        """Every alarm with its state, orders of this moment included."""
        ...

    @property
    def kinds(self) -> Mapping[str, AlarmKind]:
        """The catalogue, by the alarm's name."""
        ...

    async def acknowledge(self, key: str, by: By) -> None:
        """A person has seen it; the reason is the note."""
        ...

    async def shelve(self, key: str, by: By, until_ms: int | None) -> None:
        """Hide it until a moment, or until its condition is over (None)."""
        ...

    async def unshelve(self, key: str, by: By) -> None:
        """Show it again."""
        ...

    async def report(self, condition: Condition, by: By, until_ms: int | None) -> None:
        """One of the site's own systems says that a condition holds (TRUE), or is over; None: it counts on and on."""
        ...
