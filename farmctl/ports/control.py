"""What the control API needs of the farm: a picture to show, and a desk that takes orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from farmctl.core.alarms import Condition
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.model import Override
from farmctl.core.step import Decision
from farmctl.ports.store import InventoryRow


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
        """Conditions that hold, worst first."""
        ...


class Glass(Protocol):
    """What may be looked at."""

    def picture(self) -> SitePicture | None:
        """The latest cycle, None before the first one."""
        ...

    def inventory(self) -> Sequence[InventoryRow]:
        """Every miner as the site knows it, in any order; the same object for as long as nothing changed."""
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

    async def set_override(self, order: Override) -> None:
        """Take one on."""
        ...

    async def release_override(self, override_id: str, owner: str, reason: str) -> None:
        """Let one go."""
        ...

    async def set_stop_all(self, owner: str, reason: str, *, on: bool) -> None:
        """Stop the whole site, or permit it to run again."""
        ...

    async def set_maintenance(self, owner: str, reason: str, *, on: bool) -> None:
        """Forbid automatic starts, or permit them again."""
        ...
