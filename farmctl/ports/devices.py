"""How a miner is spoken to: Driver, Device and one-method capabilities asked for at run time with `isinstance`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PowerSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a miner answers: one host and a port for each protocol it speaks."""

    host: str
    ports: Mapping[str, int]
    """`api` (4028), `api3` (4433), `http` (80), `grpc` (50051); a driver has defaults for absent ones."""

    def port(self, name: str, default: int) -> int:
        """Port of one protocol."""
        return self.ports.get(name, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """User and password for one miner; empty strings mean the driver's factory defaults."""

    user: str = ""
    password: str = field(default="", repr=False)
    """Never shown: what is not in a repr gets into no log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answered: the MAC or serial is the miner, the address is only where it is today."""

    miner_id: MinerId
    driver: str
    model: str
    firmware: str
    mac: str = ""
    serial: str = ""


@dataclass(slots=True, kw_only=True)
class Reading:
    """One poll, normalised: W, H/s, °C, s. NaN, None and empty mean unknown, never zero.

    Nobody writes to one; not frozen, because that costs 3.6 us of the 90 of a poll.
    """

    state: MinerState
    power_w: float
    power_source: PowerSource
    hash_rate_hs: float
    temperature_c: float
    """Hottest chip; the hottest board where the device tells no chip."""
    uptime_s: float
    setting: str | None
    """Operating point that the device says it is set to, in the grammar of `OperatingPoint.setting`."""
    power_limit_w: float = float("nan")
    fans_rpm: tuple[float, ...] = ()
    board_temperatures_c: tuple[float, ...] = ()
    errors: tuple[str, ...] = ()
    """Vendor error codes as text."""
    ambient_c: float = float("nan")
    """Air that the machine breathes in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One pool as the device shows it; passwords are never read."""

    url: str
    user: str
    alive: bool | None
    accepted: float = float("nan")
    """Shares since the mining process started; NaN where the device does not count them by pool."""
    rejected: float = float("nan")
    stale: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Slow facts, read hourly and after a reboot."""

    identity: Identity
    pools: tuple[Pool, ...]
    boards: int | None
    nominal_hash_rate_hs: float
    """What the vendor promises at full, NaN unknown."""
    nominal_power_w: float
    """The device's own figure for full draw, NaN unknown."""
    limit_c: float = float("nan")
    """Heat at which the device says that it protects itself, by the sensor of `Reading.temperature_c`."""


class Device(Protocol):
    """One miner at one endpoint; owns its connections, tokens and sessions.

    Every method has its own deadline. Raises the leaves of `farmctl.errors`: SilentPeerError, MalformedReplyError,
    CredentialError, RefusedError; never a bare OSError or TimeoutError.
    """

    serial_only: bool
    """True where the machine cannot take two connections at a time."""

    async def poll(self) -> Reading:
        """Read state, power, hash rate and heat with as few requests as the firmware permits."""
        ...

    async def facts(self) -> Facts:
        """Read the slow facts."""
        ...

    async def close(self) -> None:
        """Give back sessions and sockets; safe to call twice."""
        ...


@runtime_checkable
class AppliesPoint(Protocol):
    """The machine can be brought to an operating point."""

    async def apply(self, point: OperatingPoint) -> None:
        """Command one absolute point and nothing else; returns when the device said yes.

        Never touches pools, passwords or fans. A yes is no proof: telemetry confirms.
        """
        ...


@runtime_checkable
class AppliesFast(Protocol):
    """The firmware has a faster way to the same point, for urgent commands: it may wear the machine more."""

    async def apply_fast(self, point: OperatingPoint) -> None:
        """As `AppliesPoint.apply`; takes the slow way where the firmware refuses the fast one."""
        ...


@runtime_checkable
class ReadsLadder(Protocol):
    """The machine publishes its own operating points."""

    async def ladder(self) -> Ladder | None:
        """Read them; None where this unit does not publish any."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """Logging in is expensive and can be done ahead of an urgent command."""

    prepared_s: float
    """How long what was prepared stays good, s; 0: it must not be held without a command."""

    async def prepare(self) -> None:
        """Have a token or session ready."""
        ...


@runtime_checkable
class Locates(Protocol):
    """The machine has a light that can be blinked."""

    async def locate(self, *, on: bool) -> None:
        """Switch the light."""
        ...


@runtime_checkable
class Reboots(Protocol):
    """The control board can be restarted from afar."""

    async def reboot(self) -> None:
        """Restart it; returns when the device said yes."""
        ...


@runtime_checkable
class ShipsWithLogin(Protocol):
    """A driver whose machines come from the factory with a password that everybody knows."""

    factory: Credentials
    """What the vendor's manual says; the user may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLogin:
    """One pool as it is to be set; the password is for the pool, and no secret of ours."""

    url: str
    user: str
    password: str = field(default="x", repr=False)
    """`x` is what pools take that ask for none."""


@runtime_checkable
class SetsPools(Protocol):
    """The machine's pools can be changed; only `farmctl pools set` does, no control loop."""

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these the pools, in this order, and no others; returns when the device said yes.

        Touches nothing else. Mining may restart. Raises RefusedError for more pools than it takes.
        """
        ...


class Driver(Protocol):
    """One family of machines; makes devices, keeps no state of any one of them."""

    name: str

    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        """Probe as cheaply as possible; None: something answers, but it is not of this family.

        Raises SilentPeerError where nothing answers, CredentialError where the password is refused.
        """
        ...

    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        """Make the device object of one miner; opens nothing yet."""
        ...


@runtime_checkable
class NamesDoors(Protocol):
    """A driver that says where its family listens: a scan does not ask it where that is shut or was mute before."""

    doors: frozenset[str]
    """`port:protocol`, such as `api:cgminer`, `http:http`, `api3:framed`; one of them open is enough."""
