"""Avalon: one connection at a time, one status a poll, sleep and waking by timestamp, work modes."""

from __future__ import annotations

import asyncio
from math import nan
from weakref import WeakValueDictionary

from typing_extensions import override

from drivers._wire.cgminer import API_PORT
from drivers.avalon import wire
from drivers.avalon.belief import Belief
from drivers.avalon.door import NAME, Door
from drivers.avalon.wire import Stats
from farmctl.core.model import OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, Reading

_NO_SUCH = ("unknown option", "unknown argument")


class AvalonDriver(Driver):
    """Makes devices of Avalons; two calls to one address take turns, whoever makes them.

    The vendor's manual: the API has one thread and no concurrency.
    """

    name = NAME
    doors = frozenset({"api:cgminer"})

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        return await self._door(endpoint).identify()

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return AvalonDevice(self._door(endpoint))

    def _door(self, endpoint: Endpoint) -> Door:
        place = endpoint.host, endpoint.port("api", API_PORT)
        turn = self._turns.get(place)
        if turn is None:
            turn = self._turns[place] = asyncio.Lock()
        return Door(*place, turn)


class AvalonDevice(Device):
    """One Avalon; it knows no password."""

    serial_only = True

    def __init__(self, door: Door) -> None:
        self._door = door
        self._belief = Belief()
        self._reads_estats = False
        self._speaks_of_levels = False

    @override
    async def poll(self) -> Reading:
        stats = await self._stats()
        belief = self._belief
        state = belief.learn(stats, asyncio.get_running_loop().time())
        return Reading(
            state=state,
            power_w=stats.power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=stats.hash_rate_hs,
            temperature_c=stats.chip_temperature_c,
            uptime_s=stats.uptime_s,
            setting=belief.setting,
            power_limit_w=stats.power_limit_w,
            fans_rpm=stats.fans_rpm,
            board_temperatures_c=stats.boards_c,
            errors=stats.errors,
        )

    @override
    async def facts(self) -> Facts:
        identity = await self._door.identify()
        if identity is None:
            raise MalformedReplyError(f"{self._door.peer} no longer answers as an Avalon")
        stats = await self._stats()
        return Facts(
            identity=identity,
            pools=wire.parse_pools(await self._door.ask(wire.POOLS)),
            boards=stats.boards,
            nominal_hash_rate_hs=stats.expected_hs if stats.expected_hs > 0 else nan,
            nominal_power_w=nan,
        )

    @override
    async def close(self) -> None:
        """Nothing to give back: no socket outlives its call."""

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `mode:low`, `mode:normal` or `mode:high`; raises RefusedError for any other.

        Sleep and waking take effect SOFT_DELAY_S after the yes.
        """
        kind, _, value = point.setting.partition(":")
        if point.setting == "sleep":
            await self._soft(asleep=True)
        elif point.setting == "full":
            await self._wake()
            if self._belief.mode is not None and self._belief.original_mode is not None:
                await self._mode(self._belief.original_mode)
                self._belief.expect_mode(None)
        elif kind == "mode" and value in wire.MODES:
            await self._wake()
            await self._mode(wire.MODES.index(value))
            self._belief.expect_mode(wire.MODES.index(value))
        else:
            raise RefusedError(
                f"{self._door.peer}: an Avalon has no setting {point.setting!r}, "
                f"expected sleep, full or mode: with one of {', '.join(wire.MODES)}"
            )

    async def locate(self, *, on: bool) -> None:
        """Switch the light; raises RefusedError on a Q, which has none."""
        await self._door.set(wire.light(on=on))

    async def reboot(self) -> None:
        """Restart the control board."""
        await self._door.set(wire.REBOOT)

    async def _soft(self, *, asleep: bool) -> None:
        lasts_s = await self._door.soft(asleep=asleep)
        self._belief.expect_soft(asleep=asleep, until_s=asyncio.get_running_loop().time() + lasts_s)

    async def _wake(self) -> None:
        """Wake it where it sleeps, will sleep, or where that cannot be read."""
        belief, loop = self._belief, asyncio.get_running_loop()
        if belief.will_sleep(loop.time()) is None:
            try:
                belief.learn(await self._stats(), loop.time())
            except FarmError:
                belief.is_asleep = None
        if belief.will_sleep(loop.time()) is not False:
            await self._soft(asleep=False)

    async def _mode(self, mode: int) -> None:
        if not self._speaks_of_levels:
            try:
                await self._door.set(wire.work_mode(mode))
            except RefusedError as fault:
                if not any(words in str(fault).lower() for words in _NO_SUCH):
                    raise
            else:
                return
        await self._door.set(wire.work_level(mode))
        self._speaks_of_levels = True

    async def _stats(self) -> Stats:
        """Status of this moment; firmware that keeps it out of `stats` has it in `estats`."""
        reply = await self._door.ask(wire.ESTATS if self._reads_estats else wire.STATS)
        stats = wire.parse_stats(reply)
        if stats is None and not self._reads_estats:
            stats = wire.parse_stats(await self._door.ask(wire.ESTATS))
            self._reads_estats = stats is not None
        if stats is None:
            raise MalformedReplyError(f"{self._door.peer} answered stats and estats without {wire.MODULE!r}")
        return stats
