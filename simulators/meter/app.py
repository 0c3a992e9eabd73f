"""`farmsim meter`: the site meter in a process of its own, following farmsim's control API."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import aiohttp
import click

from simulators.meter.server import REGISTERS, Electrical, MeterFault, SimMeter
from simulators.meter.site import HISTORY_PERIOD_S, Auxiliary

LOST_SOURCE_S = 5.0
"""The meter stops answering when farmsim itself has been silent this long: a made-up number would be worse."""


@dataclass(slots=True)
class _Reading:
    """The last total that farmsim told us."""

    power_w: float
    at_s: float


@click.command("meter")
@click.option(
    *("--control", "controls"),
    required=True,
    multiple=True,
    help="Address of farmsim's control API, http://HOST:PORT; repeatable, their watts add up.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5020, show_default=True, help="Modbus TCP port; 0 picks a free one.")
@click.option("--seed", default=0, show_default=True)
@click.option("--aux-base-kw", default=0.0, show_default=True, help="Load that is always there.")
@click.option("--aux-share", default=0.0, show_default=True, help="Cooling watts per miner watt.")
@click.option("--aux-lag", default=60.0, show_default=True, help="Time constant of the cooling in seconds.")
@click.option("--rated-kw", default=10_000.0, show_default=True, help="Full load, for the voltage sag.")
@click.option("--fault", "faults", multiple=True, help="KIND@START+SECONDS, e.g. frozen@30+20; repeatable.")
def main(  # noqa: PLR0913, PLR0917 - one parameter per option
    controls: tuple[str, ...],
    host: str,
    port: int,
    seed: int,
    aux_base_kw: float,
    aux_share: float,
    aux_lag: float,
    rated_kw: float,
    faults: tuple[str, ...],
) -> None:
    """Serve the site's true power over Modbus TCP, until interrupted."""
    strange = next((control for control in controls if not control.startswith("http://")), None)
    if strange is not None:
        raise click.BadParameter(f"{strange!r}: expected http://HOST:PORT", param_hint="--control")
    script = [_parse_fault(text) for text in faults]
    reading = _Reading(power_w=0.0, at_s=-math.inf)
    meter = SimMeter(
        source=lambda: reading.power_w,
        host=host,
        port=port,
        seed=seed,
        aux=Auxiliary(base_w=aux_base_kw * 1_000, share=aux_share, lag_s=aux_lag),
        electrical=Electrical(rated_w=rated_kw * 1_000),
    )
    try:
        asyncio.run(_serve(meter, reading, [control.rstrip("/") for control in controls], script))
    except KeyboardInterrupt:
        return


def _parse_fault(text: str) -> tuple[MeterFault, float, float]:
    try:
        kind, _, times = text.partition("@")
        start, _, length = times.partition("+")
        return MeterFault(kind), float(start), float(length)
    except ValueError as error:
        kinds = ", ".join(MeterFault)
        raise click.BadParameter(f"--fault {text!r}: expected KIND@START+SECONDS, KIND one of {kinds}") from error


async def _serve(
    meter: SimMeter, reading: _Reading, controls: Sequence[str], script: list[tuple[MeterFault, float, float]]
) -> None:
    loop = asyncio.get_running_loop()
    timeout = aiohttp.ClientTimeout(total=1.0)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        await _follow(session, controls, reading)
        await meter.start()
        try:
            for fault, start_s, length_s in script:
                loop.call_later(start_s, partial(meter.set_fault, fault, for_s=length_s))
            ready = {
                "ready": "meter",
                "host": meter.host,
                "port": meter.port,
                "unit_id": meter.unit_id,
                "registers": [
                    {"name": r.name, "address": r.address, "type": r.kind, "scale": r.scale, "unit": r.unit}
                    for r in REGISTERS
                ],
            }
            click.echo(json.dumps(ready))
            while True:
                await asyncio.sleep(HISTORY_PERIOD_S)
                await _follow(session, controls, reading)
                if time.monotonic() - reading.at_s > LOST_SOURCE_S:
                    meter.set_fault(MeterFault.GONE, for_s=2 * HISTORY_PERIOD_S)
        finally:
            await meter.stop()


async def _follow(session: aiohttp.ClientSession, controls: Sequence[str], reading: _Reading) -> None:
    """Take the sum of all; where one says nothing, the last sum stands and ages."""
    power_w = 0.0
    for control in controls:
        try:
            async with session.get(f"{control}/total") as response:
                response.raise_for_status()
                body = await response.json()
                power_w += float(body["power_w"])
        except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError) as error:
            click.echo(f"meter: {control}/total: {error!r}, expected a JSON object with power_w", err=True)
            return
    reading.power_w = power_w
    reading.at_s = time.monotonic()
