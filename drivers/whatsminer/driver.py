"""Whatsminer API v2: one summary a poll, status only when it tells more, encrypted writes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

from typing_extensions import override

from drivers._wire.cgminer import API_PORT, MiningProcessDownError, ask
from drivers.whatsminer import wire
from drivers.whatsminer.belief import Belief
from drivers.whatsminer.door import FACTORY_PASSWORD, WriteDoor
from drivers.whatsminer.token import TOKEN_LIFE_S
from drivers.whatsminer.wire import MinerStatus, Summary
from farmctl.core.model import MinerId, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, TryAgainError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, Pool, PoolLogin, Reading

FULL_PERCENT = 100


class StillWakingError(TryAgainError):
    """The miner takes no percentage before its frequencies have risen after a start."""


class WhatsminerDriver(Driver):
    """Makes devices of Whatsminers that speak API version 2."""

    name = "whatsminer"
    factory = Credentials(password=FACTORY_PASSWORD)
    doors = frozenset({"api:cgminer"})

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        return await _identify(endpoint.host, endpoint.port("api", API_PORT))

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return WhatsminerDevice(endpoint, credentials)


class WhatsminerDevice(Device):
    """One Whatsminer; polls need no password, writes do."""

    serial_only = False
    prepared_s = TOKEN_LIFE_S

    def __init__(self, endpoint: Endpoint, credentials: Credentials) -> None:
        self.host = endpoint.host
        self.port = endpoint.port("api", API_PORT)
        self._door = WriteDoor(self.host, self.port, credentials.password)
        self._belief = Belief()
        self._pools: tuple[Pool, ...] = ()
        self._nominal_hs = nan

    @override
    async def poll(self) -> Reading:
        summary = await self._summary()
        belief = self._belief
        belief.learn_summary(summary)
        if belief.needs_status(summary):
            belief.learn_status(await self._status(), summary)
        if belief.needs_errors(summary):
            belief.learn_errors(await self._error_codes(), summary)
        return Reading(
            state=belief.state(summary),
            power_w=summary.power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=summary.hash_rate_hs,
            temperature_c=summary.chip_temperature_c,
            uptime_s=summary.uptime_s,
            setting=belief.setting,
            power_limit_w=summary.power_limit_w,
            fans_rpm=summary.fans_rpm,
            board_temperatures_c=(summary.board_temperature_c,),
            errors=belief.errors,
            ambient_c=summary.ambient_c,
        )

    @override
    async def facts(self) -> Facts:
        identity = await _identify(self.host, self.port)
        if identity is None:
            raise MalformedReplyError(f"{self.host}:{self.port} no longer answers as a Whatsminer of API version 2")
        # A sleeper stays known, or it could never be woken: what only the mining process tells stands as last told.
        self._pools = wire.parse_pools(await self._relayed(wire.POOLS)) or self._pools
        summary_reply = await self._relayed(wire.SUMMARY)
        told_hs = wire.parse_nominal_hs(summary_reply)
        self._nominal_hs = told_hs if isfinite(told_hs) else self._nominal_hs
        summary = wire.parse_summary(summary_reply)
        _, boards = wire.parse_boards(await _ask_or_nothing(self.host, self.port, wire.DEVDETAILS))
        if boards is None:
            boards = wire.count_boards(await _ask_or_nothing(self.host, self.port, wire.DEVS))
        limit_w = nan if summary is None else summary.power_limit_w
        original_w = self._belief.original_limit_w
        return Facts(
            identity=identity,
            pools=self._pools,
            boards=boards,
            nominal_hash_rate_hs=self._nominal_hs,
            nominal_power_w=original_w if isfinite(original_w) else limit_w,
        )

    @override
    async def close(self) -> None:
        """Nothing to give back: a token cannot be returned and no socket outlives its call."""

    async def prepare(self) -> None:
        """Have a token ready for an urgent write."""
        await self._door.prepare()

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `percent:N` or `watts:N`; raises RefusedError for any other setting.

        StillWakingError: it was woken, and takes the percentage only when it has warmed up.
        """
        kind, _, value = point.setting.partition(":")
        self._belief.expect_change()
        if kind == "sleep":
            await self._door.write("power_off", respbefore="true")
            self._belief.is_off = True
        elif kind == "full":
            await self._full()
        elif kind == "percent":
            await self._percent(_whole(point, value, FULL_PERCENT))
        elif kind == "watts":
            await self._limit(_whole(point, value, 99_999))
        else:
            raise RefusedError(
                f"{self.host}: a Whatsminer has no setting {point.setting!r}, "
                "expected sleep, full, percent:N or watts:N"
            )

    async def locate(self, *, on: bool) -> None:
        """Blink the red light, or give the lights back to the firmware."""
        if on:
            await self._door.write("set_led", color="red", period="200", duration="100", start="0")
        else:
            await self._door.write("set_led", param="auto")

    async def reboot(self) -> None:
        """Restart the control board."""
        self._belief.expect_change()
        await self._door.write("reboot")

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pools, three at most; it starts mining again with them."""
        if not 1 <= len(pools) <= wire.MOST_POOLS:
            raise RefusedError(f"{self.host}: {len(pools)} pools, expected 1 to {wire.MOST_POOLS}")
        self._belief.expect_change()
        await self._door.write("update_pools", **wire.pool_keys(pools))

    async def _full(self) -> None:
        woken = await self._wake()
        belief = self._belief
        if isfinite(belief.original_limit_w) and belief.commanded_limit_w is not None:
            await self._door.write("adjust_power_limit", power_limit=str(round(belief.original_limit_w)))
            belief.limit_w = belief.original_limit_w
            belief.commanded_limit_w = None
        if belief.percent is not None and belief.percent < FULL_PERCENT:
            await self._set_percent(FULL_PERCENT, woken=woken)

    async def _percent(self, percent: int) -> None:
        await self._set_percent(percent, woken=await self._wake())

    async def _limit(self, limit_w: int) -> None:
        woken = await self._wake()
        belief = self._belief
        # Setting the limit it already has would restart mining for nothing (DEVICES.md section 6).
        if belief.limit_w != limit_w:
            await self._door.write("adjust_power_limit", power_limit=str(limit_w))
        elif belief.percent is not None and belief.percent < FULL_PERCENT:
            await self._set_percent(FULL_PERCENT, woken=woken)
        belief.limit_w = belief.commanded_limit_w = limit_w

    async def _wake(self) -> bool:
        """Power on where it sleeps, or where that cannot be read; says whether it did."""
        belief = self._belief
        if belief.is_off is None or belief.percent is None:
            belief.learn_status(await self._status())
        if belief.is_off is False:
            return False
        await self._door.write("power_on")
        belief.is_off = False
        return True

    async def _set_percent(self, percent: int, *, woken: bool) -> None:
        belief = self._belief
        try:
            await self._write_percent(str(percent))
        except RefusedError as refusal:
            # "power pct is only possible after up-freq": 2 to 15 min after every start.
            if woken or belief.is_stable is False:
                raise StillWakingError(f"{self.host} is waking and takes no percentage yet: {refusal}") from refusal
            raise
        belief.percent = percent

    async def _write_percent(self, percent: str) -> None:
        belief = self._belief
        if belief.percent_needs_v2:
            await self._door.write("set_power_pct_v2", percent=percent)
            return
        try:
            await self._door.write("set_power_pct", percent=percent)
        except RefusedError as refusal:
            try:
                await self._door.write("set_power_pct_v2", percent=percent)
            except RefusedError:
                raise refusal from None
            belief.percent_needs_v2 = True

    async def _summary(self) -> Summary:
        try:
            reply = await ask(self.host, self.port, wire.SUMMARY)
        except MiningProcessDownError:
            return wire.NO_SUMMARY
        summary = wire.parse_summary(reply)
        if summary is not None:
            return summary
        if wire.is_process_down(reply):
            return wire.NO_SUMMARY
        raise MalformedReplyError(f"{self.host}:{self.port} answered summary without a SUMMARY row")

    async def _relayed(self, payload: bytes) -> dict[str, Any]:
        """An answer of the mining process; empty while that is down, as on old firmware that sleeps."""
        try:
            return await ask(self.host, self.port, payload)
        except MiningProcessDownError:
            return {}

    async def _status(self) -> MinerStatus | None:
        """Status, or None where it cannot be read now: unknown, and no reason to lose the poll."""
        try:
            return wire.parse_status(await ask(self.host, self.port, wire.STATUS))
        except FarmError:
            return None

    async def _error_codes(self) -> tuple[str, ...] | None:
        """Codes of firmware whose summary has none; None where they cannot be read now."""
        try:
            return wire.parse_error_codes(await ask(self.host, self.port, wire.GET_ERROR_CODE))
        except FarmError:
            return None


def _whole(point: OperatingPoint, value: str, highest: int) -> int:
    if value.isdecimal() and 1 <= int(value) <= highest:
        return int(value)
    raise RefusedError(f"setting {point.setting!r}: expected a whole number from 1 to {highest}")


async def _identify(host: str, port: int) -> Identity | None:
    reply = await ask(host, port, wire.GET_VERSION)
    version = wire.parse_version(reply)
    if version is None and wire.is_of_the_make(reply):
        # Firmware of 2019 knows no get_version, and says whose it is when it refuses it.
        version = wire.parse_old_version(await _ask_or_nothing(host, port, wire.SUMMARY))
    # API 3 takes its writes on port 4433 with other tokens: not this driver's family.
    if version is None or version.api.startswith("3."):
        return None
    label = wire.parse_label(await _ask_or_nothing(host, port, wire.GET_MINER_INFO))
    mac = label.mac or wire.parse_summary_mac(await _ask_or_nothing(host, port, wire.SUMMARY))
    if not (mac or label.serial):
        raise MalformedReplyError(f"{host}:{port} is a Whatsminer that says no MAC in get_miner_info or summary")
    model, _ = wire.parse_boards(await _ask_or_nothing(host, port, wire.DEVDETAILS))
    return Identity(
        miner_id=MinerId(mac or label.serial),
        driver=WhatsminerDriver.name,
        model=model or version.model,
        firmware=version.firmware,
        mac=mac,
        serial=label.serial,
    )


async def _ask_or_nothing(host: str, port: int, payload: bytes) -> dict[str, Any]:
    """Ask what may be missing: an unreadable answer is an empty one (devdetails while btminer is down)."""
    try:
        return await ask(host, port, payload)
    except MalformedReplyError:
        return {}
