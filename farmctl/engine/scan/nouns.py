"""What a scan is told, what it says on its way, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farmctl.errors import AskHumanError
from farmctl.ports.devices import Driver, Endpoint, Identity

STANDARD_PORTS: Mapping[str, int] = {"api": 4028, "http": 80, "api3": 4433}
"""Where miners listen: cgminer's API and its kin; web servers (4028 is shut on a sleeping Antminer); Whatsminer v3."""

CONNECT_S = 1.5
"""Linux sends a lost SYN again after 1 s (RFC 6298): a shorter deadline would lose a miner to one lost packet."""


class ScanStoppedError(AskHumanError):
    """This machine ran out of something that a scan needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRules:
    """How hard the network is asked."""

    rate_per_s: float = 1_000.0
    """Addresses begun per second."""
    in_flight: int = 1_000
    """Addresses under way at once; each holds one socket per port while it is knocked at."""
    connect_s: float = CONNECT_S
    ports: Mapping[str, int] = field(default_factory=lambda: dict(STANDARD_PORTS))
    """Knocked at where a place names no ports of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Drivers that are asked in order; the next stage gets what this one did not recognise."""

    drivers: tuple[Driver, ...]
    in_flight: int = 300
    deadline_s: float = 8.0
    """For one address and all drivers of the stage: two answers of 3 s that never come, and some time to work."""
    tries: int = 2
    """An address that was unwell (silent, cut off, garbled) is asked again when all others are through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A miner and where it answers today."""

    identity: Identity
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Something listens, and no driver could say who."""

    endpoint: Endpoint
    listening: tuple[str, ...]
    """Names of the open ports."""
    why: str
    locked: bool
    """True where a driver knows the family and its password was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a scan is."""

    done: int
    """Addresses that are settled, dead ones included."""
    started: int
    total: int
    found: int
    eta_s: float | None
    """None before anything is settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """What a scan found, by address."""

    addresses: int
    found: tuple[Found, ...]
    unknown: tuple[Unknown, ...]
    wall_s: float
