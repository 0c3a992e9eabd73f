"""FluxOS: polls four pages with a token, commands through one key, `mode`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan
from time import monotonic
from typing import Any

from typing_extensions import override

from drivers._wire.cgminer import API_PORT as RPC_PORT
from drivers._wire.cgminer import ask, request
from drivers._wire.digest import NotServedError, SharedWeb
from drivers._wire.fields import row, status
from drivers._wire.rest import Request, RestClient, TokenClient, UnauthorizedError
from drivers.auradine import wire
from drivers.auradine.wire import Mode, Summary
from farmctl.core.model import MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, PoolLogin, Reading

API_PORT = 8080
FACTORY = Credentials(user="admin", password="admin")  # noqa: S106 - printed in the manual, same on every unit
VERSION = request("version")
DRAWS_W = 200.0
"""Above this the miner is not asleep, whatever it says: its supply draws 59 W without load (recorded `psu`)."""
BOOT_S = 600.0
REREAD_S = 60.0
"""How old fan speeds may get; nothing is decided by them."""
MOST_POOLS = 3
LIGHT_ON, LIGHT_OFF = 3, 2
"""LED codes "locate miner" and "normal" (both libraries)."""


class AuradineDriver(Driver):
    """Makes devices of Auradine miners; they share one web session."""

    name = "auradine"
    factory = FACTORY
    doors = frozenset({"api:cgminer", "http:http"})

    def __init__(self) -> None:
        self._web = SharedWeb()

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        """Ask 4028 `version`, and only who passes for Auradine is told the password for its report."""
        device = AuradineDevice(endpoint, credentials, self._web)
        try:
            return await device.identity() if await self._passes(endpoint, device) else None
        except (NotServedError, MalformedReplyError, RefusedError):
            return None
        finally:
            await device.close()

    async def _passes(self, endpoint: Endpoint, device: AuradineDevice) -> bool:
        try:
            reply = await ask(endpoint.host, endpoint.port("api", RPC_PORT), VERSION)
        except MalformedReplyError:
            return False
        except SilentPeerError as silence:
            if not isinstance(silence.__cause__, ConnectionError):
                raise
            return await device.has_report()
        said = " ".join([*row(reply, "VERSION"), status(reply).description]).lower()
        return "gcminer" in said or "fluxos" in said

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return AuradineDevice(endpoint, credentials, self._web)


class AuradineDevice(Device):
    """One Auradine miner."""

    serial_only = False
    prepared_s = 600.0  # tokens are not dated; a dead one costs a write one request more

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, web: SharedWeb, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rest = RestClient(web, host=endpoint.host, port=endpoint.port("http", API_PORT))
        self._api = TokenClient(self._rest, log_in=self._log_in, header="Token", is_expired=wire.is_expired)
        self._user = credentials.user or FACTORY.user
        self._password = credentials.password or FACTORY.password
        self._clock = clock
        self._fans: tuple[float, ...] = ()
        self._fans_due_s = -1.0
        self._idle_since_s: float | None = None

    @override
    async def poll(self) -> Reading:
        """Read summary, psu, mode and temperature; fans once a minute.

        A page that fails, other than by silence, leaves its own fields unknown; without summary and mode there is no
        reading.
        """
        summary, mode = wire.parse_summary(await self._page("summary")), wire.parse_mode(await self._page("mode"))
        if summary is None and mode is None:
            raise MalformedReplyError(f"{self._rest.where} answered neither summary nor mode, expected both")
        power_w = wire.parse_power_w(await self._page("psu"))
        if not isfinite(power_w) and summary is not None:
            power_w = summary.power_w
        heat = wire.parse_heat(await self._page("temperature"))
        return Reading(
            state=self._state(summary, mode, power_w),
            power_w=power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=nan if summary is None else summary.hash_rate_hs,
            temperature_c=heat.hottest_c,
            uptime_s=nan if summary is None else summary.uptime_s,
            setting=None if mode is None else mode.setting,
            power_limit_w=nan if mode is None or mode.name != wire.CUSTOM else mode.power_w,
            fans_rpm=await self._fan_speeds(),
            board_temperatures_c=heat.boards_c,
        )

    @override
    async def facts(self) -> Facts:
        identity = await self.identity()
        if identity is None:
            raise MalformedReplyError(f"{self._rest.where} no longer answers as Auradine")
        report = wire.parse_report(await self._get("ipreport"))
        mode = wire.parse_mode(await self._page("mode"))
        return Facts(
            identity=identity,
            pools=wire.parse_pools(await self._page("pools")),
            boards=None if report is None else report.boards,
            nominal_hash_rate_hs=nan if mode is None else mode.hash_rate_hs,
            nominal_power_w=nan,
        )

    async def identity(self) -> Identity | None:
        """Ask who answers; None: no Auradine."""
        try:
            report = wire.parse_report(await self._get("ipreport"))
        except RefusedError:
            return None
        if report is None:
            return None
        if not (report.mac or report.serial):
            raise MalformedReplyError(f"{self._rest.where} ipreport: neither mac nor SerialNo, expected one of them")
        return Identity(
            miner_id=MinerId(report.mac or report.serial),
            driver=AuradineDriver.name,
            model=report.model,
            firmware=report.firmware,
            mac=report.mac,
            serial=report.serial,
        )

    async def has_report(self) -> bool:
        """Whether there is a page ipreport, open or asking for a token in this family's own words."""
        try:
            reply = await self._rest.ask(Request(method="GET", path="/ipreport"))
        except UnauthorizedError:
            return False  # half of all web servers say 401 to a page they do not have
        return wire.is_expired(reply) or wire.parse_report(reply) is not None

    async def prepare(self) -> None:
        """Have a token."""
        await self._api.prepare()

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `mode:eco|normal|turbo` or `watts:N` by the keys of mode and no others.

        `full` is mode normal. Sleep and mode are two keys of two writes: nobody has shown that one takes both.
        """
        kind, _, value = point.setting.partition(":")
        if kind == "sleep":
            await self._write({"sleep": "on"})
            return
        if kind == "full":
            keys: dict[str, str | int] = {"mode": "normal"}
        elif kind == "mode" and value in {*wire.MODES, "low"}:
            keys = {"mode": "eco" if value == "low" else value}
        elif kind == "watts" and value.isdecimal() and int(value) > 0:
            keys = {"mode": wire.CUSTOM, "tune": "power", "power": int(value)}
        else:
            known = "sleep, full, mode:eco, mode:normal, mode:turbo, watts:N"
            raise RefusedError(f"{self._rest.where}: FluxOS has no setting {point.setting!r}, expected {known}")
        # The mode first: a miner that wakes into yesterday's mode overshoots for as long as the second write takes.
        await self._write(keys)
        await self._write({"sleep": "off"})

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pools, three at most."""
        if not 1 <= len(pools) <= MOST_POOLS:
            raise RefusedError(f"{self._rest.where}: {len(pools)} pools, expected 1 to {MOST_POOLS}")
        rows = [{"url": pool.url, "user": pool.user, "pass": pool.password} for pool in pools]
        rows += [{"url": "", "user": "", "pass": ""}] * (MOST_POOLS - len(rows))
        await self._post("updatepools", {"pools": rows})

    async def locate(self, *, on: bool) -> None:
        """Blink, or show the normal light."""
        await self._post("led", {"code": LIGHT_ON if on else LIGHT_OFF})

    async def reboot(self) -> None:
        """Restart the control board; it takes the token with it."""
        await self._post("restart", {}, once=True)

    @override
    async def close(self) -> None:
        await self._rest.close()

    def _state(self, summary: Summary | None, mode: Mode | None, power_w: float) -> MinerState:
        """Hashes and watts first, what the firmware says about itself second."""
        hash_rate_hs = nan if summary is None else summary.hash_rate_hs
        asleep = None if mode is None else mode.is_asleep
        hashes, draws = hash_rate_hs > 0, power_w >= DRAWS_W
        if hashes or asleep:
            self._idle_since_s = None
        if asleep:
            if hashes or draws:
                return MinerState.HASHING if hashes and draws else MinerState.UNKNOWN
            # Its own word is not enough: something measured must say so too.
            measured = hash_rate_hs == 0 or power_w < DRAWS_W
            return MinerState.CURTAILED if measured else MinerState.UNKNOWN
        if hashes:
            throttled = mode is not None and mode.name in {"eco", wire.CUSTOM}
            return MinerState.THROTTLED if throttled else MinerState.HASHING
        if asleep is None or not isfinite(hash_rate_hs):
            return MinerState.UNKNOWN
        return self._idle_state()

    def _idle_state(self) -> MinerState:
        """The process counts its age on through a sleep, so how long it owes us hashes is counted here."""
        now_s = self._clock()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        return MinerState.BOOTING if now_s - self._idle_since_s < BOOT_S else MinerState.FAULT

    async def _fan_speeds(self) -> tuple[float, ...]:
        if self._clock() >= self._fans_due_s:
            self._fans_due_s = self._clock() + REREAD_S
            self._fans = wire.parse_fans(await self._page("fan"))
        return self._fans

    async def _page(self, name: str) -> Any:
        """One page of several: what it says wrong costs its own fields; silence and a refused password cost all."""
        try:
            return await self._get(name)
        except (SilentPeerError, UnauthorizedError):
            raise
        except FarmError:
            return None

    async def _get(self, name: str) -> Any:
        reply = await self._api.ask(Request(method="GET", path=f"/{name}"))
        self._check(name, reply)
        return reply

    async def _write(self, keys: dict[str, str | int]) -> None:
        await self._post("mode", keys)

    async def _post(self, name: str, keys: Mapping[str, object], *, once: bool = False) -> None:
        payload = {"command": name, **keys}
        reply = await self._api.ask(Request(method="POST", path=f"/{name}", payload=payload, once=once))
        self._check(name, reply)

    def _check(self, name: str, reply: object) -> None:
        said = wire.refusal(reply)
        if said:
            raise RefusedError(f"{self._rest.where} refuses {name}: {said!r}")

    async def _log_in(self) -> str:
        payload = {"command": "token", "user": self._user, "password": self._password}
        reply = await self._rest.ask(Request(method="POST", path="/token", payload=payload))
        token, said = wire.parse_token(reply), wire.refusal(reply)
        if said:
            raise UnauthorizedError(f"{self._rest.where} refuses a token to user {self._user!r}: {said!r}")
        if not token:
            raise MalformedReplyError(f"{self._rest.where} /token: no Token, expected one")
        return token
