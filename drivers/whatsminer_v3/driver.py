"""Whatsminer API v3: one joined read a poll, device info only when it tells more, signed writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import isfinite

from typing_extensions import override

from drivers._wire.framed import Framed
from drivers.whatsminer_v3 import wire
from drivers.whatsminer_v3.belief import Belief
from drivers.whatsminer_v3.door import FACTORY_ACCOUNT, FACTORY_PASSWORD, ItemRefusedError, WriteDoor
from drivers.whatsminer_v3.wire import Info, Summary
from farmctl.core.model import MinerId, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, TryAgainError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, PoolLogin, Reading

API_PORT = 4433
FULL_PERCENT = 100
HIGHEST_W = 99_999
FAST = "fast"
"""About one second, says the vendor's manual, which recommends it for what does not stay; `normal` takes minutes."""


class StillWakingError(TryAgainError):
    """The miner takes no percentage before its frequencies have risen after a start."""


class WhatsminerV3Driver(Driver):
    """Makes devices of Whatsminers that speak API version 3, whether they still serve 4028 or not."""

    name = "whatsminer_v3"
    factory = Credentials(user=FACTORY_ACCOUNT, password=FACTORY_PASSWORD)
    doors = frozenset({"api3:framed"})

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        async with Framed(endpoint.host, endpoint.port("api3", API_PORT)) as link:
            try:
                info = wire.parse_info(await link.ask(wire.INFO))
            except MalformedReplyError:
                return None  # something else listens there
        return None if info is None else _identity(info, link.peer)

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return WhatsminerV3Device(endpoint, credentials)


class WhatsminerV3Device(Device):
    """One Whatsminer; polls need no password, writes do."""

    serial_only = False
    prepared_s = 3600.0  # the salt changes with the password only

    def __init__(self, endpoint: Endpoint, credentials: Credentials) -> None:
        self.host = endpoint.host
        self.port = endpoint.port("api3", API_PORT)
        self._door = WriteDoor(self.host, self.port, account=credentials.user, password=credentials.password)
        self._belief = Belief()
        self._sends_number = False
        """Whether this firmware wants the percentage as the manual says, not as text."""
        self._joins = True

    @override
    async def poll(self) -> Reading:
        belief = self._belief
        async with self._link() as link:
            summary = await self._summary(link)
            belief.learn_summary(summary)
            if belief.needs_info(summary):
                belief.learn_info(await self._info(link))
        return Reading(
            state=belief.state(summary, asyncio.get_running_loop().time()),
            power_w=summary.power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=summary.hash_rate_hs,
            temperature_c=summary.chip_temperature_c,
            uptime_s=summary.uptime_s,
            setting=belief.setting,
            power_limit_w=summary.power_limit_w,
            fans_rpm=summary.fans_rpm,
            board_temperatures_c=summary.boards_c,
            errors=belief.errors,
        )

    @override
    async def facts(self) -> Facts:
        async with self._link() as link:
            info = wire.parse_info(await link.ask(wire.INFO))
            if info is None:
                raise MalformedReplyError(f"{link.peer} no longer answers as a Whatsminer of API version 3")
            status = await link.ask(wire.STATUS)
            if wire.parse_status(status) is None:
                status = wire.joined(await link.ask(wire.SUMMARY), await link.ask(wire.POOLS))
        summary = wire.parse_status(status) or wire.NO_SUMMARY
        original_w = self._belief.original_limit_w
        return Facts(
            identity=_identity(info, link.peer),
            pools=wire.parse_pools(status),
            boards=info.boards or len(summary.boards_c) or None,
            nominal_hash_rate_hs=wire.parse_nominal_hs(status),
            nominal_power_w=original_w if isfinite(original_w) else summary.power_limit_w,
        )

    @override
    async def close(self) -> None:
        """Nothing to give back: no socket outlives its call."""

    async def prepare(self) -> None:
        """Have the salt ready for an urgent write."""
        await self._door.prepare()

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `percent:N` or `watts:N`; raises RefusedError for any other setting.

        StillWakingError: it was woken, and takes the percentage only when it has warmed up.
        """
        kind, _, value = point.setting.partition(":")
        self._belief.expect_change()
        if point.setting == "sleep":
            await self._door.write("set.miner.service", "stop")
            self._belief.is_working = False
        elif point.setting == "full":
            await self._full()
        elif kind == "percent":
            percent = _whole(point, value, FULL_PERCENT)
            await self._set_percent(percent, woken=await self._wake())
        elif kind == "watts":
            await self._limit(_whole(point, value, HIGHEST_W))
        else:
            raise RefusedError(
                f"{self.host}: a Whatsminer has no setting {point.setting!r}, "
                "expected sleep, full, percent:N or watts:N"
            )

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pools, three at most."""
        if not 1 <= len(pools) <= wire.MOST_POOLS:
            raise RefusedError(f"{self.host}: {len(pools)} pools, expected 1 to {wire.MOST_POOLS}")
        await self._door.write("set.miner.pools", wire.pool_rows(pools))

    async def locate(self, *, on: bool) -> None:
        """Blink the red light, or give the lights back to the firmware."""
        blink = [{"color": "red", "period": 200, "duration": 100, "start": 0}]
        await self._door.write("set.system.led", blink if on else "auto")

    async def reboot(self) -> None:
        """Restart the control board."""
        self._belief.expect_change()
        await self._door.write("set.system.reboot")

    async def _full(self) -> None:
        woken = await self._wake()
        belief = self._belief
        if isfinite(belief.original_limit_w) and belief.commanded_limit_w is not None:
            await self._door.write("set.miner.power_limit", round(belief.original_limit_w))
            belief.limit_w = belief.original_limit_w
            belief.commanded_limit_w = None
        if belief.percent is not None or belief.commanded_percent is not None:
            await self._set_percent(FULL_PERCENT, woken=woken)

    async def _limit(self, limit_w: int) -> None:
        woken = await self._wake()
        belief = self._belief
        # Setting the limit it already has would restart mining for nothing (vendor's manual).
        if belief.limit_w != limit_w:
            await self._door.write("set.miner.power_limit", limit_w)
            belief.percent = belief.commanded_percent = None
        elif belief.percent is not None or belief.commanded_percent is not None:
            await self._set_percent(FULL_PERCENT, woken=woken)
        belief.limit_w = belief.commanded_limit_w = limit_w

    async def _wake(self) -> bool:
        """Start mining where it is stopped, or where that cannot be read; says whether it did."""
        belief = self._belief
        if belief.is_working is None:
            belief.learn_info(await self._read_info())
        if belief.is_working:
            return False
        await self._door.write("set.miner.service", "start")
        belief.is_working = True
        belief.is_stable = False
        belief.percent = belief.commanded_percent = None
        return True

    async def _set_percent(self, percent: int, *, woken: bool) -> None:
        belief = self._belief
        try:
            await self._send_percent(percent)
        except ItemRefusedError as fault:
            if woken or belief.is_stable is False:
                raise StillWakingError(f"{self.host} takes no percentage yet: {fault}") from fault
            raise
        belief.percent = None
        belief.commanded_percent = percent if percent < FULL_PERCENT else None

    async def _send_percent(self, percent: int) -> None:
        """As text, which firmware reads whatever the manual says; as a number where text is refused."""
        param = {"percent": percent if self._sends_number else str(percent), "mode": FAST}
        try:
            await self._door.write("set.miner.power_percent", param)
        except ItemRefusedError:
            if self._belief.is_stable is False:
                raise  # not the spelling: it is still waking
            other = {"percent": str(percent) if self._sends_number else percent, "mode": FAST}
            await self._door.write("set.miner.power_percent", other)
            self._sends_number = not self._sends_number

    async def _summary(self, link: Framed) -> Summary:
        reply = await link.ask(wire.STATUS if self._joins else wire.SUMMARY)
        summary = wire.parse_status(reply)
        if summary is None and self._joins:
            reply = await link.ask(wire.SUMMARY)
            summary = wire.parse_status(reply)
            self._joins = summary is None  # firmware that does not join its reads
        if summary is not None:
            return summary
        # Refused, but answered: the mining process is down, and device info tells the rest.
        verdict = wire.parse_verdict(reply)
        if verdict.code == wire.FAIL or wire.PROCESS_DOWN in verdict.words:
            return wire.NO_SUMMARY
        raise MalformedReplyError(f"{link.peer} answered get.miner.status without a summary")

    async def _info(self, link: Framed) -> Info | None:
        """Device info, or None where it cannot be read now: unknown, and no reason to lose the poll."""
        try:
            info = wire.parse_info(await link.ask(wire.INFO))
        except FarmError:
            return None
        if info is not None:
            self._door.learn_salt(info.salt)
        return info

    async def _read_info(self) -> Info | None:
        try:
            async with self._link() as link:
                return await self._info(link)
        except FarmError:
            return None

    def _link(self) -> Framed:
        return Framed(self.host, self.port)


def _whole(point: OperatingPoint, value: str, highest: int) -> int:
    if value.isascii() and value.isdecimal() and 1 <= int(value) <= highest:
        return int(value)
    raise RefusedError(f"setting {point.setting!r}: expected a whole number from 1 to {highest}")


def _identity(info: Info, peer: str) -> Identity:
    who = info.mac or info.serial
    if not who:
        raise MalformedReplyError(f"{peer} is a Whatsminer that says neither MAC nor serial in get.device.info")
    return Identity(
        miner_id=MinerId(who),
        driver=WhatsminerV3Driver.name,
        model=info.model,
        firmware=info.firmware,
        mac=info.mac,
        serial=info.serial,
    )
