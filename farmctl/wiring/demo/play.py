"""Plays the demo: starts the simulators, runs the real controller against them, and sums up."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from farmctl.config.load import Loaded
from farmctl.core.model import Fate
from farmctl.engine.clock import SystemClock
from farmctl.engine.cycle import Picture
from farmctl.ports.devices import Endpoint
from farmctl.store.journal import Intact
from farmctl.store.reader import open_reader
from farmctl.wiring.demo.children import Child, child, run_once
from farmctl.wiring.demo.net import reserved_net
from farmctl.wiring.demo.referee import Referee, event_rows, percentile_ms
from farmctl.wiring.demo.seat import Seat, demo_keys
from farmctl.wiring.demo.setting import Setting
from farmctl.wiring.demo.site import configured, identified, numbers, stocked
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.farm import Farm, Listeners, built
from farmctl.wiring.meters import site_meter
from farmctl.wiring.stores import JOURNAL

FIRST_NET = 10
QUIET_START_S = 3.0
QUIET_END_S = 12.0
LEAST_S = 5.0
"""A dispatcher that has less time than this orders nothing."""
FAULT_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What to play."""

    miners: int
    seed: int
    for_s: float | None
    """None: until stopped."""
    faults: bool
    port_base: int | None
    """Set where there are no loopback addresses beside 127.0.0.1: all miners on ports from here on."""
    say: Callable[[str], None]
    picture: Callable[[Picture], None]
    setting: Setting = field(default_factory=Setting)
    folder: Path | None = None
    metrics_port: int | None = None
    """None: a free one."""
    dispatcher: Callable[[Seat], None] | None = None
    """Somebody else plays the grid: told once the controller is up."""
    signed: bool = False
    """The site takes signed signals only; its keys lie in `secrets` of the folder."""
    site: str = "demo"
    """Site id."""


async def play(plan: DemoPlan, stop: asyncio.Event) -> dict[str, Any]:
    """Run the demo and return its summary (DESIGN section 6)."""
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = plan.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="farmctl-demo-")))
        stage = await _stage(plan, folder, stack)
        referee = stage.referee
        listeners = Listeners(pictures=(referee.see, plan.picture))
        async with built(stage.loaded, stop=stop, listeners=listeners) as farm:
            plan.say(f"controller up with {len(farm.fleet.links)} miners after {time.monotonic() - started:.1f} s")
            plan.say(f"ask it: farmctl status --config {stage.loaded.files[0]}")
            scrape_ok = await _run(plan, stage, farm, stop)
            summary = _summary(farm, referee, stage.identified, scrape_ok=scrape_ok)
        summary["journal"] = await _journal(folder)
        summary["wall_s"] = round(time.monotonic() - started, 1)
    return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    loaded: Loaded
    seat: Seat
    control: str
    rated_kw: float
    identified: int
    referee: Referee
    folder: Path
    meter: Child
    """What the controller reads; the referee has one of its own where this one is to be lost."""


async def _stage(plan: DemoPlan, folder: Path, stack: AsyncExitStack) -> _Stage:
    """Everything around the controller."""
    world = folder / "world.toml"
    net = stack.enter_context(reserved_net()) if plan.port_base is None else FIRST_NET
    size = ["--miners", str(plan.miners), "--seed", str(plan.seed), "--http-port", "8080", "--first-net", str(net)]
    size += plan.setting.world_words()
    async with asyncio.TaskGroup() as tasks:
        described = tasks.create_task(run_once("world", *size))
        broker = await stack.enter_async_context(child(["broker", "--port", "0"], folder / "broker.log"))
    plan.say(f"broker: {broker.ready['kind']} on {broker.ready['host']}:{broker.ready['port']}")
    text = described.result()
    await asyncio.to_thread(world.write_text, text)
    ports = ["--port-base", str(plan.port_base)] if plan.port_base is not None else []
    farmsim = await stack.enter_async_context(
        child(
            ["run", str(world), "--seed", str(plan.seed), *plan.setting.farm_words(plan.for_s), *ports],
            folder / "farmsim.log",
        )
    )
    control = f"http://{farmsim.ready['control']}"
    known = await _get(f"{control}/inventory")
    truth = await _get(f"{control}/truth")
    total = await _get(f"{control}/total")
    per_container = Counter[str]()
    for container, watts in zip(truth["container"], truth["level_w"], strict=True):
        per_container[container] += watts
    figures = numbers(total["full_w"], per_container, max(per_container.values()))
    meter = await stack.enter_async_context(_meter(control, figures.rated_kw, plan.seed, folder / "meter.log"))
    judges = meter
    if plan.setting.meter_lost_s is not None:
        judges = await stack.enter_async_context(_meter(control, figures.rated_kw, plan.seed, folder / "judge.log"))
    plan.say(f"farm: {plan.miners} simulated miners, {figures.rated_kw / 1e3:.2f} MW rated; identifying them")
    drivers = load_drivers()
    places = [Endpoint(host=place["host"], ports=place["ports"]) for place in known]
    found = await identified(places, [drivers[name] for name in drivers if name != "pyasic"])
    plan.say(f"identified {len(found)} of {len(places)}")
    await stocked(folder / JOURNAL, known, found)
    keys = await asyncio.to_thread(demo_keys, folder / "secrets") if plan.signed else None
    seat = Seat(broker=f"{broker.ready['host']}:{broker.ready['port']}", keys=keys)
    loaded = configured(
        folder,
        figures,
        site=plan.site,
        broker=seat.broker,
        meter_port=meter.ready["port"],
        metrics_port=plan.metrics_port or await _free_port(),
        keys=keys,
    )
    return _Stage(
        loaded=loaded,
        seat=seat,
        control=control,
        rated_kw=figures.rated_kw,
        identified=len(found),
        referee=_referee(loaded, judges.ready["port"]),
        folder=folder,
        meter=meter,
    )


def _referee(loaded: Loaded, meter_port: int) -> Referee:
    clock = SystemClock()
    tables = tuple(table.model_copy(update={"port": meter_port}) for table in loaded.config.meter)
    line = site_meter(loaded.config.model_copy(update={"meter": tables}), clock, lambda: float("nan"))
    if line is None:
        raise ValueError("configs/demo.toml: expected a site meter")
    return Referee(meter=line[0], clock=clock)


def _meter(control: str, rated_kw: float, seed: int, log: Path) -> Any:
    aux = ["--aux-base-kw", f"{0.01 * rated_kw:.2f}", "--aux-share", "0.03", "--aux-lag", "20"]
    arguments = ["meter", "--control", control, "--port", "0", "--seed", str(seed), *aux]
    return child([*arguments, "--rated-kw", f"{rated_kw:.1f}"], log)


async def _run(plan: DemoPlan, stage: _Stage, farm: Farm, stop: asyncio.Event) -> bool:
    """The controller beside a dispatcher and some faults, until the time is over; whether metrics answered."""
    scrape_ok = False
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(farm.run())
        watching = tasks.create_task(stage.referee.run())
        acting = tasks.create_task(_act(plan, stage))
        try:
            async with asyncio.timeout(plan.for_s):
                await stop.wait()
        except TimeoutError:
            pass
        scrape_ok = await _scraped(stage.loaded.config.metrics.listen)
        acting.cancel()
        watching.cancel()
        stop.set()
        await running
    return scrape_ok


async def _act(plan: DemoPlan, stage: _Stage) -> None:
    """The grid's day, over and over, and a few machines that misbehave."""
    await asyncio.sleep(QUIET_START_S)
    async with asyncio.TaskGroup() as tasks:
        if plan.setting.meter_lost_s is not None:
            tasks.create_task(_lose_meter(plan, stage, plan.setting.meter_lost_s))
        await _dispatch(plan, stage)


async def _lose_meter(plan: DemoPlan, stage: _Stage, after_s: float) -> None:
    await asyncio.sleep(after_s)
    stage.meter.process.kill()
    plan.say("the site meter is gone")


async def _dispatch(plan: DemoPlan, stage: _Stage) -> None:
    if plan.dispatcher is not None:
        plan.dispatcher(stage.seat)
    if plan.faults:
        await _post(f"{stage.control}/faults", {"fraction": FAULT_SHARE, "fault": "silent", "for_s": 20.0})
    if plan.dispatcher is not None:
        return
    command = ["grid", "--broker", stage.seat.broker, "--site", plan.site, "--op", "grid-op"]
    command += ["--trace", plan.setting.trace, "--rated-kw", str(stage.rated_kw)]
    # The last order comes early enough to be followed and confirmed before the curtain falls.
    left_s = math.inf if plan.for_s is None else max(plan.for_s - QUIET_START_S - QUIET_END_S, LEAST_S)
    ends_s = time.monotonic() + left_s
    while left_s >= LEAST_S:
        for_s = [] if plan.for_s is None else ["--for", f"{left_s:.0f}"]
        async with child([*command, *for_s], stage.folder / "grid.log", says_ready=False) as dispatcher:
            await dispatcher.last_line()
            await dispatcher.must_be_well("grid")
        left_s = ends_s - time.monotonic()


def _summary(farm: Farm, referee: Referee, found: int, *, scrape_ok: bool) -> dict[str, Any]:
    tally, tracking = farm.tally, referee.tracking()
    return {
        "miners": len(farm.fleet.links),
        "identified": found,
        "polls": tally.polls,
        "poll_errors": tally.poll_errors,
        "signals": farm.inbox.accepted,
        "signals_refused": sum(farm.inbox.refused.values()),
        "events": event_rows(referee),
        "commands": {
            "sent": tally.fates[Fate.SENT],
            "issued": referee.issued,
            "confirmed": referee.confirmed,
            "failed": referee.given_up,
            "retried": tally.retried,
            "superseded": max(referee.issued - referee.confirmed - referee.given_up - referee.still_open, 0),
            "open": referee.still_open,
        },
        "tracking": {
            "mean_error_pct": tracking.mean_pct,
            "p95_error_pct": tracking.p95_pct,
            "samples": len(tracking.errors_pct),
        },
        "first_command_ms": {
            "p50": percentile_ms(tally.responses_s, 0.5),
            "p99": percentile_ms(tally.responses_s, 0.99),
        },
        "limit_violations": referee.limit_violations(),
        "alarms": sorted(referee.alarms),
        "metrics_scrape_ok": scrape_ok,
    }


async def _journal(folder: Path) -> dict[str, Any]:
    reader = await open_reader(folder / JOURNAL)
    try:
        verdict = await reader.verify()
        head = await reader.head()
    finally:
        await reader.close()
    return {"records": head.seq if head else 0, "chain_ok": isinstance(verdict, Intact)}


async def _scraped(listen: str) -> bool:
    try:
        text = await asyncio.to_thread(_fetch, Request(f"http://{listen}/metrics"))
    except OSError:
        return False
    return b"farmctl_site_power_watts{" in text


async def _get(url: str) -> Any:
    return json.loads(await asyncio.to_thread(_fetch, Request(url)))  # noqa: S310 - a child process on loopback


async def _post(url: str, body: dict[str, Any]) -> None:
    request = Request(url, data=json.dumps(body).encode(), method="POST")  # noqa: S310 - a child process on loopback
    await asyncio.to_thread(_fetch, request)


def _fetch(request: Request) -> bytes:
    with urlopen(request, timeout=10.0) as answer:  # noqa: S310 - loopback only
        return bytes(answer.read())


async def _free_port() -> int:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def default_port_base() -> int | None:
    """Linux answers on all of 127.0.0.0/8; elsewhere the miners sit on ports."""
    return None if sys.platform == "linux" else 20_000
