"""What the samples of a soak say: growth between two windows, leaks between two calms."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GROWTH_PCT = 5.0
WARM_SHARE = 1 / 3
WINDOW_SHARE = 1 / 10
"""Of the hard days: what is warm-up (the outbox alone remembers 10 min), and what the windows at both ends are."""
SPARE = {"tasks": 3, "threads": 6, "fds": 6, "sockets": 4}
"""A metrics scrape, a keep-alive, a connection that closes: none of it lasts; a leak in thousands of faults is more.

The loop's pool of threads grows to CPUs + 4 as it is used and keeps them.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in monotonic seconds."""

    start_s: float
    end_s: float

    def of(self, samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The samples in it."""
        return [sample for sample in samples if self.start_s <= sample["at_s"] <= self.end_s]


def judged(samples: Sequence[Mapping[str, Any]], *, calm: Span, hard: Span, after: Span) -> dict[str, Any]:
    """Figures of the whole run; `ok` where nothing grew or leaked.

    What is in flight comes and goes, what has leaked is there in every sample of a calm: tasks and threads by their
    least count, sockets by name. On a starved machine hundreds of closed ones wait for their last turn of the loop.
    """
    length_s = hard.end_s - hard.start_s
    warm_s = hard.start_s + WARM_SHARE * length_s
    first = Span(warm_s, warm_s + WINDOW_SHARE * length_s).of(samples)
    last = Span(hard.end_s - WINDOW_SHARE * length_s, hard.end_s).of(samples)
    before, then = calm.of(samples), after.of(samples)
    if not (first and last and before and then):
        raise ValueError(f"{len(samples)} samples: expected some in every window")
    rss = [statistics.median(one["rss_mib"] for one in window) for window in (first, last)]
    growth_pct = 100.0 * (rss[1] / rss[0] - 1.0)
    counts = {name: [_standing(window, name) for window in (before, then)] for name in SPARE}
    leaks = [name for name, (was, now) in counts.items() if now - was > SPARE[name]]
    return {
        "ok": growth_pct < GROWTH_PCT and not leaks,
        "rss_mib": [round(value, 1) for value in rss],
        "rss_growth_pct": round(growth_pct, 2),
        "python_blocks": [round(statistics.median(one["blocks"] for one in window)) for window in (first, last)],
        "malloc_used_mib": [
            statistics.median(one.get("malloc_used_mib", 0.0) for one in window) for window in (first, last)
        ],
        **counts,
        "leaks": leaks,
        "most": {name: max(one[name] for one in samples) for name in SPARE},
        "rss_each_minute_mib": [round(one["rss_mib"], 1) for one in samples[:: max(len(samples) // 32, 1)]],
        "samples": len(samples),
    }


def _standing(window: Sequence[Mapping[str, Any]], name: str) -> int:
    """A count of what was there all the time: without the polls and commands in flight."""
    if name in {"tasks", "threads"}:
        return min(int(one[name]) - (_in_flight(one) if name == "tasks" else 0) for one in window)
    lasting = frozenset[int].intersection(*(frozenset(one["socket_ids"]) for one in window))
    others = 0 if name == "sockets" else min(one["fds"] - one["sockets"] for one in window)
    return len(lasting) + others


def _in_flight(sample: Mapping[str, Any]) -> int:
    return sum(sample["task_names"].get(task, 0) for task in ("Poller._poll", "Actuator._send"))
