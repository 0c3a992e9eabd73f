"""The demo without its dispatcher, while somebody else plays the grid."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from farmctl.wiring.demo.play import DemoPlan, default_port_base, play
from farmctl.wiring.demo.seat import Seat

SEED = 1
FAILED = 1
"""What a shell calls an error; why is what the demo raises."""


async def beside_demo(
    miners: int,
    speaks: Callable[[Seat], Awaitable[int]],
    *,
    say: Callable[[str], None],
    port_base: int | None = None,
    site: str = "demo",
) -> int:
    """Run a signed demo farm while `speaks` does; what that returned."""
    stop = asyncio.Event()
    seat: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
    plan = DemoPlan(
        miners=miners,
        seed=SEED,
        for_s=None,
        faults=False,
        port_base=default_port_base() if port_base is None else port_base,
        say=say,
        picture=lambda _picture: None,
        dispatcher=seat.set_result,
        signed=True,
        site=site,
    )
    playing = asyncio.ensure_future(play(plan, stop))
    try:
        either: list[asyncio.Future[Any]] = [playing, seat]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return await speaks(seat.result()) if seat.done() else FAILED
    finally:
        stop.set()
        await playing
