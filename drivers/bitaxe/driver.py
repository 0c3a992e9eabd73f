"""AxeOS: one page a poll; the only write is a clock that the maker offers, at the voltage in force."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from typing_extensions import override

from drivers._wire.digest import NotServedError, SharedWeb
from drivers._wire.rest import Request, RestClient, UnauthorizedError
from drivers.bitaxe import wire
from drivers.bitaxe.wire import Clocks, Info
from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, PoolLogin, Reading

BOOT_S = 120.0
"""Wi-Fi, pool, first shares; without a hash rate after this it is a fault."""
OVERHEATED = "overheat_mode"


class BitaxeDriver(Driver):
    """Makes devices of AxeOS miners; they share one web session and know no password."""

    name = "bitaxe"
    doors = frozenset({"http:http"})

    def __init__(self) -> None:
        self._web = SharedWeb()

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        device = BitaxeDevice(endpoint, self._web)
        try:
            return await device.identity()
        except (NotServedError, RefusedError, MalformedReplyError, UnauthorizedError):
            return None
        finally:
            await device.close()

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return BitaxeDevice(endpoint, self._web)


class BitaxeDevice(Device):
    """One AxeOS miner."""

    serial_only = False

    def __init__(self, endpoint: Endpoint, web: SharedWeb) -> None:
        self._rest = RestClient(web, host=endpoint.host, port=endpoint.port("http", 80))
        self._clocks: Clocks | None = None
        self._knows_clocks = False
        self._is_paused = False

    @override
    async def poll(self) -> Reading:
        """Read system/info in one request; the maker's clocks once."""
        info = await self._info()
        clocks = await self._offered()
        return Reading(
            state=_state(info, clocks),
            power_w=info.power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=info.hash_rate_hs,
            temperature_c=info.chip_c,
            uptime_s=info.uptime_s,
            setting=_setting(info, clocks),
            fans_rpm=info.fans_rpm,
            board_temperatures_c=(info.regulator_c,) if isfinite(info.regulator_c) else (),
            errors=(OVERHEATED,) if info.is_overheated else (),
        )

    @override
    async def facts(self) -> Facts:
        identity = await self.identity()
        if identity is None:
            raise MalformedReplyError(f"{self._rest.where} no longer answers as AxeOS")
        info, clocks = await self._info(), await self._offered()
        full_mhz = clocks.default_mhz if clocks else info.frequency_mhz
        return Facts(
            identity=identity,
            pools=info.pools,
            boards=1,
            nominal_hash_rate_hs=info.hashes_per_mhz * full_mhz,
            nominal_power_w=float("nan"),
        )

    async def identity(self) -> Identity | None:
        """Ask who answers; None: no AxeOS."""
        info = wire.parse_info(await self._ask("GET", wire.INFO))
        if info is None:
            return None
        if not info.mac:
            raise MalformedReplyError(f"{self._rest.where} runs AxeOS and says no macAddr, expected one")
        return Identity(
            miner_id=MinerId(info.mac),
            driver=BitaxeDriver.name,
            model=info.model,
            firmware=info.firmware,
            mac=info.mac,
        )

    async def ladder(self) -> Ladder | None:
        """Clocks up to the maker's default; None where the firmware offers none (before system/asic)."""
        clocks = await self._offered()
        return wire.make_ladder(await self._info(), clocks) if clocks else None

    async def apply(self, point: OperatingPoint) -> None:
        """Command `full`, `percent:N` or `profile:NMHz`: the frequency alone, one that the maker offers.

        The voltage is never written: a lower clock at the same voltage is always stable, the reverse burns chips.
        Raises RefusedError for sleep, which AxeOS does not have, and where the maker's clocks are unknown.
        """
        kind, _, value = point.setting.partition(":")
        if kind not in {"full", "percent", "profile"}:
            known = "full, percent:N, profile:NMHz; AxeOS has no sleep"
            raise RefusedError(f"{self._rest.where}: AxeOS has no setting {point.setting!r}, expected {known}")
        clocks = await self._offered()
        if clocks is None:
            raise RefusedError(f"{self._rest.where}: {wire.ASIC} offers no frequencies: not touching this firmware")
        step = _step(kind, value, clocks)
        if step is None:
            offered = ", ".join(f"{each}MHz" for each in clocks.steps_mhz)
            raise RefusedError(f"{self._rest.where}: {point.setting!r}, expected one of {offered} or a share of them")
        await self._ask("PATCH", wire.SYSTEM, {"frequency": step})
        if self._is_paused:
            await self._ask("POST", wire.RESUME, {})

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pool and its fallback, and restart it: AxeOS connects to new ones after that."""
        if not 1 <= len(pools) <= len(wire.POOL_PREFIXES):
            raise RefusedError(f"{self._rest.where}: {len(pools)} pools, expected 1 or 2")
        await self._ask("PATCH", wire.SYSTEM, wire.pool_keys(pools))
        await self.reboot()

    async def reboot(self) -> None:
        """Restart the firmware."""
        await self._rest.fetch(Request(method="POST", path=wire.RESTART, payload={}, once=True))

    @override
    async def close(self) -> None:
        await self._rest.close()

    async def _info(self) -> Info:
        info = wire.parse_info(await self._ask("GET", wire.INFO))
        if info is None:
            raise MalformedReplyError(f"{self._rest.where} {wire.INFO}: no ASICModel, expected AxeOS")
        self._is_paused = info.is_paused
        return info

    async def _offered(self) -> Clocks | None:
        """Asked once: it is a table in the firmware."""
        if not self._knows_clocks:
            try:
                self._clocks = wire.parse_clocks(await self._ask("GET", wire.ASIC))
            except (NotServedError, RefusedError, MalformedReplyError):
                self._clocks = None
            self._knows_clocks = True
        return self._clocks

    async def _ask(self, method: str, path: str, payload: object = None) -> Any:
        if method == "GET":
            return await self._rest.ask(Request(method=method, path=path))
        # The answer to a write is empty or a word: its status is its yes.
        return await self._rest.fetch(Request(method=method, path=path, payload=payload))


def _step(kind: str, value: str, clocks: Clocks) -> int | None:
    """The clock for a setting; None where the maker offers none."""
    if kind == "full":
        return clocks.default_mhz
    number = value.removesuffix("MHz")
    if not number.isdecimal():
        return None
    if kind == "profile":
        return int(number) if int(number) in clocks.steps_mhz else None
    below = [each for each in clocks.steps_mhz if each <= clocks.default_mhz * int(number) / 100]
    return below[-1] if below and int(number) <= 100 else None  # noqa: PLR2004 - per cent


def _setting(info: Info, clocks: Clocks | None) -> str | None:
    if clocks is None or not isfinite(info.frequency_mhz):
        return None
    return "full" if info.frequency_mhz >= clocks.default_mhz else f"profile:{info.frequency_mhz:.0f}MHz"


def _state(info: Info, clocks: Clocks | None) -> MinerState:
    if info.hash_rate_hs > 0:
        throttled = clocks is not None and info.frequency_mhz < clocks.default_mhz
        return MinerState.THROTTLED if throttled else MinerState.HASHING
    if not isfinite(info.hash_rate_hs):
        return MinerState.UNKNOWN
    if info.is_paused:
        return MinerState.CURTAILED
    booting = info.uptime_s < BOOT_S and not info.is_overheated
    return MinerState.BOOTING if booting else MinerState.FAULT
