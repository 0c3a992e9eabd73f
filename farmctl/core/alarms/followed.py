"""How many commands were followed in the last minutes, by model and firmware; a command is one attempt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.alarms.scene import Scene
from farmctl.core.units import MS_PER_S, MaskColumn

WINDOW_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one cycle learned of the commands to one group of machines."""

    at_ms: int
    group: int
    ok: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The outcomes of the window, oldest first."""

    outcomes: tuple[Outcome, ...] = ()

    def after(self, scene: Scene) -> Followed:
        """One cycle later. A miner that does not answer is no deaf one: its silence has alarms of its own."""
        seen, since_ms = scene.seen, scene.now_ms - WINDOW_S * MS_PER_S
        kept = tuple(each for each in self.outcomes if each.at_ms > since_ms)
        if seen is None or not scene.view.armed:
            return Followed(outcomes=kept)
        again = seen.retry & (scene.memory.rows.commanded_ms == scene.now_ms)
        ok, failed = seen.confirmed, (again | seen.gave_up) & seen.fresh
        if not (ok.any() or failed.any()):
            return self if len(kept) == len(self.outcomes) else Followed(outcomes=kept)
        group = scene.view.table.group.astype(np.int64)

        def by_group(rows: MaskColumn) -> list[int]:
            counted: list[int] = np.bincount(group[rows], minlength=len(scene.view.groups)).tolist()
            return counted

        pairs = enumerate(zip(by_group(ok), by_group(failed), strict=True))
        new = (Outcome(at_ms=scene.now_ms, group=n, ok=a, failed=b) for n, (a, b) in pairs if a or b)
        return Followed(outcomes=(*kept, *new))

    @property
    def total(self) -> int:
        """Commands that ended, either way."""
        return sum(each.ok + each.failed for each in self.outcomes)

    @property
    def failed(self) -> int:
        """Those that were not followed in their time, or refused."""
        return sum(each.failed for each in self.outcomes)

    def worst(self, groups: tuple[str, ...]) -> str:
        """The model and firmware with most failures; empty for none."""
        counts: dict[int, int] = {}
        for each in self.outcomes:
            counts[each.group] = counts.get(each.group, 0) + each.failed
        group = max(counts, key=lambda number: (counts[number], -number), default=-1)
        if group < 0 or not counts[group] or group >= len(groups):
            return ""
        return f"{counts[group]} of them {' '.join(groups[group].split())}"
