"""How far the issuer's clock is from ours, told by heartbeats that can come late but never early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from farmctl.core.units import MS_PER_S

MOST_SKEW_MS: Final = 5_000
"""`issuedAt` may be this far ahead of our clock; beyond this offset signed commands are refused (section 7)."""
LATE_FOR_MS: Final = 60 * MS_PER_S
"""Lateness is believed to be a clock only after this: by then the link would be lost for want of fresh heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSamples:
    """What the heartbeats of the last minute said."""

    samples: tuple[tuple[int, int], ...] = ()
    """(heard at ms, issuer's clock less ours in ms), oldest first."""

    def with_sample(self, at_ms: int, offset_ms: int) -> ClockSamples:
        """One more; those of more than a minute ago, or from a clock of ours that was put back, are forgotten."""
        kept = tuple(sample for sample in self.samples if 0 <= at_ms - sample[0] <= LATE_FOR_MS)
        return ClockSamples(samples=(*kept, (at_ms, offset_ms)))

    @property
    def offset_ms(self) -> int:
        """The higher of the last two; where that looks like a late clock, the highest of the last minute.

        A minimum filter over the delay, as NTP's clock filter (RFC 5905 section 10).  A controller on a loaded host
        that heard two heartbeats late in a row refused good events for a wrong clock.
        """
        offsets = [offset for _, offset in self.samples]
        recent = max(offsets[-2:], default=0)
        return recent if recent >= -MOST_SKEW_MS else min(max(offsets), MOST_SKEW_MS)
