"""`farmsim run`: the farm of a description, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path

import click
import orjson
import uvloop

from simulators.control import control_api
from simulators.plan import Plan, read_plan, resized
from simulators.world import World


@click.command("run")
@click.argument("description", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=int, help="Instead of farm.seed.")
@click.option("--miners", type=click.IntRange(min=1), help="Scale the groups to this many.")
@click.option("--time-scale", type=float, help="Device seconds per second.")
@click.option("--ambient-c", type=float, help="Instead of farm.ambient_c.")
@click.option("--warming-c", type=float, help="The air gets that much warmer ...")
@click.option("--warming-s", type=float, help="... in so many device seconds.")
@click.option("--report-error", type=float, help="Share by which miners report less than they draw.")
@click.option("--control", default="127.0.0.1:0", show_default=True, help="HOST:PORT of the API.")
@click.option("--port-base", type=click.IntRange(1, 65_000), help="All miners on 127.0.0.1, from this port on.")
def main(
    description: Path, *, miners: int | None, control: str, port_base: int | None, **farm_keys: float | None
) -> None:
    """Run the farm that DESCRIPTION (TOML) describes, until SIGTERM."""
    overrides = {
        **farm_keys,
        "port_base": port_base,
        "ports_mode": None if port_base is None else "ports",
    }
    given = {key: value for key, value in overrides.items() if value is not None}
    host, _, port = control.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"{control!r}: expected HOST:PORT", param_hint="--control")
    try:
        plan = read_plan(description.read_text(encoding="utf-8"), str(description))
        farm = plan.farm.model_validate(plan.farm.model_dump() | given)
        plan = plan.model_copy(update={"farm": farm})
        if miners is not None:
            plan = resized(plan, miners)
        uvloop.run(_serve(plan, host, int(port)))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


async def _serve(plan: Plan, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    farm = World(plan)
    await farm.start()
    # A farm of 10,000 is a million objects that live until the end: the collector need not walk them at every turn.
    gc.collect()
    gc.freeze()
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
