"""What takes hours and days to see: miners that restart by themselves, efficiency that drifts, a growing work list."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from pydantic import TypeAdapter, ValidationError

from farmctl.core.alarms import Condition, Truth
from farmctl.core.memory import Standing
from farmctl.core.model import MinerState
from farmctl.core.units import DAY_MS, HASHES_PER_TERAHASH, FloatColumn, IntColumn
from farmctl.ports.control import SitePicture

SITE = "site"
HOUR_MS = 3_600_000
LOOPS = 3
LOOPING_LEAST = 5
LOOPING = 0.01
DRIFT = 0.03
DRIFT_NEAR = 0.02
ROWS_LEAST = 10
JTH_DAYS = 14
WORK_DAYS = 7
HISTORY_LEAST_MS = 2 * DAY_MS
GROWTH = 2.0
GROWTH_LEAST = 5
NAMED = 3


@dataclass(slots=True, kw_only=True)
class Trends:
    """Hourly figures of two weeks; kept in a named state."""

    jth: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Group -> (ms, median J/TH of its settled miners)."""
    broken: list[tuple[int, int]] = field(default_factory=list)
    """(ms, miners on the work list)."""


_TRENDS: TypeAdapter[Trends] = TypeAdapter(Trends)


class TrendWatch:
    """Looks at the latest picture; the same object keeps the trends."""

    def __init__(self, picture: Callable[[], SitePicture | None], stored: bytes | None = None) -> None:
        """`stored` is what `blob` gave in the last run; what cannot be read is begun anew."""
        self._picture = picture
        try:
            self._trends = _TRENDS.validate_json(stored) if stored is not None else Trends()
        except ValidationError:
            self._trends = Trends()
        self._uptime_s: FloatColumn = np.zeros(0)
        self._restarts: deque[tuple[int, IntColumn]] = deque()
        self._hour = -1

    def blob(self) -> bytes:
        """The trends as a named state."""
        return _TRENDS.dump_json(self._trends)

    def look(self, now_ms: int) -> Sequence[Condition]:
        """restart_loops, efficiency_drift, worklist_growth."""
        picture = self._picture()
        if picture is None:
            return ()
        work = _worklist(picture)
        jth = dict(_efficiency(picture))
        found = (*self._loops(picture, now_ms), *self._drift(jth), *self._growth(work))
        if now_ms // HOUR_MS != self._hour:
            self._hour = now_ms // HOUR_MS
            self._note(now_ms, work, jth)
        return found

    def _note(self, now_ms: int, work: int, jth: dict[str, float]) -> None:
        trends = self._trends
        trends.broken = [each for each in trends.broken if now_ms - each[0] < WORK_DAYS * DAY_MS] + [(now_ms, work)]
        for group, value in jth.items():
            kept = [each for each in trends.jth.get(group, []) if now_ms - each[0] < JTH_DAYS * DAY_MS]
            trends.jth[group] = [*kept, (now_ms, value)]

    def _loops(self, picture: SitePicture, now_ms: int) -> Iterator[Condition]:
        """A board that has been up for less time than before has restarted."""
        uptime_s = picture.view.table.uptime_s
        if len(uptime_s) == len(self._uptime_s):
            rows = np.flatnonzero(uptime_s < self._uptime_s)
            self._restarts.append((now_ms, rows))
        else:
            self._restarts.clear()
        self._uptime_s = uptime_s.copy()
        while self._restarts and now_ms - self._restarts[0][0] >= HOUR_MS:
            self._restarts.popleft()
        counts = np.bincount(np.concatenate([np.zeros(0, dtype=np.int64), *(rows for _, rows in self._restarts)]))
        looping = np.flatnonzero(counts > LOOPS)
        if len(looping) > max(LOOPING * len(uptime_s), LOOPING_LEAST):
            names = ", ".join(picture.view.table.miner_id[looping[:NAMED]].tolist())
            text = f"{len(looping)} miners restarted more than {LOOPS} times within the hour: {names}"
            yield Condition(alarm="restart_loops", priority=4, where=SITE, detail=text, n=len(looping))

    def _drift(self, now: dict[str, float]) -> Iterator[Condition]:
        for group, value in sorted(now.items()):
            past = self._trends.jth.get(group, [])
            if not past or past[-1][0] - past[0][0] < HISTORY_LEAST_MS:
                continue
            normal = median(each for _, each in past)
            if value > normal * (1.0 + DRIFT_NEAR):
                truth = Truth.TRUE if value > normal * (1.0 + DRIFT) else Truth.NEAR
                text = f"{value:.1f} J/TH, {value / normal - 1.0:+.1%} against {normal:.1f} J/TH"
                place = group.replace("@", " ").replace(" ", "_")
                yield Condition(alarm="efficiency_drift", priority=3, where=place, detail=text, truth=truth)

    def _growth(self, work: int) -> Iterator[Condition]:
        past = self._trends.broken
        if not past or past[-1][0] - past[0][0] < HISTORY_LEAST_MS:
            return
        normal = median(n for _, n in past)
        if work > GROWTH * normal and work >= normal + GROWTH_LEAST:
            text = f"{work} miners on the work list, {normal:.0f} in the median of a week"
            yield Condition(alarm="worklist_growth", priority=4, where=SITE, detail=text, n=work)


def _worklist(picture: SitePicture) -> int:
    """Miners in fault, or given up."""
    broken = picture.view.table.state == MinerState.FAULT
    broken |= picture.memory.rows.standing == Standing.GAVE_UP
    return int((broken & ~picture.view.table.maintained).sum())


def _efficiency(picture: SitePicture) -> Iterator[tuple[str, float]]:
    """Median J/TH of the settled miners of every group at their top step."""
    table, rows, seen = picture.view.table, picture.memory.rows, picture.decision.seen
    runs = (table.state == MinerState.HASHING) & (rows.standing == Standing.SETTLED) & seen.fresh
    runs &= table.hash_rate_hs > 0
    for number, group in enumerate(picture.view.groups):
        mine = runs & (table.group == number)
        if int(mine.sum()) >= ROWS_LEAST:
            yield group, float(np.median(table.power_w[mine] / (table.hash_rate_hs[mine] / HASHES_PER_TERAHASH)))
