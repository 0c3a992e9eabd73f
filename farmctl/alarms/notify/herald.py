"""What a new picture tells that the one before did not: alarms, events, modes, overrides, floods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from farmctl.alarms.notify.message import Message
from farmctl.core.alarms import Alarm, AlarmKind, AlarmState
from farmctl.core.events import EventTrack
from farmctl.core.grid import EventState, SiteMode
from farmctl.core.model import Override
from farmctl.core.units import WATTS_PER_KW
from farmctl.ports.control import SitePicture

S = EventState
_EVENTS: dict[EventState, tuple[str, str]] = {
    S.SCHEDULED: ("armed", "is armed"),
    S.ACTIVE: ("started", "has started"),
    S.REACHED: ("reached", "target reached"),
    S.DEVIATING: ("missed", "MISSES its target"),
    S.FAILED: ("missed", "has ended, target MISSED"),
    S.COMPLETED: ("released", "is over"),
    S.CANCELLED: ("released", "was withdrawn"),
    S.REJECTED: ("refused", "was refused"),
}
"""State of an event -> state of the message, and words."""
_FAILSAFE = frozenset({SiteMode.FAILSAFE, SiteMode.INIT_FAILSAFE})
_RAISED = frozenset({AlarmState.UNACK, AlarmState.ACK})


@dataclass(slots=True, kw_only=True)
class Herald:
    """Told of every picture; remembers what it has told."""

    kinds: Mapping[str, AlarmKind]
    runbooks: str = "docs/runbooks/"
    """What stands before the name of a page."""
    dashboard: str = ""
    _raised: dict[str, Alarm] | None = None
    """Annunciated alarms of the picture before; None before the first."""
    _mode: SiteMode | None = None
    _flooded: bool = False
    _overrides: frozenset[str] = frozenset()
    _events: dict[str, str] = field(default_factory=dict)
    """Event -> state of its last message."""

    def news(self, picture: SitePicture) -> list[Message]:
        """Messages of one picture, most urgent first."""
        at_ms = picture.decision.at_ms
        told = [
            *self._alarms(picture, at_ms),
            *self._moves(picture, at_ms),
            *self._modes(picture, at_ms),
            *self._orders(picture, at_ms),
            *self._floods(picture, at_ms),
        ]
        linked = (replace(message, dashboard=self.dashboard) for message in told)
        return sorted(linked, key=lambda message: message.priority or 5)

    def _alarms(self, picture: SitePicture, at_ms: int) -> Iterator[Message]:
        """Raised ones of this run and those that were up at its start; returned ones once each."""
        now = {alarm.key: alarm for alarm in picture.board.alarms if alarm.state in _RAISED}
        before = self._raised if self._raised is not None else {}
        for key in sorted(now.keys() - before.keys()):
            yield self._alarm(now[key], "raised", at_ms)
        for key in sorted(before.keys() - now.keys()):
            yield self._alarm(before[key], "returned", at_ms)
        self._raised = now

    def _alarm(self, alarm: Alarm, state: str, at_ms: int) -> Message:
        kind = self.kinds[alarm.alarm]
        title = f"{alarm.alarm} at {alarm.where}: {kind.summary}"
        return Message(
            kind="alarm", key=alarm.key, state=state, at_ms=at_ms, priority=alarm.priority, where=alarm.where,
            title=title if state == "raised" else f"{alarm.alarm} at {alarm.where} is back to normal",
            detail=alarm.detail, since_ms=alarm.raised_ms, cause=kind.cause, consequence=kind.consequence,
            response=kind.response if state == "raised" else "", runbook=f"{self.runbooks}{kind.alarm}",
        )  # fmt: skip

    def _moves(self, picture: SitePicture, at_ms: int) -> Iterator[Message]:
        for move in picture.decision.transitions:
            track = move.track
            state, words = _EVENTS.get(track.state, ("", ""))
            if not state or self._events.get(track.event.event_id) == state:
                continue
            self._events[track.event.event_id] = state
            yield Message(
                kind="event", key=track.event.event_id, state=state, at_ms=at_ms, where=track.event.source,
                title=f"event {track.event.event_id} {words}", detail=_asked(track), since_ms=track.since_ms,
            )  # fmt: skip
        known = {track.event.event_id for track in picture.memory.tracks}
        self._events = {event: state for event, state in self._events.items() if event in known}

    def _modes(self, picture: SitePicture, at_ms: int) -> Iterator[Message]:
        mode, before = picture.decision.mode, self._mode
        self._mode = mode
        if before is None or mode is before:
            return
        state = "changed"
        title = f"mode {before.value} -> {mode.value}"
        if mode in _FAILSAFE:
            state, title = "failsafe_entered", f"fail-safe entered ({mode.value})"
        elif before in _FAILSAFE:
            state, title = "failsafe_left", f"fail-safe left, now {mode.value}"
        detail = f"target {picture.decision.budget.target_w / WATTS_PER_KW:.0f} kW"
        yield Message(kind="mode", key="mode", state=state, at_ms=at_ms, title=title, detail=detail)

    def _orders(self, picture: SitePicture, at_ms: int) -> Iterator[Message]:
        now = {order.override_id: order for order in picture.view.overrides}
        for override_id in sorted(now.keys() - self._overrides):
            order = now[override_id]
            yield Message(
                kind="override", key=override_id, state="set", at_ms=at_ms,
                title=f"{order.owner} holds {_held(order)} at {order.target_w / WATTS_PER_KW:.1f} kW",
                detail=order.reason,
            )  # fmt: skip
        for override_id in sorted(self._overrides - now.keys()):
            yield Message(
                kind="override", key=override_id, state="over", at_ms=at_ms,
                title=f"override {override_id} is over: automation resumes",
            )  # fmt: skip
        self._overrides = frozenset(now)

    def _floods(self, picture: SitePicture, at_ms: int) -> Iterator[Message]:
        flooded = picture.board.flooded
        if flooded != self._flooded:
            state, title = (
                ("began", "alarm flood: P3 and P4 are shown as counts") if flooded else ("over", "flood over")
            )
            yield Message(kind="flood", key="flood", state=state, at_ms=at_ms, title=title)
        self._flooded = flooded


def _held(order: Override) -> str:
    """What an override is about."""
    if order.miners:
        return f"each of {len(order.miners)} miners" if len(order.miners) > 1 else order.miners[0]
    return order.selector or "the site"


def _asked(track: EventTrack) -> str:
    interval = track.event.intervals[0]
    asked = [
        f"{word} {watts / WATTS_PER_KW:.0f} kW"
        for word, watts in (("limit", interval.limit_w), ("set-point", interval.setpoint_w))
        if watts is not None
    ]
    return ", ".join(asked)
