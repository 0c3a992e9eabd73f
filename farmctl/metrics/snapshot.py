"""What the exporter reads: one cycle's picture of the site, filled by wiring, never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from farmctl.core.fleet import FleetView, MeterSample
from farmctl.core.grid import EventState, SiteMode
from farmctl.core.model import Quality
from farmctl.core.units import NEVER_MS, FloatColumn, IntColumn

NAN = float("nan")
NOWHERE = -1
"""In a topology column: the miner stands in no known container or rack."""


class PowerOrigin(StrEnum):
    """Where the watts that control uses come from."""

    METER = "meter"
    SUMMED = "summed"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Topology:
    """Where the rows stand; the same object as long as the fleet is not re-indexed."""

    site: str
    containers: tuple[str, ...]
    container_of: IntColumn
    """Shape (rows,): index into `containers`, -1 nowhere."""
    racks: tuple[str, ...]
    rack_of: IntColumn
    """Shape (rows,): index into `racks`, -1 nowhere."""
    models: tuple[str, ...]
    """Shape (groups,), aligned with `FleetView.groups`."""
    firmwares: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Identity:
    """What only `farmctl_miner_info` tells, one text per row; empty is unknown."""

    mac: tuple[str, ...]
    ip: tuple[str, ...]
    serial: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Climate:
    """Sensors of the containers, shape (containers,), degrees Celsius, NaN unknown."""

    inlet_c: FloatColumn
    coolant_supply_c: FloatColumn
    coolant_return_c: FloatColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMeter:
    """One meter and its last sample."""

    name: str
    sample: MeterSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """What the site could give up (down) or take on (up) within a time."""

    direction: str
    within: str
    """As on the label: `30s`, `5m`, `1h`."""
    power_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """One signal source: is it relied upon, and when did it last say something valid?"""

    name: str
    armed: bool
    last_valid_ms: int = NEVER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCount:
    """Live and recent grid events in one state."""

    state: EventState
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCurrent:
    """One phase of one PDU."""

    pdu: str
    phase: str
    amperes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """One pool by its configured name, never by its URL."""

    name: str
    up: bool
    accepted: float
    rejected: float
    stale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCount:
    """Miners of one model that show one fault code."""

    code: str
    model: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCount:
    """Alarms of one priority in one state."""

    priority: str
    state: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlarm:
    """An alarm that is active and neither shelved nor suppressed."""

    alarm: str
    container: str
    priority: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetricsSnapshot:
    """The site after one cycle; NaN and absent entries become absent series."""

    at_ms: int
    """When the cycle decided."""
    view: FleetView
    topology: Topology
    wanted_hash_rate_hs: FloatColumn
    """Shape (rows,): hash rate at the wanted operating point, NaN unknown."""
    power_w: float
    """What control takes for the site's power."""
    power_origin: PowerOrigin
    mode: SiteMode
    curtailment_active: bool
    leader: bool
    auth_unsigned: bool
    target_w: float = NAN
    limit_w: float = NAN
    baseline_w: float = NAN
    unconfirmed_w: float = NAN
    energy_j: float = NAN
    frequency_hz: float = NAN
    sources: tuple[SourceStatus, ...] = ()
    events: tuple[EventCount, ...] = ()
    next_event_ms: int = NEVER_MS
    """Start of the next event that is accepted and not begun."""
    overrides: int = 0
    meters: tuple[NamedMeter, ...] = ()
    available: tuple[Available, ...] = ()
    climate: Climate | None = None
    ambient_c: FloatColumn | None = None
    """Shape (rows,): air that each miner breathes in, NaN where it does not tell."""
    currents: tuple[PhaseCurrent, ...] = ()
    pools: tuple[PoolStatus, ...] = ()
    faults: tuple[FaultCount, ...] = ()
    alarms: tuple[AlarmCount, ...] = ()
    active_alarms: tuple[ActiveAlarm, ...] = ()
    stale_alarms: int = 0
    flooded: bool = False
    identity: Identity | None = None


def meter_power_w(meter: NamedMeter) -> float:
    """W that a meter may publish: NaN unless the sample is good, so a doubtful one is an absent series."""
    return meter.sample.power_w if meter.sample.quality is Quality.OK else NAN
