"""Screen 5: what did the grid ask, what holds us back, who has overridden it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from typing_extensions import override

from farmctl.ports.feed import LeaseView, StripView
from farmctl.tui.asked import Asked
from farmctl.tui.listed import CIRCUIT_HEAD, EVENT_HEAD, circuit_items, event_item, override_item
from farmctl.tui.modals.order import Ask
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.ahead import PLAN_HEAD, fallback_lines, plan_items
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.trace import Trace
from farmctl.tui.widgets.lines import Lines, rule
from farmctl.tui.widgets.listing import Listing
from farmctl.tui.widgets.trend import Trend
from farmctl.tui.words import megawatts, moment, percent, span

PLAN = "The next 4 hours, by what is known"
EVERY_S = 10.0


class PowerPane(Pane):
    """Trend and facts above; events, overrides and circuits below."""

    def __init__(self, trace: Trace, ask: Ask) -> None:
        super().__init__(id="power")
        self._outlook = Asked(ask=ask, path="/v1/outlook", every_s=EVERY_S)
        self._trend = Trend(trace, id="power-trend")
        self._sight: Sight | None = None
        self._facts = Lines(id="power-facts")
        self._plan = Listing(PLAN, PLAN_HEAD, "nothing is known of the next hours", id="power-plan")
        self._fallback = Lines(id="power-fallback")
        self._events = Listing("Events", EVENT_HEAD, "the grid has asked for nothing", id="power-events")
        self._overrides = Listing("Overrides", id="power-overrides")
        self._circuits = Listing("Circuits", CIRCUIT_HEAD, "no circuit known", id="power-circuits")

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with Horizontal(id="power-top"):
            yield self._trend
            yield self._facts
        with Horizontal(id="power-ahead"):
            yield self._plan
            yield self._fallback
        yield self._events
        yield self._overrides
        yield self._circuits

    def show(self, sight: Sight) -> None:
        """Everything that decides the power."""
        self._sight = sight
        palette, strip = palette_of(self), sight.image.strip
        self._trend.show()
        if self._outlook.due():
            self._load()
        self._tell(sight)
        facts = (
            ("actual", f"{megawatts(strip.power_kw)} MW, meter {strip.meter_quality}"),
            ("target", f"{megawatts(strip.target_kw)} MW: {strip.reason}"),
            ("limit", f"{megawatts(strip.limit_kw)} MW: {strip.limit_reason} {strip.limit_source}".rstrip()),
            ("rated", f"{megawatts(strip.rated_kw)} MW, unconfirmed {megawatts(strip.unconfirmed_kw)}"),
            *_reach(strip),
            ("authority", _authority(sight)),
        )
        self._facts.put(
            [
                (Segment(rule("Now", self._facts.size.width), palette.dim),),
                *((Segment(f" {name:11}", palette.dim), Segment(text, palette.normal)) for name, text in facts),
            ]
        )
        zone = sight.zone
        self._events.put([event_item(event, palette, zone) for event in sight.image.events])
        self._overrides.set_class(bool(strip.overrides), "-any")
        self._overrides.put([override_item(order, palette, zone) for order in strip.overrides])
        self._circuits.put(circuit_items(sight.image.circuits, palette))

    def _tell(self, sight: Sight) -> None:
        palette, asked = palette_of(self), self._outlook
        rated_kw = sight.image.strip.rated_kw
        self._plan.put([*plan_items(asked.answer, asked.why, rated_kw, palette, sight.zone)])
        width, height = self._fallback.size
        self._fallback.put([*fallback_lines(asked.answer, sight.image, palette, width, height)])

    @work(exclusive=True)
    async def _load(self) -> None:
        await self._outlook.fetch()
        if self._sight is not None:
            self._tell(self._sight)

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The circuits."""
        return () if self._sight is None else [asdict(circuit) for circuit in self._sight.image.circuits]

    @override
    def front(self) -> Widget:
        """The circuits."""
        return self._circuits

    @override
    def place(self) -> str:
        """The circuit under the cursor."""
        return self._circuits.cursor_key or "" if self._circuits.has_focus else ""

    @override
    def into(self) -> str:
        """The miners of the circuit under the cursor."""
        return f"circuit={self.place()}" if self.place() else ""

    @override
    def copied(self) -> str:
        """The item under the cursor of the list that has the keyboard."""
        for listing in (self._plan, self._events, self._overrides, self._circuits):
            if listing.has_focus:
                return listing.cursor_key or ""
        return ""


def _reach(strip: StripView) -> Iterator[tuple[str, str]]:
    """What could be given up (v) and taken on (^), by horizon, in MW; the share of the fleet that it counts on."""
    if strip.reach:
        yield "within", " ".join(f"{span(one.within_s).replace('m00', 'm'):>6}" for one in strip.reach)
        yield "give v", " ".join(f"{megawatts(one.down_kw):>6}" for one in strip.reach)
        yield "take ^", " ".join(f"{megawatts(one.up_kw):>6}" for one in strip.reach)
        yield "counted on", f"{percent(strip.reach[0].confidence)} of the fleet"


def _authority(sight: Sight) -> str:
    strip = sight.image.strip
    if strip.lease is not None:
        return _lease(strip.lease, sight)
    heard = "never heard" if strip.signal_age_s is None else f"heard {span(strip.signal_age_s)} ago"
    return f"{strip.authority}, signal {heard}"


def _lease(lease: LeaseView, sight: Sight) -> str:
    return f"lease of {lease.owner} until {moment(lease.expires_at, sight.zone)}: {lease.reason}"
