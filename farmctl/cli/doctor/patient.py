"""What the checks look at: the configuration, the inventory and the running controller, each asked for once."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Any

from farmctl.cli.asking import Door
from farmctl.cli.places import configuration, journal_of, known_miners
from farmctl.config.fault import ConfigFaultsError
from farmctl.config.load import Loaded
from farmctl.control.client import ControlClient, ControllerRefusedError
from farmctl.errors import FarmError
from farmctl.ports.store import InventoryRow

PAGE = 10_000


class Patient:
    """Everything is None where it cannot be had; the reason is kept beside it."""

    def __init__(self, door: Door, *, quick: bool) -> None:
        """`quick` leaves out what takes long."""
        self._door = door
        self.quick = quick
        self.config_error = ""
        self.controller_error = ""
        self.refused = False
        """The controller answers, and does not let this user look."""

    @cached_property
    def loaded(self) -> Loaded | None:
        """The configuration in force on this host: of the controller that was named, else where it is looked for."""
        try:
            return configuration(self._door.config_path, self._door)
        except ConfigFaultsError as error:
            self.config_error = str(error)
            return None

    @cached_property
    def inventory(self) -> tuple[InventoryRow, ...]:
        """The miners as the store of this host lists them."""
        if self.loaded is None:
            return ()
        try:
            return asyncio.run(known_miners(journal_of(self.loaded)))
        except FarmError:
            return ()

    @cached_property
    def client(self) -> ControlClient | None:
        """The controller to ask."""
        try:
            return self._door.client()
        except FarmError as error:
            self.controller_error = str(error)
            return None

    @cached_property
    def whoami(self) -> dict[str, Any] | None:
        """Who the controller takes this user for."""
        return self.ask("/v1/whoami")

    @cached_property
    def state(self) -> dict[str, Any] | None:
        """The strip."""
        return self.ask("/v1/state") if self.whoami is not None else None

    @cached_property
    def miners(self) -> list[dict[str, Any]]:
        """Up to so many miners as the controller sees them now."""
        told = self.ask("/v1/miners", limit=PAGE) if self.state is not None else None
        return [] if told is None else list(told["rows"])

    @cached_property
    def alarms(self) -> list[dict[str, Any]]:
        """What is on the board."""
        told = self.ask("/v1/alarms") if self.state is not None else None
        return [] if told is None else list(told["rows"])

    def ask(self, path: str, **query: int) -> dict[str, Any] | None:
        """One answer, None where there is none."""
        if self.client is None:
            return None
        try:
            return self.client.get(path, **query)
        except ControllerRefusedError as error:
            self.refused, self.controller_error = True, str(error)
        except FarmError as error:
            self.controller_error = str(error)
        return None
