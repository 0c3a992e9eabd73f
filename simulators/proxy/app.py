"""`farmsim proxy`: many routes in a process of its own, until it is told to stop; it ends with what it did."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from collections import Counter
from pathlib import Path

import click
import uvloop
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simulators.proxy.route import Address, Route
from simulators.proxy.trouble import ALL_TROUBLE, Trouble, script
from simulators.proxy.wire import Proxy

NEVER_S = 1e12


class RouteTable(BaseModel):
    """One route of the file."""

    model_config = ConfigDict(extra="forbid")

    listen: str
    """HOST:PORT; port 0 picks a free one."""
    target: str
    every_s: float = Field(default=NEVER_S, gt=0)
    """Mean calm between two troubles."""
    for_s: float = Field(default=10.0, gt=0)
    """Mean length of a trouble."""
    kinds: list[Trouble] = Field(default=list(ALL_TROUBLE), min_length=1)


@click.command("proxy")
@click.argument("routes", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--after", "after_s", type=float, default=0.0, show_default=True, help="Seconds without trouble first.")
def main(routes: Path, seed: int, after_s: float) -> None:
    """Carry TCP along ROUTES (JSON: a list of listen, target, every_s, for_s, kinds), until SIGTERM.

    SIGUSR1 ends all trouble.
    """
    try:
        tables = TypeAdapter(list[RouteTable]).validate_json(routes.read_bytes())
        paths = [
            Route(
                _address(table.listen),
                _address(table.target),
                script(
                    f"{seed}:{number}", every_s=table.every_s, for_s=table.for_s, kinds=table.kinds, after_s=after_s
                ),
            )
            for number, table in enumerate(tables)
        ]
    except (ValidationError, ValueError) as error:
        raise click.ClickException(f"{routes}: {error}") from error
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        uvloop.run(_carry(Proxy(paths)))
    except OSError as error:
        raise click.ClickException(str(error)) from error


async def _carry(proxy: Proxy) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, proxy.calm)
    picking = [route for route in proxy.routes if route.listen[1] == 0]
    await proxy.open()
    try:
        # Only what nobody knew before: a line about every route of a large farm would not fit a reader's buffer.
        picked = [f"{route.listen[0]}:{route.listen[1]}" for route in picking]
        click.echo(json.dumps({"ready": True, "routes": len(proxy.routes), "picked": picked}))
        await stop.wait()
        click.echo(json.dumps(told(proxy)))
    finally:
        await proxy.close()


def told(proxy: Proxy) -> dict[str, object]:
    """Connections and troubles of all routes so far."""
    hits: Counter[str] = Counter()
    for route in proxy.routes:
        hits.update(route.hits)
    return {
        "routes": len(proxy.routes),
        "connections": sum(route.opened for route in proxy.routes),
        "open": sum(route.open_now for route in proxy.routes),
        "troubled": sum(hits.values()),
        "hits": dict(hits),
    }


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host.startswith("127."):
        raise ValueError(f"{text}: expected an address on loopback")
    return host, int(port)
