"""Drivers by name: entry points first, so that a third party may add or replace one, then those of a checkout."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from farmctl.errors import ConfigError
from farmctl.ports.devices import Driver

GROUP = "farmctl.drivers"
CHECKOUT = "drivers"
LAST = "pyasic"
"""The bridge to the long tail is asked after every native driver: its probes are the dearest."""


def driver_places() -> dict[str, str]:
    """Name -> "module:Class" of every driver there is, natives first."""
    builtin: Mapping[str, str] = importlib.import_module(CHECKOUT).BUILTIN
    places = {**builtin, **{point.name: point.value for point in entry_points(group=GROUP)}}
    return dict(sorted(places.items(), key=lambda item: item[0] == LAST))


def load_drivers(names: Sequence[str] | None = None) -> dict[str, Driver]:
    """Make the named drivers, or all. Raises ConfigError for a name that nobody offers, or a module that fails."""
    places = driver_places()
    wanted = list(places) if names is None else list(names)
    unknown = [name for name in wanted if name not in places]
    if unknown:
        raise ConfigError(f"driver {', '.join(unknown)}: expected one of {', '.join(places)}")
    return {name: _made(name, places[name]) for name in wanted}


def _made(name: str, place: str) -> Driver:
    module, _, attribute = place.partition(":")
    try:
        driver: Driver = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"driver {name}: expected a class at {place}: {error}") from error
    return driver
