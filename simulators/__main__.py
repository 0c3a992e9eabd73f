"""farmsim: runs a simulated farm, writes descriptions of one, and carries the other simulators."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import signal
import sys
from pathlib import Path

import click
import orjson
import uvloop
from typing_extensions import override

from simulators.control import control_api
from simulators.plan import DEFAULT_MIX, FIRST_NET, Plan, read_plan, resized, write_plan
from simulators.world import World

LAZY = {
    "broker": "simulators.broker:main",
    "grid": "simulators.grid:main",
    "meter": "simulators.meter:main",
    "vtn": "simulators.vtn.__main__:main",
}
"""Commands that live elsewhere: name -> "module:attribute", imported when called."""


class LazyGroup(click.Group):
    """A group whose LAZY commands are imported only when they are asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands that can be called."""
        found = [name for name, where in LAZY.items() if _is_there(where.partition(":")[0])]
        return sorted([*super().list_commands(ctx), *found])

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, importing it if it is a lazy one."""
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = LAZY[cmd_name].partition(":")
        if not _is_there(module):
            return None
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup)
def main() -> None:
    """Simulate a Bitcoin-ASIC farm on real sockets."""


@main.command()
@click.argument("description", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=int, help="Instead of farm.seed.")
@click.option("--miners", type=click.IntRange(min=1), help="Scale the groups to this many.")
@click.option("--time-scale", type=float, help="Device seconds per second.")
@click.option("--control", default="127.0.0.1:0", show_default=True, help="HOST:PORT of the API.")
@click.option("--port-base", type=int, help="All miners on 127.0.0.1, from this port on.")
def run(
    description: Path,
    *,
    seed: int | None,
    miners: int | None,
    time_scale: float | None,
    control: str,
    port_base: int | None,
) -> None:
    """Run the farm that DESCRIPTION (TOML) describes, until SIGTERM."""
    overrides = {
        "seed": seed,
        "time_scale": time_scale,
        "port_base": port_base,
        "ports_mode": None if port_base is None else "ports",
    }
    given = {key: value for key, value in overrides.items() if value is not None}
    host, _, port = control.rpartition(":")
    try:
        plan = read_plan(description.read_text(encoding="utf-8"), str(description))
        farm = plan.farm.model_validate(plan.farm.model_dump() | given)
        plan = plan.model_copy(update={"farm": farm})
        if miners is not None:
            plan = resized(plan, miners)
        uvloop.run(_serve(plan, host, int(port)))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--miners", type=click.IntRange(min=1), required=True)
@click.option("--mix", help="model=weight,model=weight; a fleet of all makes by default.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--http-port", type=int, default=80, show_default=True, help="8080 needs no root.")
@click.option("--first-net", type=click.IntRange(1, 200), default=FIRST_NET, show_default=True, help="127.N.0.0/16.")
def world(miners: int, mix: str | None, seed: int, http_port: int, first_net: int) -> None:
    """Write a description of MINERS miners to standard output."""
    try:
        text = write_plan(miners, _mix(mix), seed=seed, http_port=http_port, first_net=first_net)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text, nl=False)


async def _serve(plan: Plan, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    farm = World(plan)
    await farm.start()
    try:
        async with control_api(farm, host, port, stop) as where:
            ready = {
                "ready": True,
                "miners": len(farm.miners),
                "control": where,
                "listening": farm.street.listening,
            }
            sys.stdout.write(orjson.dumps(ready).decode() + "\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        await farm.stop()


def _mix(text: str | None) -> dict[str, int]:
    if not text:
        return DEFAULT_MIX
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {model.strip(): int(weight or "1") for model, _, weight in pairs}


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


if __name__ == "__main__":
    main()
