"""What the control API works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from farmctl.control.identity import Identify
from farmctl.control.remote import Remote
from farmctl.control.strip import Site
from farmctl.control.wire import Json
from farmctl.ports.control import AlarmOrders, Glass, Hands, Orders
from farmctl.ports.history import History
from farmctl.ports.programme import ProgrammePicture
from farmctl.ports.site import Clock
from farmctl.ports.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlParts:
    """What the API works with; filled by wiring."""

    socket_path: Path
    group: str | None
    """Unix group of the socket."""
    glass: Glass
    orders: Orders
    alarms: AlarmOrders
    hands: Hands
    store: Store
    identify: Identify
    clock: Clock
    site: Site
    settings: Callable[[], Sequence[Json]] = tuple
    """The configuration in force: key, value, origin; secrets are only ever named."""
    config_files: Sequence[str] = ()
    """Where it was read from."""
    remote: Remote | None = None
    history: History | None = None
    """None: none is kept."""
    programme: Callable[[], ProgrammePicture | None] = lambda: None
    """The sites of headquarters; None for a site with miners of its own."""
    system: Callable[[], Json] = dict
    """How the controller itself does, as shapes_ahead.System says it."""
