"""The machine's clocks behind the Clock port."""

from __future__ import annotations

import asyncio
import time

from typing_extensions import override

from farmctl.core.units import MS_PER_S
from farmctl.ports.site import Clock


class SystemClock(Clock):
    """Wall time for stamps, monotonic time for durations."""

    @override
    def now_ms(self) -> int:
        return int(time.time() * MS_PER_S)

    @override
    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
