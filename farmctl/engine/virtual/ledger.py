"""What a day came to: every event with its outcome, the tracking error, and where a limit was broken.

Judged against the true power of the modelled site, not against what the controller believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from farmctl.core.events import EventTrack
from farmctl.core.grid import EventState, GridEvent
from farmctl.core.memory import Memory
from farmctl.core.step import Decision
from farmctl.core.units import MS_PER_S, WATTS_PER_KW

LIMIT_BAND = 0.01
"""N6: no 10-s mean above the limit + 1 %, no 1-min mean above the limit."""
WINDOWS_S = ((10.0, 1.0 + LIMIT_BAND), (60.0, 1.0))


@dataclass(slots=True)
class Window:
    """A mean in the making."""

    length_s: float
    bound: float
    seconds: float = 0.0
    joules: float = 0.0

    def take(self, power_w: float, dt_s: float, limit_w: float) -> int:
        """Add a stretch; 1 where it ends a mean above the bound."""
        self.seconds += dt_s
        self.joules += power_w * dt_s
        if self.seconds < self.length_s:
            return 0
        above = self.joules / self.seconds > self.bound * limit_w
        self.seconds = self.joules = 0.0
        return int(above)


@dataclass(slots=True)
class Story:
    """One event as it went."""

    event: GridEvent
    state: EventState
    reached_ms: int | None = None
    error_s: float = 0.0
    """Absolute relative error times seconds."""
    seconds: float = 0.0
    windows: tuple[Window, ...] = ()

    def told(self) -> dict[str, object]:
        """As `farmctl demo` and `farmctl simulate` print it."""
        first = self.event.intervals[0]
        reached_s = None if self.reached_ms is None else max(self.reached_ms - first.start_ms, 0) / MS_PER_S
        return {
            "id": self.event.event_id,
            "state": self.state.value,
            "target_kw": _kw(first.setpoint_w),
            "limit_kw": _kw(first.limit_w),
            "reached_s": None if reached_s is None else round(reached_s, 1),
            "mean_error_pct": round(100.0 * self.error_s / self.seconds, 3) if self.seconds else None,
        }


@dataclass(slots=True)
class Ledger:
    """Takes every cycle, with the power of the stretch that led to it."""

    stories: dict[str, Story] = field(default_factory=dict)
    errors: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    violations: int = 0
    peak_w: float = 0.0
    joules: float = 0.0
    hashes: float = 0.0
    sent: int = 0
    retried: int = 0
    confirmed: int = 0
    given_up: int = 0
    cycles: int = 0
    seconds: float = 0.0

    def stretch(self, memory: Memory, before: Decision, power_w: float, dt_s: float) -> None:
        """The site drew `power_w` for `dt_s` under the last decision."""
        self.seconds += dt_s
        self.joules += power_w * dt_s
        self.peak_w = max(self.peak_w, power_w)
        end_ms = before.at_ms + round(dt_s * MS_PER_S)
        budget = before.budget
        for track in memory.tracks:
            story = self._story(track)
            interval = track.event.at(before.at_ms)
            if interval is None or not track.live:
                continue
            due_ms = interval.start_ms + track.event.respond_within_s * MS_PER_S
            if end_ms <= due_ms:
                continue
            if interval.limit_w is not None:
                self.violations += sum(window.take(power_w, dt_s, interval.limit_w) for window in story.windows)
            if interval.setpoint_w is not None and track.event.event_id == budget.event_id:
                asked_w = max(budget.target_w, 1.0)
                error = abs(power_w - asked_w) / asked_w
                story.error_s += error * dt_s
                story.seconds += dt_s
                self.errors.append(error)
                self.weights.append(dt_s)

    def decided(self, memory: Memory, decision: Decision) -> None:
        """Take in one cycle."""
        self.cycles += 1
        self.sent += len(decision.commands)
        self.retried += sum(command.attempt > 1 for command in decision.commands)
        self.confirmed += int(decision.seen.confirmed.sum())
        self.given_up += int(decision.seen.gave_up.sum())
        for track in memory.tracks:
            self._story(track)
        for move in decision.transitions:
            story = self._story(move.track)
            if move.track.state is EventState.REACHED and story.reached_ms is None:
                story.reached_ms = decision.at_ms

    def tracking(self) -> dict[str, float | int | None]:
        """Mean and 95th percentile of the error after each response window, percent, weighted by time."""
        if not self.errors:
            return {"mean_error_pct": None, "p95_error_pct": None, "samples": 0}
        error, weight = np.array(self.errors), np.array(self.weights)
        order = np.argsort(error)
        share = np.cumsum(weight[order]) / weight.sum()
        p95 = error[order][min(int(np.searchsorted(share, 0.95)), len(error) - 1)]
        mean = float((error * weight).sum() / weight.sum())
        return {
            "mean_error_pct": round(100.0 * mean, 3),
            "p95_error_pct": round(100.0 * float(p95), 3),
            "samples": len(error),
        }

    def events(self) -> list[dict[str, object]]:
        """Every event in the order in which it began."""
        return [story.told() for story in sorted(self.stories.values(), key=lambda story: story.event.start_ms)]

    def _story(self, track: EventTrack) -> Story:
        event = track.event
        story = self.stories.get(event.event_id)
        if story is None:
            windows = tuple(Window(length_s, bound) for length_s, bound in WINDOWS_S)
            story = self.stories[event.event_id] = Story(event, track.state, windows=windows)
        story.event, story.state = event, track.state
        return story


def _kw(power_w: float | None) -> float | None:
    return None if power_w is None else round(power_w / WATTS_PER_KW, 1)
