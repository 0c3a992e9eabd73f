"""The door for writes of one Whatsminer: holds the token, renews it once when it is refused."""

from __future__ import annotations

import asyncio

from drivers._wire.cgminer import ask
from drivers._wire.fields import Status
from drivers.whatsminer import wire
from drivers.whatsminer.token import (
    OK,
    STALE_TOKEN,
    TOKEN_LIFE_S,
    TOKEN_TABLE_FULL,
    Token,
    TokenTableFullError,
    is_locked,
    locked,
    open_reply,
    parse_token,
    seal,
)
from farmctl.errors import CredentialError, RefusedError

FACTORY_PASSWORD = "admin"  # noqa: S105 - what every Whatsminer ships with


class WriteDoor:
    """Sends encrypted writes, one at a time."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self.host = host
        self.port = port
        self.password = password or FACTORY_PASSWORD
        self._token: Token | None = None
        self._turn = asyncio.Lock()

    @property
    def peer(self) -> str:
        """Address for messages."""
        return f"{self.host}:{self.port}"

    async def prepare(self) -> None:
        """Have a live token; costs one request, or none."""
        async with self._turn:
            await self._live_token()

    async def write(self, command: str, **parameters: str) -> None:
        """Send one write; returns when the miner said yes.

        Raises RefusedError (14 no such command, 132 and the like), CredentialError (45, or a fresh
        token that is refused), TokenTableFullError, and what `ask` raises.
        """
        async with self._turn:
            head = await self._send(command, parameters)
            if head.code in STALE_TOKEN:
                self._token = None
                head = await self._send(command, parameters)
        if head.code == OK:
            return
        if head.code == TOKEN_TABLE_FULL:
            raise TokenTableFullError(f"{self.peer} refuses {command}: its token table is full")
        if head.code in STALE_TOKEN:
            self._token = None
            raise CredentialError(
                f"{self.peer} refuses a fresh token (code {head.code} {head.message!r}): the API password is wrong"
            )
        if is_locked(head):
            raise CredentialError(locked(self.peer, head))
        raise RefusedError(
            f"{self.peer} refuses {command} {parameters}: code {head.code} {head.message!r}, expected {OK}"
        )

    async def _send(self, command: str, parameters: dict[str, str]) -> Status:
        token = await self._live_token()
        return open_reply(token, await ask(self.host, self.port, seal(token, command, parameters)), self.peer)

    async def _live_token(self) -> Token:
        now_s = asyncio.get_running_loop().time()
        if self._token is None or now_s >= self._token.until_s:
            reply = await ask(self.host, self.port, wire.GET_TOKEN)
            self._token = parse_token(reply, self.password, until_s=now_s + TOKEN_LIFE_S, peer=self.peer)
        return self._token
