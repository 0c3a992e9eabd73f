"""The control API of a simulated farm: the truth, the faults and the switch-off, as JSON on HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.faults import Fault
from simulators.fronts.door import is_served
from simulators.malform import MALFORMS
from simulators.world import inventory_rows, ports_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from simulators.world import World

WORLD: web.AppKey[World] = web.AppKey("world")
STOP: web.AppKey[asyncio.Event] = web.AppKey("stop", asyncio.Event)
PROMPT_S = 1.0
PAIR = 2


class Target(BaseModel):
    """Which miners an order is for: some ids, or a selection, or a seeded fraction of it."""

    model_config = ConfigDict(extra="forbid")

    select: dict[str, str] = Field(default_factory=dict)
    ids: list[str] = Field(default_factory=list)
    fraction: float = Field(default=1.0, gt=0, le=1)

    def rows(self, world: World) -> list[int]:
        """Resolve to rows; raises ValueError naming what is unknown."""
        if self.ids:
            by_id = {miner.identity.mac: row for row, miner in enumerate(world.miners)}
            unknown = [i for i in self.ids if i not in by_id]
            if unknown:
                raise ValueError(f"ids: unknown {unknown}")
            return world.pick([by_id[i] for i in self.ids], self.fraction)
        return world.pick(world.rows_of(self.select), self.fraction)


class FaultOrder(Target):
    """POST /faults."""

    fault: Fault
    for_s: float = Field(default=1e12, gt=0)
    params: dict[str, float | str] = Field(default_factory=dict)


class MoveOrder(Target):
    """POST /move."""

    host: str


class ClearOrder(Target):
    """POST /clear."""

    fault: Fault | None = None


@contextlib.asynccontextmanager
async def control_api(world: World, host: str, port: int, stop: asyncio.Event) -> AsyncIterator[str]:
    """Serve the control API on `host`:`port` (0 picks one) and yield "host:port".

    Raises ValueError when `host` is not on loopback.
    """
    if not is_served(host, allow_remote=False):
        raise ValueError(f"--control {host}: expected a loopback address")
    app = web.Application(middlewares=[_explain])
    app[WORLD] = world
    app[STOP] = stop
    app.add_routes(
        [
            web.get("/truth", _truth),
            web.get("/total", _total),
            web.get("/inventory", _inventory),
            web.get("/log", _log),
            web.post("/faults", _faults),
            web.post("/clear", _clear),
            web.post("/swap", _swap),
            web.post("/move", _move),
            web.post("/shutdown", _shutdown),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=PROMPT_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        yield f"{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


def truth(world: World) -> dict[str, list[Any]]:
    """Return what is really so, as columns: one list per key, one entry per miner."""
    miners, fleet = world.miners, world.fleet
    return {
        "id": [m.identity.mac for m in miners],
        "host": [m.endpoint.host for m in miners],
        "ports": [ports_of(m) for m in miners],
        "family": [str(m.personality.family) for m in miners],
        "model": [m.personality.model for m in miners],
        "container": [m.identity.container for m in miners],
        "power_w": fleet.power_w.round(2).tolist(),
        "hash_ths": fleet.hash_ths.round(4).tolist(),
        "level_w": fleet.level_w.round(1).tolist(),
        "state": [m.state for m in miners],
        "faults": [[str(a.fault) for a in m.faults] for m in miners],
        "fingerprint": [sha256(m.fingerprint()).hexdigest()[:16] for m in miners],
        "commands": [m.commands for m in miners],
        "reads": [m.reads.total() for m in miners],
    }


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()]
        return _json({"errors": faults}, status=400)
    except ValueError as error:
        return _json({"errors": [str(error)]}, status=400)


async def _truth(request: web.Request) -> web.Response:
    return _json(truth(request.app[WORLD]))


async def _total(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    total = {
        "power_w": world.total_power_w(),
        "hash_ths": float(world.fleet.hash_ths.sum()),
        "miners": len(world.miners),
        "asleep": int(world.fleet.asleep.sum()),
        "full_w": float(world.fleet.full_w.sum()),
        "now_s": world.now_s(),
    }
    return _json(total)


async def _inventory(request: web.Request) -> web.Response:
    return _json(inventory_rows(request.app[WORLD]))


async def _log(request: web.Request) -> web.Response:
    """Commands that one miner was given: GET /log?id=MAC."""
    world = request.app[WORLD]
    wanted = request.query.get("id", "")
    for miner in world.miners:
        if miner.identity.mac == wanted:
            return _json([[t.at_s, t.door, t.command, t.text] for t in miner.log])
    raise ValueError(f"id: unknown {wanted!r}")


async def _faults(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    order = FaultOrder.model_validate_json(await request.read())
    how = order.params.get("how", "comma_brace")
    if order.fault is Fault.MALFORMED and how not in MALFORMS:
        raise ValueError(f"params.how: {how!r}: expected one of {', '.join(MALFORMS)}")
    rows = order.rows(world)
    world.put_fault(rows, order.fault, for_s=order.for_s, params=order.params)
    return _json({"miners": [world.miners[row].identity.mac for row in rows]})


async def _clear(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    order = ClearOrder.model_validate_json(await request.read() or b"{}")
    rows = order.rows(world)
    world.clear_faults(rows, order.fault)
    return _json({"miners": len(rows)})


async def _swap(request: web.Request) -> web.Response:
    """Exchange the addresses of two miners: POST /swap {"ids": [MAC, MAC]}."""
    world = request.app[WORLD]
    rows = Target.model_validate_json(await request.read()).rows(world)
    if len(rows) != PAIR:
        raise ValueError(f"ids: expected two miners, not {len(rows)}")
    await world.swap(rows[0], rows[1])
    return _json({"swapped": [world.miners[row].identity.mac for row in rows]})


async def _move(request: web.Request) -> web.Response:
    """Give one miner another address: POST /move {"ids": [MAC], "host": "127.0.0.9"}."""
    world = request.app[WORLD]
    order = MoveOrder.model_validate_json(await request.read())
    rows = order.rows(world)
    if len(rows) != 1:
        raise ValueError(f"ids: expected one miner, not {len(rows)}")
    if not is_served(order.host, allow_remote=world.plan.farm.allow_remote):
        raise ValueError(f"host: {order.host}: expected a loopback address")
    try:
        await world.move(rows[0], order.host)
    except OSError as error:
        raise ValueError(f"host: {error}") from error
    return _json({"moved": world.miners[rows[0]].identity.mac, "host": order.host})


async def _shutdown(request: web.Request) -> web.Response:
    request.app[STOP].set()
    return _json({"stopping": True})


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", status=status)
