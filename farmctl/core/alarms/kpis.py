"""How well the alarms serve: rates, floods, chattering, stale ones, bad actors, time to acknowledge."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median

from farmctl.core.alarms.board import ACTIVE, HIDDEN, AlarmBoard, AlarmState
from farmctl.core.alarms.life import recent
from farmctl.core.units import DAY_MS

STALE_MS = DAY_MS
WORST = 10
TEN_MIN_PER_DAY = 144


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmKpis:
    """The figures of the last day."""

    raised: int
    raised_in_10_min: int
    per_10_min: float
    """Mean over the day; one is good, two is the most that a person can handle."""
    flood_share: float
    """Share of the day in flood."""
    chattering: int
    stale: int
    """Active for more than a day."""
    shelved: int
    suppressed: int
    bad_actors: tuple[tuple[str, int], ...]
    """The alarms that were raised or damped most often, and how often."""
    ack_median_s: dict[int, float]
    """By priority."""


def kpis(board: AlarmBoard, now_ms: int) -> AlarmKpis:
    """The figures of the day before `now_ms`."""
    raised = [r for r in board.raised if now_ms - r.at_ms < DAY_MS]
    damped = [r for r in board.chattering if now_ms - r.at_ms < DAY_MS]
    spans = [*board.floods, *([(board.flood_ms, now_ms)] if board.flooded else [])]
    flood_ms = sum(max(end - max(start, now_ms - DAY_MS), 0) for start, end in spans)
    states = Counter(alarm.state for alarm in board.alarms)
    waits: dict[int, list[float]] = {}
    for acked in board.acked:
        if now_ms - acked.at_ms < DAY_MS:
            waits.setdefault(acked.priority, []).append(acked.after_s)
    return AlarmKpis(
        raised=len(raised),
        raised_in_10_min=recent(board, now_ms),
        per_10_min=len(raised) / TEN_MIN_PER_DAY,
        flood_share=flood_ms / DAY_MS,
        chattering=len({r.key for r in damped}),
        stale=sum(a.state in ACTIVE and now_ms - a.raised_ms > STALE_MS for a in board.alarms),
        shelved=states[AlarmState.SHELVED],
        suppressed=sum(states[state] for state in HIDDEN),
        bad_actors=tuple(Counter(r.key for r in (*raised, *damped)).most_common(WORST)),
        ack_median_s={priority: median(waits[priority]) for priority in sorted(waits)},
    )
