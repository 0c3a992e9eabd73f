"""The door for writes of one Whatsminer of API v3: signs them, and fetches the salt again when one is refused."""

from __future__ import annotations

import asyncio
import time

from drivers._wire.framed import Framed
from drivers.whatsminer_v3 import wire
from drivers.whatsminer_v3.wire import Verdict
from farmctl.errors import CredentialError, MalformedReplyError, RefusedError

FACTORY_ACCOUNT = "super"
FACTORY_PASSWORD = "super"  # noqa: S105 - what every Whatsminer of API 3 ships with


class ItemRefusedError(RefusedError):
    """The miner understood the command and refused what it was given."""


class WriteDoor:
    """Sends signed writes, one at a time."""

    def __init__(self, host: str, port: int, *, account: str, password: str) -> None:
        self.host = host
        self.port = port
        self._account = account or FACTORY_ACCOUNT
        self._password = password or FACTORY_PASSWORD
        self._salt = ""
        self._turn = asyncio.Lock()

    @property
    def peer(self) -> str:
        """Address for messages."""
        return f"{self.host}:{self.port}"

    def learn_salt(self, salt: str) -> None:
        """Keep the salt that a poll came by."""
        self._salt = salt or self._salt

    async def prepare(self) -> None:
        """Have the salt; costs one request, or none."""
        async with self._turn:
            if not self._salt:
                async with Framed(self.host, self.port) as link:
                    await self._fetch_salt(link)

    async def write(self, command: str, param: object = None) -> None:
        """Send one write; returns when the miner said yes.

        Raises CredentialError (-4 also with a fresh salt), ItemRefusedError (-1, -3), RefusedError (other codes),
        and what `Framed` raises.
        """
        async with self._turn, Framed(self.host, self.port) as link:
            is_fresh = not self._salt
            if is_fresh:
                await self._fetch_salt(link)
            verdict = await self._send(link, command, param)
            if verdict.code == wire.NO_PERMISSION and not is_fresh:
                # A restart of the device may have made another salt.
                await self._fetch_salt(link)
                verdict = await self._send(link, command, param)
        self._judge(verdict, command, param)

    async def _fetch_salt(self, link: Framed) -> None:
        self._salt = ""
        salt = wire.parse_salt(await link.ask(wire.SALT))
        if not salt:
            raise MalformedReplyError(f"{self.peer} told no salt, expected one in get.device.info")
        self._salt = salt

    async def _send(self, link: Framed, command: str, param: object) -> Verdict:
        body = wire.signed(
            command,
            param,
            account=self._account,
            password=self._password,
            salt=self._salt,
            now_s=int(time.time()),
        )
        return wire.parse_verdict(await link.ask(body))

    def _judge(self, verdict: Verdict, command: str, param: object) -> None:
        shown = "" if command in wire.SEALED else f" {param!r}"
        said = f"{self.peer} refuses {command}{shown}: code {verdict.code} {verdict.words!r}"
        match verdict.code:
            case wire.OK:
                return
            case wire.NO_PERMISSION:
                # The vendor's manual: writes are off until the API switch is on and the factory password changed.
                self._salt = ""
                raise CredentialError(
                    f"{said}: the password of {self._account!r} is wrong, or writes are switched off in the device"
                )
            case wire.FAIL | wire.INVALID_ITEM:
                raise ItemRefusedError(said)
            case wire.NO_CODE:
                raise MalformedReplyError(f"{said}, expected a code")
            case _:
                raise RefusedError(said)
