"""Sites of a programme that are not heard."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition
from farmctl.core.units import MS_PER_S, to_kw
from farmctl.ports.programme import ProgrammePicture


@dataclass(slots=True, kw_only=True)
class ProgrammeWatch:
    """One look at every site."""

    shown: Callable[[], ProgrammePicture | None]
    stale_s: float
    _first_ms: int | None = None
    """Of the first look: a site has so long from then on to be heard at all."""

    def look(self, now_ms: int) -> Sequence[Condition]:
        """site_silent, one for each site that is not heard."""
        shown = self.shown()
        if self._first_ms is None:
            self._first_ms = now_ms
        if now_ms - self._first_ms < self.stale_s * MS_PER_S:
            return ()
        return tuple(
            Condition(alarm="site_silent", priority=2, where=site.name, detail=_told(site.age_s, site.worst_w))
            for site in (() if shown is None else (unit.site for unit in shown.units))
            if site.age_s > self.stale_s
        )


def _told(age_s: float, worst_w: float) -> str:
    since = f"silent for {age_s:.0f} s" if math.isfinite(age_s) else "never heard"
    return f"{since}, counts at {to_kw(worst_w):g} kW"
