"""Keeps the garbage collector with the young: what lives as long as the fleet is not walked through at every poll.

Measured with 50,000 miners at 5,000 polls a second: 48 % of the process went into full collections, each of which held
the loop for a second; with 10,000 one took 180 to 250 ms.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc

from farmctl.ports.site import Clock

EVERY_S = 5.0
MANY = 20_000
"""Survivors are frozen only when they are so many (10 to 20 ms a look): a fleet that is first met, slow facts that were
read anew. What is in flight at that moment and dies in a circle later stays for ever: freezing at every look cost
15 MiB in half an hour of broken connections to 2,000 miners."""
YOUNG = 50_000
"""Objects born and alive between two looks at the youngest: 1,500 polls in flight are some 30,000; the default of 700
made these looks an eighth of all CPU."""
MIDDLE = 20
TRIM_EVERY = 6
"""Looks between two returns of free memory to the system: replies come in bursts, and the C library keeps the room of
the largest one (17 MB after the start of 4,000 miners)."""
M_ARENA_MAX, ARENAS = -8, 2
NEVER = 1_000_000
"""The oldest are looked at by `run` alone."""


class Nursery:
    """Collects what is garbage, then takes the survivors out of the collector's sight until they die by themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled; the collector is left as it was found."""
        before = gc.get_threshold()
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        looks = 0
        try:
            while True:
                gc.collect()
                if len(gc.get_objects()) > MANY:  # the frozen are not among them
                    gc.freeze()
                looks += 1
                if looks % TRIM_EVERY == 0:
                    await asyncio.to_thread(_trim)
                await self._clock.sleep(EVERY_S)
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()


def keep_arenas_few() -> None:
    """Before the first thread: the C library gives each one an arena of its own, and every one keeps its largest burst.

    Python lets one of them allocate at a time anyway. mallopt(3); without glibc nothing is done.
    """
    limit = getattr(ctypes.CDLL(None), "mallopt", None)
    if limit is not None:
        limit(M_ARENA_MAX, ARENAS)


def _trim() -> None:
    """Glibc has it; others keep nothing, or do it by themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
