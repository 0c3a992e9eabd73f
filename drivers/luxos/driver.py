"""LuxOS: one joined request a poll, the miner's own ladder, writes in short sessions."""

from __future__ import annotations

from math import nan
from typing import Any

from typing_extensions import override

from drivers._wire.cgminer import API_PORT, ask, request
from drivers._wire.fields import status
from drivers.luxos import wire
from drivers.luxos.session import Session
from drivers.luxos.wire import Config, Stats
from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, Reading

DRAWS_W = 200.0
"""Above this the miner is not asleep, whatever it says: curtailed is some 25 W with fans."""

BOOT_S = 600.0
"""A stock Antminer needs 2-6 min to its first hash; no hash rate after this is a fault."""

WAKE, WAKE_FAST = ("curtail", "wakeup"), ("curtail", "wakeup,mode=unsafe")
"""The fast one stresses the chips, says the vendor: for urgent commands alone (DEVICES.md section 6)."""

DEFAULT_STEP = 0
DEFAULT_NAME = "default"


class LuxosDriver(Driver):
    """Makes devices of Antminers that run LuxOS."""

    name = "luxos"
    doors = frozenset({"api:cgminer"})

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        return await _identify(endpoint.host, endpoint.port("api", API_PORT))

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return LuxosDevice(endpoint)


class LuxosDevice(Device):
    """One LuxOS miner; it knows no password, only sessions."""

    serial_only = False
    prepared_s = 0.0  # a session dies after an idle minute, and shuts everybody else out until then

    def __init__(self, endpoint: Endpoint) -> None:
        self.host = endpoint.host
        self.port = endpoint.port("api", API_PORT)
        self._session = Session(self.host, self.port)
        self._joins = True
        self._is_asleep: bool | None = None

    @override
    async def poll(self) -> Reading:
        parts = await self._poll_parts()
        stats, config = wire.parse_stats(parts["stats"]), wire.parse_config(parts["config"])
        power_w = wire.parse_power_w(parts["power"])
        if stats is None and config is None:
            raise MalformedReplyError(f"{self.host}:{self.port} answered neither stats nor config, expected both")
        self._is_asleep = None if config is None else config.is_curtailed
        await self._session.settle()
        return Reading(
            state=_state(stats, config, power_w),
            power_w=power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=nan if stats is None else stats.hash_rate_hs,
            temperature_c=nan if stats is None else stats.hottest_c,
            uptime_s=nan if stats is None else stats.uptime_s,
            setting=_setting(config),
            fans_rpm=() if stats is None else stats.fans_rpm,
            board_temperatures_c=() if stats is None else stats.boards_c,
        )

    @override
    async def facts(self) -> Facts:
        identity = await _identify(self.host, self.port)
        if identity is None:
            raise MalformedReplyError(f"{self.host}:{self.port} no longer answers as LuxOS")
        nameplate = wire.parse_nameplate(await self._ask(wire.CONFIG))
        stats = wire.parse_stats(await self._ask(request("stats")))
        ladder = await self.ladder()
        return Facts(
            identity=identity,
            pools=wire.parse_pools(await self._ask(wire.POOLS)),
            boards=None if stats is None else stats.boards,
            nominal_hash_rate_hs=nameplate.hash_rate_hs,
            nominal_power_w=nan if ladder is None else ladder.points[-1].power_w,
            limit_c=wire.parse_limit_c(await self._ask(wire.HEAT)),
        )

    @override
    async def close(self) -> None:
        await self._session.close()

    async def ladder(self) -> Ladder | None:
        """Read the profiles up to the vendor's default, or to today's where an operator went above it."""
        config = wire.parse_config(await self._ask(wire.CONFIG))
        today = None if config is None else config.profile_step
        return wire.parse_ladder(await self._ask(wire.PROFILES), max(DEFAULT_STEP, today or DEFAULT_STEP))

    async def prepare(self) -> None:
        """Hold the session for an urgent write; others wait at most a minute if none comes."""
        await self._session.prepare()

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `profile:NAME` or `watts:N`; raises RefusedError for any other setting."""
        await self._apply(point, WAKE)

    async def apply_fast(self, point: OperatingPoint) -> None:
        """The same, woken with `mode=unsafe`: 10 s instead of a boot; refused after a reboot, then woken as usual."""
        try:
            await self._apply(point, WAKE_FAST, hold=True)
        except RefusedError:
            await self._apply(point, WAKE)

    async def _apply(self, point: OperatingPoint, waking: tuple[str, str], *, hold: bool = False) -> None:
        kind, _, value = point.setting.partition(":")
        if kind == "sleep":
            await self._session.act(("curtail", "sleep"), hold=hold)
            self._is_asleep = True
            return
        if kind == "full":
            profile = await self._default_profile()
        elif kind == "profile" and _is_plain(value):
            profile = value
        elif kind == "watts" and value.isdecimal() and int(value) > 0:
            profile = f"{int(value)}W"
        else:
            raise RefusedError(
                f"{self.host}: LuxOS has no setting {point.setting!r}, expected sleep, full, profile:NAME or watts:N"
            )
        wake = (waking,) if await self._sleeps() else ()
        await self._session.act(*wake, ("profileset", profile), hold=hold)
        self._is_asleep = False

    async def locate(self, *, on: bool) -> None:
        """Blink the red light, or switch it off."""
        await self._session.act(("ledset", "red,blink" if on else "red,off"))

    async def reboot(self) -> None:
        """Restart the control board; it takes the session with it."""
        self._is_asleep = None
        await self._session.act(("rebootdevice", ""))

    async def _default_profile(self) -> str:
        """Name of the vendor's default; where profiles cannot be read, the name that 2025.4.8 gives it."""
        try:
            return wire.profile_at(await self._ask(wire.PROFILES), DEFAULT_STEP) or DEFAULT_NAME
        except MalformedReplyError:
            return DEFAULT_NAME

    async def _sleeps(self) -> bool:
        """Whether it has to be woken first; a miner whose configuration cannot be read is woken to be sure."""
        if self._is_asleep is None:
            try:
                config = wire.parse_config(await self._ask(wire.CONFIG))
            except FarmError:
                return True
            self._is_asleep = None if config is None else config.is_curtailed
        return self._is_asleep is not False

    async def _poll_parts(self) -> dict[str, dict[str, Any]]:
        """Ask in one request, or, where this firmware does not join, in one per command from then on."""
        if not self._joins:
            return {command: await self._part(command) for command in wire.POLL_COMMANDS}
        try:
            reply = await self._ask(wire.POLL)
        except MalformedReplyError:
            reply = {}
        parts = wire.split(reply)
        if parts is not None:
            return parts
        single = {command: await self._part(command) for command in wire.POLL_COMMANDS}
        self._joins = not status(reply).is_refusal  # torn this time, or does not join at all
        return single

    async def _part(self, command: str) -> dict[str, Any]:
        """One answer of several: what it says wrong costs its own fields, silence costs all."""
        try:
            return await self._ask(request(command))
        except MalformedReplyError:
            return {}

    async def _ask(self, payload: bytes) -> dict[str, Any]:
        return await ask(self.host, self.port, payload)


def _setting(config: Config | None) -> str | None:
    if config is None or config.is_curtailed is None:
        return None
    if config.is_curtailed:
        return "sleep"
    return f"profile:{config.profile}" if config.profile else None


def _state(stats: Stats | None, config: Config | None, power_w: float) -> MinerState:
    """Watts and hashes first, what the firmware says about itself second."""
    if stats is not None and stats.hash_rate_hs > 0 and not power_w < DRAWS_W:
        throttled = config is not None and config.profile_step is not None and config.profile_step < DEFAULT_STEP
        return MinerState.THROTTLED if throttled else MinerState.HASHING
    if config is None or config.is_curtailed is None or stats is None:
        return MinerState.UNKNOWN
    if config.is_curtailed:
        return MinerState.UNKNOWN if power_w >= DRAWS_W else MinerState.CURTAILED
    return MinerState.BOOTING if stats.uptime_s < BOOT_S else MinerState.FAULT


def _is_plain(name: str) -> bool:
    """Whether a profile's name can stand in a comma list."""
    return bool(name) and not any(letter in ',"|' or ord(letter) < ord(" ") for letter in name)


async def _identify(host: str, port: int) -> Identity | None:
    version = wire.parse_version(await ask(host, port, wire.VERSION))
    if version is None:
        return None
    nameplate = wire.parse_nameplate(await ask(host, port, wire.CONFIG))
    if not (nameplate.mac or nameplate.serial):
        raise MalformedReplyError(f"{host}:{port} runs LuxOS and says neither MACAddr nor SerialNumber in config")
    return Identity(
        miner_id=MinerId(nameplate.mac or nameplate.serial),
        driver=LuxosDriver.name,
        model=nameplate.model or version.model,
        firmware=version.firmware,
        mac=nameplate.mac,
        serial=nameplate.serial,
    )
