"""Real farmctl sites for the programme's benchmark: a signed demo farm each, in a process of its own, on its broker."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from farmctl.core.programme.sites import Site
from farmctl.engine.clock import SystemClock
from farmctl.engine.programme import Unit, seen
from farmctl.ports.grid import Refusal
from farmctl.ports.programme import ShareOrder
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals.keyfiles import seed_in
from farmctl.signals.kit.book import Book
from farmctl.signals.kit.console import Console
from farmctl.signals.kit.gate import Gate, GateTerms
from farmctl.signals.kit.link import BrokerAddress
from farmctl.signals.kit.unit import SiteUnit, UnitTerms
from farmctl.signals.kit.voice import Voice
from farmctl.wiring.demo.certify import beside_demo
from farmctl.wiring.demo.seat import Seat
from farmctl.wiring.logs import configure_logs

OP = "grid-op"
RATED_W = 3_500.0
READY_S = 120.0
LOOK_S = 0.002


class RealSite:
    """Headquarters' end of one of them."""

    def __init__(self, unit: SiteUnit, rated_w: float) -> None:
        self.unit = Unit(link=unit, rated_w=rated_w)
        self.link = unit
        self.number = 0

    async def told(self, share_w: float) -> None:
        """Say a share and wait until the site has accepted it."""
        self.number += 1
        self.link.want(ShareOrder(number=self.number, share_w=share_w, emergency=False, holds_s=600))
        while self.link.view().acked_w != share_w:  # noqa: ASYNC110 - what is waited for lies behind a real broker
            await asyncio.sleep(LOOK_S)

    def now(self, clock: SystemClock) -> Site:
        """The site as the split sees it."""
        return seen(self.unit, self.link.report(), clock.now_ms())


@asynccontextmanager
async def real_sites(count: int, miners: int) -> AsyncIterator[list[RealSite]]:
    """So many sites, up, connected and speaking."""
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(_site(f"real-{number}", miners)) for number in range(count)]
        async with asyncio.timeout(READY_S):
            while any(site.link.report() is None for site in sites):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)
        yield sites


@asynccontextmanager
async def _site(name: str, miners: int) -> AsyncIterator[RealSite]:
    words = ("--site", name, "--miners", str(miners))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._programme_real", *words), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(READY_S):
            ready = json.loads(await child.stdout.readline()) if child.stdout is not None else {}
        host, _, at = ready["broker"].rpartition(":")
        voice = Voice(op=OP, site=name, kid=ready["kid"], seed=seed_in(Path(ready["key"])))
        clock = SystemClock()
        refused: list[Refusal] = []
        gate = _gate(name, ready["site_key"], refused)
        address, book = BrokerAddress(host=host, port=int(at)), Book(epoch=clock.now_ms() // 1_000)
        console = Console(address, voice, book, clock, gate=gate)
        unit = SiteUnit(UnitTerms(programme="surplus-dispatch", firm_w=miners * RATED_W), console)
        running = asyncio.ensure_future(unit.run())
        try:
            yield RealSite(unit, miners * RATED_W)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if refused:
            raise RuntimeError(f"{name}: {len(refused)} of its own messages were refused: {refused[0].detail}")
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


def _gate(site: str, public_key: str, refused: list[Refusal]) -> Gate:
    """As headquarters has it."""

    async def refuse(refusal: Refusal) -> None:
        refused.append(refusal)

    keys = Keyring(keys={"site": IssuerKey(public=base64.b64decode(public_key))})
    return Gate(GateTerms(site=site, root=f"site/v1/{site}", keys=keys, stale_ms=30_000), refuse)


async def _serve(site: str, miners: int) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def speaks(seat: Seat) -> int:
        if seat.keys is None:
            raise ValueError("expected a signed demo")
        grid = seat.keys.grid
        told = {"broker": seat.broker, "key": str(grid.file), "kid": grid.kid, "site_key": seat.keys.site.public_key}
        print(json.dumps(told), flush=True)
        await stop.wait()
        return 0

    return await beside_demo(miners, speaks, say=lambda _text: None, site=site)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", required=True)
    parser.add_argument("--miners", type=int, required=True)
    asked = parser.parse_args()
    configure_logs(least=logging.ERROR)
    sys.exit(asyncio.run(_serve(asked.site, asked.miners)))
