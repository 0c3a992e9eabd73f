"""The one connection of one Avalon: calls take turns, and dates are in the device's own time."""

from __future__ import annotations

import asyncio
import time
from math import isfinite, nan
from typing import Any

from drivers._wire.cgminer import ask
from drivers._wire.fields import status
from drivers.avalon import wire
from farmctl.core.model import MinerId
from farmctl.errors import BackOffError, FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Identity

NAME = "avalon"

SOFT_DELAY_S = 5
"""How far ahead softoff and softon are dated: what every published client sends, and it takes whole seconds."""

SOFT_SLACK_S = 3.0
"""How much later than its date the effect may show."""


class StillCalibratingError(BackOffError):
    """The miner changes no work mode while it calibrates its chips."""


class Door:
    """The one connection of one Avalon; keeps how far the device's clock is ahead of ours."""

    def __init__(self, host: str, port: int, turn: asyncio.Lock) -> None:
        self.host = host
        self.port = port
        self._turn = turn
        self._ahead_s = nan
        self._last_stamp = 0

    @property
    def peer(self) -> str:
        """Address for messages."""
        return f"{self.host}:{self.port}"

    async def ask(self, payload: bytes) -> dict[str, Any]:
        """Send one request when the device is free; raises what `ask` raises."""
        async with self._turn:
            reply = await ask(self.host, self.port, payload)
        clock_s = wire.parse_clock_s(reply)
        if isfinite(clock_s):
            self._ahead_s = clock_s - time.time()
        return reply

    async def identify(self) -> Identity | None:
        """Ask who answers; None where it is no Avalon."""
        version = wire.parse_version(await self.ask(wire.VERSION))
        if version is None:
            return None
        serial = version.serial
        if not serial and not version.mac:
            serial = wire.parse_serial(await self.ask(wire.ESTATS)) or wire.parse_serial(await self.ask(wire.STATS))
        who = version.mac or serial
        if not who:
            raise MalformedReplyError(f"{self.peer} is an Avalon that says neither MAC nor DNA")
        return Identity(
            miner_id=MinerId(who),
            driver=NAME,
            model=version.model,
            firmware=version.firmware,
            mac=version.mac,
            serial=serial,
        )

    async def set(self, payload: bytes) -> None:
        """Send one write; raises RefusedError, StillCalibratingError, MalformedReplyError and what `ask` raises."""
        reply = await self.ask(payload)
        head = status(reply)
        if head.is_refusal:
            said = f"{self.peer} refuses {payload.decode()}: code {head.code} {head.message!r}"
            # "current mode 0 is caling Don't permit switch mode" (Mini 3)
            raise StillCalibratingError(said) if " caling" in head.message else RefusedError(said)
        if not head.letter:
            raise MalformedReplyError(f"{self.peer} answered {payload.decode()} without a STATUS")

    async def soft(self, *, asleep: bool) -> float:
        """Sleep or wake at a near second of the device's own clock; returns how long that takes at most, s.

        The clock of a machine without a time server counts from its boot: a date of ours would lie decades ahead.
        """
        if not isfinite(self._ahead_s):
            await self._learn_clock()
        guess_s = self._ahead_s if isfinite(self._ahead_s) else 0.0
        lasts_s = await self._date(guess_s, asleep=asleep)
        # Every answer tells the clock, also the one to this write: a wrong guess is dated again.
        if isfinite(self._ahead_s) and abs(self._ahead_s - guess_s) > SOFT_DELAY_S:
            lasts_s = await self._date(self._ahead_s, asleep=asleep)
        return lasts_s + SOFT_SLACK_S

    async def _date(self, ahead_s: float, *, asleep: bool) -> float:
        """Send it for SOFT_DELAY_S from now by a clock that far ahead of ours; returns the seconds until then."""
        # A softon in the same second as the softoff before it might be carried out first.
        stamp = int(time.time() + ahead_s) + SOFT_DELAY_S
        stamp = self._last_stamp + 1 if stamp <= self._last_stamp < stamp + SOFT_DELAY_S else stamp
        self._last_stamp = stamp
        try:
            await self.set(wire.soft_power(asleep=asleep, at_s=stamp))
        except SilentPeerError as fault:
            # A Q carries softon out and closes without a byte; telemetry will tell.
            if asleep or not isinstance(fault.__cause__, ConnectionAbortedError):
                raise
        return stamp - time.time() - ahead_s

    async def _learn_clock(self) -> None:
        try:
            await self.ask(wire.VERSION)
        except FarmError:
            return  # a write goes out also where reads fail
