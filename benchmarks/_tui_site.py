"""A site behind a socket for the glass to watch: a snapshot, then so many changed rows a second, all written ahead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from benchmarks._glass import SyntheticFeed
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, IntColumn
from farmctl.ports.feed import FleetImage

HZ = 2.0
DELTAS = 16
"""Different deltas, told in turn."""
MOVING = ("power_w", "temperature_c", "seen_s", "ths")
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


@dataclass(slots=True)
class ServedSite:
    """What `farmctl.control` serves, of `SyntheticFeed`, at no cost while the glass is measured."""

    miners: int
    changing_per_s: int
    snapshot_sent_s: list[float] = field(default_factory=list)
    """Monotonic clock of every snapshot."""

    async def serve(self, path: str, ready: asyncio.Event, until: asyncio.Event) -> None:
        """Serve until told to stop; `ready` is set when the socket is there."""
        feed = SyntheticFeed(self.miners)
        whole, parts = _snapshot(feed.image(None)), self._deltas(feed)
        app = web.Application()

        async def snapshot(_: web.Request) -> web.Response:
            self.snapshot_sent_s.append(time.monotonic())
            return web.Response(body=whole, content_type="application/json")

        async def watch(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            rev = 0
            with contextlib.suppress(ConnectionResetError):  # the glass was closed
                while not until.is_set():
                    await asyncio.sleep(1.0 / HZ)
                    rev += 1
                    await response.write(_told(feed, rev, parts[rev % DELTAS]))
            return response

        async def whoami(_: web.Request) -> web.Response:
            return web.json_response({"uid": 1000, "name": "operator1", "role": "operator"})

        app.add_routes([web.get("/v1/snapshot", snapshot), web.get("/v1/watch", watch), web.get("/v1/whoami", whoami)])
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        await web.UnixSite(runner, path).start()
        ready.set()
        await until.wait()
        await runner.cleanup()

    def _deltas(self, feed: SyntheticFeed) -> list[bytes]:
        made = []
        for _ in range(DELTAS):
            if not self.changing_per_s:
                made.append(b"")
                continue
            rows = feed.change(int(self.changing_per_s / HZ))
            columns = {name: column[rows] for name, column in _numbers(feed.image(None)).items() if name in MOVING}
            made.append(b"event: delta\ndata: " + _json({"rows": rows, "columns": columns}) + b"\n\n")
        return made


def _told(feed: SyntheticFeed, rev: int, delta: bytes) -> bytes:
    image = feed.image(None)
    at_ms = image.at_ms + int(rev * MS_PER_S / HZ)
    decision = {"rev": image.rev + rev, "at_ms": at_ms, "strip": _strip(image), "circuits": _loads(image)}
    return delta + b"event: decision\nid: %d\ndata: %s\n\n" % (image.rev + rev, _json(decision))


def _snapshot(image: FleetImage) -> bytes:
    words = {name: {"dict": w.words, "idx": w.codes} for name, w in image.words.items()}
    names = [circuit.name for circuit in image.circuits]
    return _json(
        {
            "rev": image.rev,
            "epoch": image.epoch,
            "at_ms": image.at_ms,
            "columns": {"id": image.ids, **_numbers(image), **words},
            "strip": _strip(image),
            "alarms": [asdict(alarm) for alarm in image.alarms],
            "events": [_event(event) for event in image.events],
            "jobs": [],
            "circuits": {
                "name": names,
                "parent": [names.index(c.parent) if c.parent else -1 for c in image.circuits],
                "rating_kw": [c.rating_kw for c in image.circuits],
                **_loads(image),
            },
        }
    )


def _numbers(image: FleetImage) -> dict[str, np.ndarray]:
    numbers = {name: np.round(column, 1) for name, column in image.numbers.items()}
    numbers["ths"] = np.round(numbers.pop("hash_rate_hs") / HASHES_PER_TERAHASH, 2)
    numbers["seen_s"] = np.round(numbers.pop("seen_ms") / MS_PER_S, 1)
    return numbers


def _strip(image: FleetImage) -> dict[str, Any]:
    strip = asdict(image.strip)
    return {**strip, "event": None if image.strip.event is None else _event(image.strip.event)}


def _event(event: Any) -> dict[str, Any]:
    row = asdict(event)
    return {**row, "class": row.pop("event_class")}


def _loads(image: FleetImage) -> dict[str, Sequence[float | None]]:
    return {"load_kw": [c.load_kw for c in image.circuits], "meter_kw": [c.meter_kw for c in image.circuits]}


def _json(told: Mapping[str, Any] | IntColumn) -> bytes:
    return orjson.dumps(told, option=_OPTIONS)
