"""What the glass sees: one image of the site after another, the state of the link, and a way to ask and to order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from farmctl.core.units import FloatColumn, IdColumn, IntColumn, MaskColumn
from farmctl.errors import RefusedError


class SiteMovedError(RefusedError):
    """The site is no longer the one that the order was previewed on: it takes another look."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Words:
    """A column of few different words: a code per row, and the words that the codes stand for."""

    codes: NDArray[np.integer[Any]]
    """Shape (rows,), index into `words`."""
    words: tuple[str, ...]
    """Grows while an epoch lasts, never reorders; an empty word is unknown."""

    def array(self) -> IdColumn:
        """The words themselves, shape (rows,)."""
        column: IdColumn = np.array(self.words or ("",), dtype=np.str_)[self.codes]
        return column

    def where(self, word: str) -> MaskColumn:
        """Rows that hold one word, shape (rows,)."""
        if word not in self.words:
            return np.zeros(len(self.codes), dtype=np.bool_)
        return np.asarray(self.codes == self.words.index(word), dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One grid event as listed."""

    id: str
    source: str
    event_class: str
    state: str
    reason: str | None
    priority: int
    start: str | None
    """ISO 8601, UTC; None for never."""
    end: str | None
    starts_in_s: float
    """When the image was made."""
    ends_in_s: float
    limit_kw: float | None
    setpoint_kw: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideView:
    """One operator's override that is in force."""

    id: str
    owner: str
    reason: str
    target_kw: float
    selector: str
    set_at: str | None
    expires_at: str | None
    miners: int = 0
    """So many single miners, each at `target_kw`; 0: the site, or the circuit of `selector`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """Who holds manual authority."""

    owner: str
    reason: str
    taken_at: str | None
    expires_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachView:
    """What the site could give up or take on within one horizon."""

    within_s: float
    down_kw: float
    up_kw: float
    confidence: float
    """Share of the commandable power that answers and follows, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """One process of a site of several."""

    name: str
    role: str
    seen_s: float
    shards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewView:
    """The processes of a site, and which of them decides."""

    leader: str
    members: tuple[MemberView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StripView:
    """The status strip: everything that `GET /v1/state` says; None is unknown."""

    site: str
    timezone: str
    mode: str
    authority: str
    """`grid`, `operator` or `site`."""
    armed: bool
    stop_all: bool
    maintenance: bool
    power_kw: float
    target_kw: float
    limit_kw: float
    rated_kw: float
    deviation_kw: float
    deviation_pct: float
    in_band: bool
    unconfirmed_kw: float
    reason: str
    reason_help: str
    limit_reason: str
    limit_source: str
    meter_quality: str
    signal_age_s: float | None
    event: EventView | None
    """The event that decides, else the next one."""
    hash_rate_ths: float
    miners: Mapping[str, int]
    """`total`, and one count per state word."""
    alarms: Mapping[str, int]
    """`p1` to `p4` (active), `unack`, `shelved`, `suppressed`."""
    flood: bool
    """P3 and P4 are shown as counts."""
    overrides: tuple[OverrideView, ...]
    lease: LeaseView | None
    reach: tuple[ReachView, ...] = ()
    """Shortest horizon first; empty: not told."""
    crew: CrewView | None = None
    """None: one process does everything."""
    sites: int = 0
    """Sites of a programme whose headquarters this is; 0: it has miners of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmView:
    """One alarm that is not back to normal, or is hidden and why."""

    id: str
    """`ALARM@WHERE`: what `POST /v1/alarms/ID/ack` names (percent-encoded)."""
    alarm: str
    priority: int
    where: str
    state: str
    """`UNACK`, `ACK`, `RTN_UNACK`, `SHELVED`, `SUPPRESSED`, `OUT_OF_SERVICE`."""
    holds: bool
    """The condition is true now."""
    valid: bool
    """False: its data cannot be trusted, the state is held and shown with `?`."""
    since: str | None
    """When it was raised, ISO 8601."""
    detail: str
    """Value and limit."""
    cause: str
    consequence: str
    response: str
    runbook: str
    n: int
    """Members of a common cause; 1 for a single one."""
    count: int
    """Times it came back while it was open."""
    owner: str
    """Who acknowledged or shelved it; empty for nobody."""
    note: str
    """The reason of that person, or why it is suppressed."""
    shelved_until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One order that was taken, with its progress."""

    id: str
    verb: str
    owner: str
    reason: str
    at: str | None
    elapsed_s: float
    state: str
    text: str
    progress: Mapping[str, float | int | None] | None
    """`asked_kw`, `moved_kw`, `total`, `ok`, `failed`, `pending`; None before there is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """One container summed up."""

    name: str
    miners: int
    states: Mapping[str, int]
    power_kw: float
    hash_rate_ths: float
    hottest_c: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitView:
    """One node of the limit tree."""

    name: str
    parent: str
    """Empty for the root."""
    rating_kw: float | None
    load_kw: float
    meter_kw: float | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FleetImage:
    """The whole site at one revision; the arrays are read-only and shared with no later image."""

    rev: int
    epoch: str
    """A row number holds for as long as this does not change."""
    at_ms: int
    """When the cycle decided, by the controller's clock; ages are counted from here."""
    ids: tuple[str, ...]
    numbers: Mapping[str, FloatColumn]
    """NaN is unknown. `power_w`, `want_w`, `hash_rate_hs`, `temperature_c`, `seen_ms` (epoch ms), `tier`,
    `fan_rpm` (the slowest), `limit_c` (where it protects itself; margin = limit_c - temperature_c), `since_ms`."""
    words: Mapping[str, Words]
    """`state`, `want`, `reason`, `container`, `rack`, `slot`, `model`, `firmware`, `circuit`, `host`, `protected`,
    `pool`, `fault` (empty: none), `phase`."""
    changed: IntColumn | None
    """Rows that differ from the image before; None: anything may."""
    strip: StripView
    alarms: tuple[AlarmView, ...]
    """Worst first, unacknowledged before acknowledged."""
    events: tuple[EventView, ...]
    jobs: tuple[JobView, ...]
    """Newest first."""
    containers: tuple[ContainerView, ...]
    circuits: tuple[CircuitView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How the link to the controller is; told on every change and once a second while it is down."""

    up: bool
    age_s: float
    """Since the last byte; 0 while it is up."""
    attempt: int
    """Number of the try under way; 0 while it is up."""
    why: str
    """What is wrong, empty while it is up."""


class Feed(Protocol):
    """The controller as the glass knows it."""

    async def run(self, on_image: Callable[[FleetImage], None], on_link: Callable[[LinkState], None]) -> None:
        """Tell every image and every change of the link until cancelled; reconnects for ever, never raises for it.

        Both are called on the loop that runs this and must not wait.
        """
        ...

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """One question or order: `GET /v1/miners/ID/why`, `POST /v1/commands`, `POST /v1/alarms/ID/ack`, ...

        Raises SilentPeerError where nobody answers, RefusedError (with the controller's words) where it says no,
        SiteMovedError where it says no to what a preview had allowed.
        """
        ...

    def matching(self, image: FleetImage, text: str) -> MaskColumn:
        """Rows that fit a filter such as `state=fault t>85 !cont=C041`, shape (rows,).

        Raises RefusedError that names what was expected.
        """
        ...
