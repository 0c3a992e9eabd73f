"""JSON by HTTP POST, signed: `X-Farmctl-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.BODY`."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
from typing_extensions import override

from farmctl.alarms.notify.message import Message, body
from farmctl.alarms.notify.post import Sends
from farmctl.errors import AskHumanError, BackOffError, CredentialError, RefusedError
from farmctl.ports.site import Clock

DEADLINE_S = 10.0
OK, REDIRECT, ASK_LATER, TOO_MANY, SERVER_ERROR = 200, 300, 408, 429, 500
UNAUTHORISED = (401, 403)
LONGEST_SAID = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Sends):
    """One receiver."""

    site: str
    url: str
    clock: Clock
    secret: bytes = b""
    """Empty: not signed."""
    ca_file: Path | None = None

    @override
    async def send(self, delivery: str, message: Message) -> None:
        data = orjson.dumps(body(self.site, delivery, message))
        headers = {"Content-Type": "application/json", "User-Agent": "farmctl", "X-Farmctl-Delivery": delivery}
        if self.secret:
            headers["X-Farmctl-Signature"] = signature(self.secret, self.clock.now_ms() // 1000, data)
        try:
            async with (
                asyncio.timeout(DEADLINE_S),
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._trust())) as session,
                session.post(self.url, data=data, headers=headers, allow_redirects=False) as response,
            ):
                said = (await response.content.read(LONGEST_SAID)).decode(errors="replace")
                _judge(response.status, said, self.url)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise BackOffError(f"{self.url}: {str(error) or type(error).__name__}") from error

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file is not None else None)
        except OSError as error:
            raise AskHumanError(f"{self.ca_file}: expected a certificate authority: {error}") from error


def signature(secret: bytes, seconds: int, data: bytes) -> str:
    """The header's value; a receiver refuses old seconds, so that nobody replays a message."""
    digest = hmac.new(secret, b"%d." % seconds + data, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _judge(status: int, said: str, url: str) -> None:
    if OK <= status < REDIRECT:
        return
    text = f"{url}: status {status}: {said.strip()}"
    if status in UNAUTHORISED:
        raise CredentialError(text)
    if status >= SERVER_ERROR or status in (ASK_LATER, TOO_MANY):
        raise BackOffError(text)
    raise RefusedError(text)
