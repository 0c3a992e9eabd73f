"""Sessions of one LuxOS miner: one exists at a time, it dies after an idle minute, and others may hold it."""

from __future__ import annotations

import asyncio
from typing import Any

from drivers._wire.cgminer import ask, request
from drivers._wire.fields import status
from drivers.luxos import wire
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, TryAgainError

BUSY_WAITS_S = (0.3, 0.7)
"""Pauses before logging on again: another actor that acts and logs off needs about a second."""


HELD_POLLS = 3
"""The look on the way, the one that finds it there, and then one of the sweep."""


class SessionBusyError(TryAgainError):
    """Another actor holds the miner's only session; it expires within a minute of their last write."""


class Session:
    """Logs on, acts, logs off; never uses or ends a session that it did not open."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._id = ""
        self._held = 0
        """Polls until an urgent write's session is given back: a whole fleet's log-offs, a quarter of its requests,
        wait until it was looked at on its way and seen asleep."""
        self._turn = asyncio.Lock()

    async def prepare(self) -> None:
        """Hold a session; given back by the next `act`, by `close`, or by the miner after a minute."""
        async with self._turn:
            await self._log_on()

    async def act(self, *writes: tuple[str, str], hold: bool = False) -> None:
        """Send (command, parameter) writes in one session and log off, with `hold` later, in `settle`.

        Raises SessionBusyError, RefusedError, and what `ask` raises.
        """
        async with self._turn:
            try:
                for command, parameter in writes:
                    await self._write(command, parameter)
            except RefusedError:
                await self._log_off()
                raise
            # Silence and cancellation must not cost a second deadline: the session is kept and used again.
            self._held = HELD_POLLS if hold else 0
            if not hold:
                await self._log_off()

    async def settle(self) -> None:
        """One more poll went by: log off what an urgent write held, if there is anything and it was spared enough."""
        if not self._held or self._turn.locked():
            return
        self._held -= 1
        if not self._held:
            async with self._turn:
                await self._log_off()

    async def close(self) -> None:
        """Log off if we are on."""
        async with self._turn:
            await self._log_off()

    async def _write(self, command: str, parameter: str) -> None:
        await self._log_on()
        reply = await self._send(command, parameter)
        if wire.speaks_of_session(reply):
            self._id = ""
            await self._log_on()
            reply = await self._send(command, parameter)
        head = status(reply)
        if wire.speaks_of_session(reply):
            self._id = ""
            raise SessionBusyError(f"{self.host}:{self.port} refuses our fresh session: {head.message!r}")
        if head.is_refusal:
            raise RefusedError(
                f"{self.host}:{self.port} refuses {command} {parameter!r}: code {head.code} {head.message!r}"
            )
        if not head.letter:
            raise MalformedReplyError(f"{self.host}:{self.port} answered {command} without a STATUS")

    async def _send(self, command: str, parameter: str) -> dict[str, Any]:
        payload = request(command, f"{self._id},{parameter}" if parameter else self._id)
        return await ask(self.host, self.port, payload)

    async def _log_on(self) -> None:
        # An old id is tried before it is replaced: as long as it lives, the miner gives no other.
        if self._id:
            return
        for wait_s in (*BUSY_WAITS_S, None):
            reply = await ask(self.host, self.port, wire.LOGON)
            self._id = wire.parse_session(reply) if not status(reply).is_refusal else ""
            if self._id:
                return
            if not wire.speaks_of_session(reply):
                raise RefusedError(f"{self.host}:{self.port} refuses logon: {status(reply).message!r}")
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        raise SessionBusyError(
            f"{self.host}:{self.port} gives no session ({status(reply).message!r}): another actor holds it"
        )

    async def _log_off(self) -> None:
        """Best effort: a session that stays open is ours to use again, and dies after an idle minute."""
        if not self._id:
            return
        try:
            await ask(self.host, self.port, request("logoff", self._id))
        except FarmError:
            return
        self._id = ""
