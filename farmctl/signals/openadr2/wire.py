"""One 2.0b request over HTTP and its reply, each with a deadline."""

from __future__ import annotations

import asyncio

import aiohttp

from farmctl.errors import BackOffError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.signals.openadr2.codec import MOST_BYTES, Codec, Message
from farmctl.signals.openadr2.config import OpenAdr2Config

OK_CODE = 200


class Wire:
    """One request and its reply."""

    def __init__(self, *, config: OpenAdr2Config, codec: Codec, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._codec = codec
        self._session = session

    async def call(self, service: str, kind: str, **payload: object) -> Message:
        """Raises SilentPeerError, BackOffError for an HTTP fault, RefusedError for one of OpenADR."""
        url = f"{self._config.url.rstrip('/')}/{service}"
        data = self._codec.write(kind, **payload)
        try:
            async with (
                asyncio.timeout(self._config.deadline_s),
                self._session.post(url, data=data, allow_redirects=False) as response,
            ):
                status = response.status
                raw = b""
                async for chunk in response.content.iter_chunked(2**16):
                    raw += chunk
                    if len(raw) > MOST_BYTES:
                        raise MalformedReplyError(f"{kind}: more than {MOST_BYTES} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SilentPeerError(f"{kind} to {url}: {str(error) or type(error).__name__}") from error
        if status != OK_CODE:
            raise BackOffError(f"{kind} to {url}: HTTP {status}")
        reply = self._codec.read(raw)
        told = reply.body.get("response")
        if isinstance(told, dict) and told.get("response_code") not in (None, OK_CODE):
            raise RefusedError(f"{kind}: {told.get('response_code')} {told.get('response_description')}")
        return reply
