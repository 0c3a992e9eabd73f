"""One simulated miner: identity, settings a bad driver could damage, state, and what it was told."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from simulators.faults import Fault, FaultBook
from simulators.personality import Family

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.personality import Personality, Profile, Quirk
    from simulators.physics import Fleet

RESTART_OFF_S = 15.0
"""How long the mining process is down when it restarts, device seconds."""

LOG_LENGTH = 1000


@dataclass(slots=True, kw_only=True)
class Pool:
    """One pool slot."""

    url: str
    user: str
    password: str


@dataclass(slots=True, kw_only=True)
class Settings:
    """What an operator configured, and what no power command may touch."""

    pools: list[Pool]
    api_password: str
    web_user: str = "root"
    web_password: str = "root"  # noqa: S105 - the factory default that real miners ship with
    fan_control: bool = False
    fan_pwm: str = "100"
    extra: dict[str, str] = field(default_factory=dict)
    """Fan and cooling settings that only some firmwares have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a miner is and where it stands."""

    mac: str
    serial: str
    hostname: str
    container: str
    rack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a miner listens; 0 where it does not speak that protocol."""

    host: str
    api: int
    http: int
    grpc: int = 0
    api3: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerSpec:
    """All that is fixed about one miner before the world starts."""

    personality: Personality
    quirks: frozenset[Quirk]
    identity: Identity
    endpoint: Endpoint
    settings: Settings
    report_share: float = 1.0
    """Watts it reports per watt at the plug: internal sensors read 5-20 % off a PDU."""


@dataclass(frozen=True, slots=True)
class Told:
    """One control command as it arrived; time on the world's clock."""

    at_s: float
    door: str
    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the miner says about itself, lies included."""

    power_w: float
    hash_ths: float
    hash_1m_ths: float
    hash_15m_ths: float
    asleep: bool
    chip_c: float
    ambient_c: float
    uptime_s: int
    warm: bool


class SimMiner:
    """A miner on one row of the fleet; `clock` gives the observer's seconds."""

    def __init__(self, spec: MinerSpec, *, row: int, fleet: Fleet, clock: Callable[[], float]) -> None:
        self.row = row
        self.fleet = fleet
        self.clock = clock
        self.personality = spec.personality
        self.quirks = spec.quirks
        self.identity = spec.identity
        self.endpoint = spec.endpoint
        self.settings = spec.settings
        self.report_share = spec.report_share
        personality = spec.personality
        self.faults = FaultBook()
        self.log: deque[Told] = deque(maxlen=LOG_LENGTH)
        self.reads: Counter[str] = Counter()
        self.live: set[asyncio.Transport] = set()
        """Connections that are open; a farm that stops ends them."""
        self.commands = 0
        self.secrets_void = 0
        """How often tokens and sessions were voided from outside; fronts compare."""
        self.led = "auto"
        self.fast_boot = False
        self.mode = 0
        """Antminer miner-mode, or Whatsminer 0 normal, 1 low, 2 high."""
        self.percent = 100
        self.limit_w = round(personality.full_w)
        self.profile: Profile | None = _default_profile(personality)
        self.is_atm = bool(personality.ladder)
        self.wakes_since_boot = 1
        self.due: list[tuple[float, Callable[[], None]]] = []
        """What it was told to do later; time on the world's clock."""
        self.kept: dict[str, str | int] = {}
        """What only its own front understands; survives a change of address."""

    def fingerprint(self) -> bytes:
        """Pools, passwords and fan settings as canonical bytes: equal means untouched."""
        return orjson.dumps(self.settings, option=orjson.OPT_SORT_KEYS)

    def note(self, door: str, command: str, text: str) -> None:
        """Record a control command."""
        self.commands += 1
        self.log.append(Told(self.clock(), door, command, text))

    def read(self) -> Reading:
        """What the miner reports now."""
        fleet, row = self.fleet, self.row
        power_w = fleet.power_w.item(row) * self.report_share
        hash_ths = fleet.hash_ths.item(row)
        hash_1m_ths = fleet.hash_1m_ths.item(row)
        hash_15m_ths = fleet.hash_15m_ths.item(row)
        asleep = fleet.asleep.item(row)
        if self.faults:
            lie = self.faults.get(Fault.LIES_POWER)
            power_w *= lie.number("factor", 0.5) if lie else 1.0
            lie = self.faults.get(Fault.LIES_STATE)
            if lie:
                says = lie.word("says", "mining" if asleep else "asleep")
                asleep = says == "asleep"
                hash_ths = 0.0 if asleep else float(fleet.full_ths[row])
                hash_1m_ths = hash_15m_ths = hash_ths
                power_w = self.personality.standby_w if asleep else float(fleet.full_w[row])
        return Reading(
            power_w,
            hash_ths,
            hash_1m_ths,
            hash_15m_ths,
            asleep,
            fleet.chip_c.item(row),
            fleet.ambient_c + fleet.local_ambient_c.item(row),
            int(fleet.uptime_s.item(row)),
            fleet.warm.item(row) >= 1.0,
        )

    @property
    def is_asleep(self) -> bool:
        """Whether the miner truly sleeps (not what it says)."""
        return bool(self.fleet.asleep[self.row])

    @property
    def is_deaf(self) -> bool:
        """Whether control commands have no effect although they are answered with success."""
        return Fault.IGNORES in self.faults

    def sleep(self) -> None:
        """Stop mining."""
        if not self.is_deaf:
            self.fleet.asleep[self.row] = True

    def wake(self, *, unsafe: bool = False) -> None:
        """Mine again at the current level."""
        if self.is_deaf:
            return
        self._choose_ramp(fast=unsafe or self.fast_boot)
        self.fleet.stuck[self.row] = Fault.STUCK in self.faults
        self.fleet.asleep[self.row] = False
        self.wakes_since_boot += 1

    def set_level(self, level_w: float, level_ths: float | None = None, *, restart: bool = False) -> None:
        """Move to `level_w`, through zero if the firmware restarts its mining process."""
        if self.is_deaf:
            return
        self.fleet.aim(self.row, level_w, level_ths)
        if restart and not self.is_asleep:
            self.restart()

    def restart(self) -> None:
        """Restart the mining process."""
        if not self.is_deaf:
            self._choose_ramp(fast=self.fast_boot)
            self.fleet.restart(self.row, RESTART_OFF_S)

    def run_due(self, now_s: float) -> None:
        """Do what has come due, in the order of its times."""
        ripe = sorted((at_s, n) for n, (at_s, _) in enumerate(self.due) if at_s <= now_s)
        acts = [self.due[n][1] for _, n in ripe]
        self.due = [entry for entry in self.due if entry[0] > now_s]
        for act in acts:
            act()

    def reboot(self) -> None:
        """Restart the device; whether it wakes and at which level is the firmware's habit.

        A Whatsminer forgets power_off and its percentage but keeps the watt limit; LuxOS keeps
        curtailment and profile; an Antminer keeps its miner-mode.
        """
        self.wakes_since_boot = 0
        self.secrets_void += 1
        if self.personality.family in {Family.WHATSMINER, Family.WHATSMINER_V3}:
            self.percent = 100
            self.fleet.asleep[self.row] = False
            self.fleet.aim(self.row, self.limit_w)
        self.fleet.reboot(self.row, boot_s=self.personality.boot_s)

    @property
    def state(self) -> str:
        """True state in a word: booting, asleep, restarting, stuck, waking or mining."""
        fleet, row = self.fleet, self.row
        if fleet.boot_left_s[row] > 0:
            return "booting"
        if fleet.asleep[row]:
            return "asleep"
        if fleet.stuck[row]:
            return "stuck"
        if fleet.restart_left_s[row] > 0:
            return "restarting"
        return "mining" if fleet.warm[row] >= 1.0 else "waking"

    def _choose_ramp(self, *, fast: bool) -> None:
        p = self.personality
        self.fleet.up_s[self.row] = p.fast_up_s if fast else p.up_s


def _default_profile(personality: Personality) -> Profile | None:
    return next((p for p in personality.ladder if p.step == 0), None)
