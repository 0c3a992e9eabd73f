"""Headquarters and its sites: what one site reports, what it is told, and the link between the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farmctl.core.grid import SiteMode
from farmctl.core.model import Quality
from farmctl.core.programme.governor import Wanted
from farmctl.core.programme.sites import Site
from farmctl.core.programme.split import Share, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """A site as it last told itself, W."""

    at_ms: int
    """When it was heard here: a site's own clock proves nothing."""
    power_w: float
    min_w: float
    max_w: float
    ramp_up_w_per_s: float
    ramp_down_w_per_s: float
    up_available_w: float
    down_available_w: float
    hash_rate_hs: float
    mode: SiteMode
    quality: Quality
    on: int
    throttled: int
    sleep: int
    offline: int
    own_limit_w: float = float("inf")
    """The lowest limit there that is not ours: its rating, its operators, another party."""
    curve_w: tuple[float, ...] = ()
    """Capability curve; empty: the site tells none."""
    curve_hs_per_w: tuple[float, ...] = ()
    down_w_in_s: Mapping[int, float] = field(default_factory=dict)
    up_w_in_s: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOrder:
    """What a site is to draw: its set-point and at once its import limit."""

    number: int
    """Grows with every order."""
    share_w: float
    emergency: bool
    holds_s: int
    """Validity; the site falls to its own fail-safe level when nobody renews it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """How the link to a site is."""

    connected: bool
    asked_w: float | None
    """The newest figure that was sent; None: none yet."""
    acked_w: float | None
    """The newest figure that the site accepted."""
    refused: str
    """Why the site refused the newest figure; empty: it did not."""


class SiteLink(Protocol):
    """The way from headquarters to one site; the contract of any grid operator."""

    name: str

    async def run(self) -> None:
        """Listen and send until cancelled; reconnects for ever."""
        ...

    def want(self, order: ShareOrder) -> None:
        """The newest figure; sent as soon as the link allows, an older one that waits is dropped."""
        ...

    def report(self) -> SiteReport | None:
        """The site as last heard; None before it has spoken."""
        ...

    def granted_w(self) -> float:
        """The most it may draw by any figure it was sent, from the last one that it accepted on, W."""
        ...

    def view(self) -> LinkView:
        """For people."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """One site for people: what it is told and why, what it does, how its link is."""

    name: str
    rated_w: float
    share: Share
    site: Site
    report: SiteReport | None
    link: LinkView


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammePicture:
    """The whole programme after one turn."""

    at_ms: int
    wanted: Wanted
    split: Split
    units: tuple[UnitView, ...]
