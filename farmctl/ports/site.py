"""The site around the miners: its meters and its clock."""

from __future__ import annotations

from typing import Protocol

from farmctl.core.fleet import MeterSample


class Meter(Protocol):
    """A power meter."""

    name: str

    async def read(self) -> MeterSample:
        """One sample; a silent meter gives quality MISSING, it does not raise."""
        ...

    async def close(self) -> None:
        """Release the connection."""
        ...


class Clock(Protocol):
    """Time for the shell; the core is told."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
