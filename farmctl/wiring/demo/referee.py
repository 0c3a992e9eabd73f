"""The demo's referee: reads the simulated meter on a line of its own and judges what the controller achieved."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from farmctl.core.grid import EventState, GridEvent
from farmctl.core.memory import Standing
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.engine.cycle import Picture
from farmctl.ports.site import Clock, Meter

SAMPLE_S = 0.5
TEN_SECONDS_MS = 10_000
MINUTE_MS = 60_000
LIMIT_BAND = 0.01


@dataclass(slots=True)
class Story:
    """One event as it went."""

    event: GridEvent
    state: EventState
    active_ms: int | None = None
    reached_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """How close the meter stayed to what was asked, in percent of what was asked."""

    errors_pct: tuple[float, ...]

    @property
    def mean_pct(self) -> float | None:
        """Mean absolute error; None without samples."""
        return round(statistics.fmean(self.errors_pct), 3) if self.errors_pct else None

    @property
    def p95_pct(self) -> float | None:
        """95th percentile of the absolute error."""
        if not self.errors_pct:
            return None
        return round(sorted(self.errors_pct)[min(int(0.95 * len(self.errors_pct)), len(self.errors_pct) - 1)], 3)


@dataclass(slots=True)
class Referee:
    """Keeps meter samples and event stories; judges at the end."""

    meter: Meter
    clock: Clock
    samples: list[tuple[int, float]] = field(default_factory=list)
    """(ms, W) as the meter showed."""
    asked: list[tuple[int, float | None, float]] = field(default_factory=list)
    """(ms, set-point after clamping or None, effective limit) of every cycle."""
    stories: dict[str, Story] = field(default_factory=dict)
    alarms: set[str] = field(default_factory=set)
    issued: int = 0
    confirmed: int = 0
    given_up: int = 0
    still_open: int = 0

    async def run(self) -> None:
        """Sample until cancelled."""
        try:
            while True:
                sample = await self.meter.read()
                if sample.quality is Quality.OK:
                    self.samples.append((sample.at_ms, sample.power_w))
                await self.clock.sleep(SAMPLE_S)
        finally:
            await asyncio.shield(self.meter.close())

    def see(self, picture: Picture) -> None:
        """Take in one cycle."""
        decision = picture.decision
        setpoint_w = decision.budget.target_w if decision.budget.event_id else None
        self.asked.append((decision.at_ms, setpoint_w, decision.budget.ceiling_w))
        self.alarms.update(alarm.alarm for alarm in picture.alarms)
        self.issued += sum(command.attempt == 1 for command in decision.commands)
        self.confirmed += int(decision.seen.confirmed.sum())
        self.given_up += int(decision.seen.gave_up.sum())
        self.still_open = int((picture.memory.rows.standing == Standing.PENDING).sum())
        for track in picture.memory.tracks:
            event = track.event
            story = self.stories.setdefault(event.event_id, Story(event, track.state))
            story.event, story.state = event, track.state
            if track.live and story.active_ms is None:
                story.active_ms = decision.at_ms
            if track.state is EventState.REACHED and story.reached_ms is None:
                story.reached_ms = decision.at_ms

    def tracking(self, only: str | None = None) -> Tracking:
        """Errors of every sample in an event's own time, after its response window, against what it could ask."""
        errors: list[float] = []
        for story in self.stories.values():
            if only is None or story.event.event_id == only:
                errors += self._errors(story)
        return Tracking(errors_pct=tuple(errors))

    def end_error_pct(self, event_id: str) -> float | None:
        """How far the mean of its last ten seconds was from the set-point, percent of it; None before they are over."""
        event = self.stories[event_id].event
        last = event.intervals[-1]
        until_ms = min(last.end_ms, event.expires_ms)
        inside = [power_w for at_ms, power_w in self.samples if until_ms - TEN_SECONDS_MS <= at_ms < until_ms]
        if last.setpoint_w is None or not inside or self.samples[-1][0] < until_ms:
            return None
        asked_w = max(min([last.setpoint_w, *self._limits_w(until_ms - 1)]), 1.0)
        return round(abs(statistics.fmean(inside) - asked_w) / asked_w * 100.0, 3)

    def limit_violations(self) -> int:
        """10-s means above the limit + 1 % and 1-min means above it, after the response window of each limit."""
        count = 0
        for story in self.stories.values():
            for interval in story.event.intervals:
                if interval.limit_w is None or story.active_ms is None:
                    continue
                since_ms = interval.start_ms + int(story.event.respond_within_s * MS_PER_S)
                until_ms = min(interval.end_ms, story.event.expires_ms)
                inside = [s for s in self.samples if since_ms <= s[0] < until_ms]
                count += _means_above(inside, TEN_SECONDS_MS, interval.limit_w * (1 + LIMIT_BAND))
                count += _means_above(inside, MINUTE_MS, interval.limit_w)
        return count

    def _errors(self, story: Story) -> list[float]:
        if story.active_ms is None:
            return []
        found: list[float] = []
        for interval in story.event.intervals:
            until_ms = min(interval.end_ms, story.event.expires_ms)
            if interval.setpoint_w is None:
                continue
            for at_ms, power_w in self.samples:
                if interval.start_ms <= at_ms < until_ms and self._due(story.event, at_ms):
                    asked_w = min([interval.setpoint_w, *self._limits_w(at_ms)])
                    found.append(abs(power_w - asked_w) / max(asked_w, 1.0) * 100.0)
        return found

    def _due(self, event: GridEvent, at_ms: int) -> bool:
        """The response window of the order in force at that moment is over; a limit's start or end is a new order."""
        changes = [(event.intervals[0].start_ms, event.respond_within_s)]
        for other in self.stories.values():
            for interval in other.event.intervals:
                end_ms = min(interval.end_ms, other.event.expires_ms)
                if interval.limit_w is not None:
                    changes += [(interval.start_ms, other.event.respond_within_s), (end_ms, event.respond_within_s)]
        return all(not start_ms <= at_ms < start_ms + within_s * MS_PER_S for start_ms, within_s in changes)

    def _limits_w(self, at_ms: int) -> list[float]:
        """Limits in force at a moment, W: a lower limit is the better order."""
        return [
            interval.limit_w
            for story in self.stories.values()
            for interval in story.event.intervals
            if interval.limit_w is not None
            and interval.start_ms <= at_ms < min(interval.end_ms, story.event.expires_ms)
        ]


def event_rows(referee: Referee) -> list[dict[str, object]]:
    """Every event in the order in which it began."""
    rows: list[dict[str, object]] = []
    for story in sorted(referee.stories.values(), key=lambda s: s.event.start_ms):
        first = story.event.intervals[0]
        reached_s = None
        if story.reached_ms is not None:
            reached_s = round(max(story.reached_ms - first.start_ms, 0) / MS_PER_S, 1)
        rows.append(
            {
                "id": story.event.event_id,
                "state": story.state.value,
                "target_kw": _kw(first.setpoint_w),
                "limit_kw": _kw(first.limit_w),
                "reached_s": reached_s,
                "mean_error_pct": referee.tracking(story.event.event_id).mean_pct,
                "p95_error_pct": referee.tracking(story.event.event_id).p95_pct,
                "end_error_pct": referee.end_error_pct(story.event.event_id),
            }
        )
    return rows


def percentile_ms(seconds: Iterable[float], share: float) -> float | None:
    """A percentile in milliseconds; None without values."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)] * MS_PER_S, 1)


def _means_above(samples: Sequence[tuple[int, float]], window_ms: int, bound_w: float) -> int:
    """Number of non-overlapping full windows whose mean is above the bound."""
    if not samples:
        return 0
    count, start_ms = 0, samples[0][0]
    while start_ms + window_ms <= samples[-1][0] + MS_PER_S:
        inside = [power_w for at_ms, power_w in samples if start_ms <= at_ms < start_ms + window_ms]
        count += bool(inside) and statistics.fmean(inside) > bound_w
        start_ms += window_ms
    return count


def _kw(power_w: float | None) -> float | None:
    return None if power_w is None else round(power_w / WATTS_PER_KW, 1)
