"""What lives as long as the fleet is out of the collector's sight, and nothing that dies in a circle stays."""

from __future__ import annotations

import asyncio
import gc
import weakref

from farmctl.engine.nursery import EVERY_S, NEVER, Nursery
from tests.dst.virtual import LeapingLoop, WallClock


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


def test_survivors_are_frozen_circles_are_collected_and_the_collector_is_left_as_it_was() -> None:
    loop, before = LeapingLoop(), gc.get_threshold()
    nursery = Nursery(WallClock(loop))

    async def story() -> None:
        working = asyncio.ensure_future(nursery.run())
        await asyncio.sleep(0.1)
        assert gc.get_freeze_count() > 1_000
        assert gc.get_threshold()[2] == NEVER
        ring = weakref.ref(Ring())
        await asyncio.sleep(EVERY_S)
        assert ring() is None
        flying = Ring()
        ring = weakref.ref(flying)
        await asyncio.sleep(EVERY_S)
        del flying
        await asyncio.sleep(EVERY_S)
        assert ring() is None, "what was in flight at a look is not frozen"
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    loop.run_until_complete(story())
    loop.close()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
