"""A site as headquarters sees it: a capability curve, bounds, ramps, and how old all that is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from farmctl.core.units import FloatColumn

MOST_POINTS = 50


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Curve:
    """What a site makes of its watts: segments from its least power upwards."""

    power_w: FloatColumn
    """Shape (points,), W, rising; the first is the least power of the site, the last its most."""
    marginal_hs_per_w: FloatColumn
    """Shape (points,), H/s per W of the segment that ends there; the first is not used."""

    def __post_init__(self) -> None:
        """Refuse what is no curve; raises ValueError."""
        points = len(self.power_w)
        if not 1 <= points <= MOST_POINTS or self.marginal_hs_per_w.shape != (points,):
            raise ValueError(f"curve of {points} points: expected 1 to {MOST_POINTS}, each with its marginal")
        if not np.isfinite(self.power_w).all() or (self.power_w < 0).any() or (np.diff(self.power_w) < 0).any():
            raise ValueError("curve: expected finite watts that never fall")
        if not np.isfinite(self.marginal_hs_per_w[1:]).all():
            raise ValueError("curve: expected a finite marginal for each segment")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Site:
    """One unit of the programme, as last reported."""

    name: str
    curve: Curve
    confirmed_w: float
    """What its meter last confirmed, W."""
    age_s: float
    """Since that report, s."""
    granted_w: float
    """The most it may draw by any figure it was sent, from the last one that it acknowledged on, W."""
    up_w_per_s: float
    down_w_per_s: float
    floor_w: float = 0.0
    """Contract: not less than this as long as the figure allows, W."""
    veto_w: float = field(default=float("inf"))
    """The site's own limit, W; always wins."""

    @property
    def min_w(self) -> float:
        """The least it can be told, W."""
        return float(self.curve.power_w[0])

    @property
    def max_w(self) -> float:
        """The most it can take, W."""
        return float(self.curve.power_w[-1])

    @property
    def worst_w(self) -> float:
        """What it must be counted at while nobody hears from it: it may be anywhere up to what it was granted."""
        return max(self.confirmed_w, self.granted_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a site can be told now, and why not more or less."""

    low_w: float
    high_w: float
    low_why: str
    high_why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a programme treats all its sites."""

    stale_s: float = 30.0
    """A report older than this fixes its site at its worst power."""
    ahead_s: float = 10.0
    """The ramp is granted this far ahead, s: about the time until a site has confirmed."""


def bounds(site: Site, terms: Terms, *, emergency: bool = False, held: bool = False) -> Bounds:
    """Range of one site, W.  In an emergency nothing but its least power holds it up; `held` forbids raising.

    Floors never stand against a veto, nor a ramp against a site's own limit.
    """
    if site.age_s > terms.stale_s:
        return Bounds(low_w=site.worst_w, high_w=site.worst_w, low_why="stale", high_why="stale")
    ramp_w = site.confirmed_w + site.up_w_per_s * terms.ahead_s
    ceilings = [(site.max_w, "full"), (max(ramp_w, site.min_w), "ramp_up"), (site.veto_w, "veto")]
    if held:
        # Not what it draws: a site a little below its figure would be led down step by step while it waits.
        ceilings.append((max(site.granted_w, site.min_w), "restore_wait"))
    high_w, high_why = min(ceilings)
    floors = [(site.min_w, "least")]
    if not emergency:
        floors += [(site.confirmed_w - site.down_w_per_s * terms.ahead_s, "ramp_down"), (site.floor_w, "floor")]
    low_w, low_why = max(floors)
    if low_w > high_w:
        low_w, low_why = high_w, high_why
    return Bounds(low_w=low_w, high_w=high_w, low_why=low_why, high_why=high_why)
