"""Reading a feed: a file when it changed, a document every so often; each read has a deadline and a size limit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from farmctl.errors import BackOffError, MalformedReplyError, SilentPeerError
from farmctl.signals._intake.shape import json_object
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.price.config import CsvFeed, HttpFeed
from farmctl.signals.price.quotes import Quote, from_csv, from_json

MOST_BYTES = 4 * 2**20
OK_STATUS = 200
FILE_DEADLINE_S = 10.0


async def read(feed: CsvFeed | HttpFeed, session: aiohttp.ClientSession) -> tuple[tuple[Quote, ...], bytes]:
    """What the feed says, and its bytes.

    Raises SilentPeerError, BackOffError or MalformedReplyError: then the last reading holds while it is valid.
    """
    match feed:
        case CsvFeed():
            raw = await _file(feed.path)
            return from_csv(raw, feed), raw
        case HttpFeed():
            raw = await _document(feed, session)
            try:
                document = json_object(b'{"document":' + raw + b"}", max_bytes=MOST_BYTES + 64)["document"]
            except NotAcceptedError as fault:
                raise MalformedReplyError(f"{feed.url}: {fault.detail}") from fault
            return from_json(document, feed), raw


async def _file(path: Path) -> bytes:
    try:
        async with asyncio.timeout(FILE_DEADLINE_S):
            raw = await asyncio.to_thread(path.read_bytes)
    except (OSError, TimeoutError) as error:
        raise SilentPeerError(f"{path}: {error}") from error
    if len(raw) > MOST_BYTES:
        raise MalformedReplyError(f"{path}: {len(raw)} bytes, at most {MOST_BYTES} are read")
    return raw


async def _document(feed: HttpFeed, session: aiohttp.ClientSession) -> bytes:
    headers = {"Authorization": f"Bearer {feed.bearer}"} if feed.bearer else {}
    raw = b""
    try:
        async with (
            asyncio.timeout(feed.deadline_s),
            session.get(feed.url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != OK_STATUS:
                raise BackOffError(f"{feed.url}: HTTP {response.status}")
            async for chunk in response.content.iter_chunked(2**16):
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise MalformedReplyError(f"{feed.url}: more than {MOST_BYTES} bytes")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SilentPeerError(f"{feed.url}: {str(error) or type(error).__name__}") from error
    return raw
