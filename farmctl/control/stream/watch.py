"""GET /v1/watch: server-sent events from a revision on; who cannot keep up is sent back to a snapshot."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import orjson
from aiohttp import web

from farmctl.control.stream.ring import TOPICS
from farmctl.control.stream.streamer import Streamer
from farmctl.control.wire import ApiError
from farmctl.ports.site import Clock

HEARTBEAT_S = 1.0
WRITE_S = 5.0
"""A client that takes nothing for so long is dropped; the transport holds one frame and 64 KiB for it at most."""
MOST_WATCHERS = 256
_GONE = "take a snapshot: GET /v1/snapshot"


async def watch(
    request: web.Request, streamer: Streamer, clock: Clock, still: Callable[[], bool]
) -> web.StreamResponse:
    """Stream until either side leaves, or the caller is no longer `still` permitted.

    Raises ApiError: 400 unreadable query, 410 the revision is not in the ring, 503 too many clients or no cycle yet.
    """
    topics = _topics(request.query.get("topics", ""))
    await streamer.refresh()
    position = _position(request, streamer)
    if streamer.watchers >= MOST_WATCHERS:
        raise ApiError(503, f"{MOST_WATCHERS} clients watch already", hint="close one")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    streamer.watchers += 1
    try:
        await response.prepare(request)
        await _stream(response, streamer, clock, position, topics, still)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionResetError:
        pass
    finally:
        streamer.watchers -= 1
    return response


async def _stream(
    response: web.StreamResponse,
    streamer: Streamer,
    clock: Clock,
    position: int,
    topics: frozenset[str],
    still: Callable[[], bool],
) -> None:
    loop = asyncio.get_running_loop()
    beat_s = loop.time()
    while not streamer.closing:
        waiting = streamer.ring.after(position)
        if waiting is None:
            await _write(response, b"event: gone\ndata: %s\n\n" % orjson.dumps({"hint": _GONE}))
            return
        for revision in waiting:
            position = revision.rev
            if frame := revision.frame(topics):
                await _write(response, frame)
        if loop.time() >= beat_s:
            beat_s = loop.time() + HEARTBEAT_S
            if not still():
                return
            await _write(response, _heartbeat(streamer, clock))
        if streamer.ring.last == position:
            await streamer.news(max(beat_s - loop.time(), 0.0))


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(data)


def _heartbeat(streamer: Streamer, clock: Clock) -> bytes:
    image = streamer.image
    told = {"rev": streamer.ring.last, "at_ms": image.at_ms if image else None, "now_ms": clock.now_ms()}
    return b"event: heartbeat\ndata: %s\n\n" % orjson.dumps(told)


def _topics(text: str) -> frozenset[str]:
    if not text:
        return frozenset(TOPICS)
    asked = frozenset(text.split(","))
    if unknown := sorted(asked - set(TOPICS)):
        raise ApiError(400, f"topics={text}: no topic {unknown[0]}; expected of {','.join(TOPICS)}", field="topics")
    return asked


def _position(request: web.Request, streamer: Streamer) -> int:
    """Where the client stands: `since`, else Last-Event-ID, else now."""
    image = streamer.image
    if image is None:
        raise ApiError(503, "no cycle has run yet", hint="try again in a second")
    epoch = request.query.get("epoch", image.epoch)
    text = request.query.get("since") or request.headers.get("Last-Event-ID") or str(streamer.ring.last)
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ApiError(400, f"since={text}: expected the rev of a snapshot or of an event", field="since")
    if epoch != image.epoch:
        raise ApiError(410, f"epoch {epoch}: the rows were numbered anew since", field="epoch", hint=_GONE)
    if streamer.ring.after(int(text)) is None:
        raise ApiError(410, f"revision {text} is not kept: it is too old, or of another run", field="since", hint=_GONE)
    return int(text)
