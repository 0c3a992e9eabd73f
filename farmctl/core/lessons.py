"""How fast each model and firmware really moves, and how surely: what `learning` has gathered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from farmctl.core.units import FloatColumn


class Move(IntEnum):
    """The three ways to move."""

    DOWN = 0
    UP = 1
    TRIM = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lessons:
    """One row per group of model and firmware, one column per `Move`."""

    groups: tuple[str, ...] = ()
    seconds: FloatColumn
    """Mean from the command to its proof."""
    deviation: FloatColumn
    """Mean absolute deviation of it, s."""
    proved: FloatColumn
    """Commands that telemetry proved."""
    failed: FloatColumn
    """Commands given up after every retry."""

    @classmethod
    def none(cls, groups: tuple[str, ...] = ()) -> Lessons:
        """Nothing learned yet."""
        shape = (len(groups), len(Move))
        blank = np.zeros(shape)
        return cls(groups=groups, seconds=blank, deviation=blank, proved=blank, failed=blank)

    def aligned(self, groups: tuple[str, ...]) -> Lessons:
        """The same for another list of groups."""
        if groups == self.groups:
            return self
        here = [number for number, group in enumerate(groups) if group in self.groups]
        there = [self.groups.index(groups[number]) for number in here]
        fresh = np.zeros((4, len(groups), len(Move)))
        fresh[:, here] = np.stack([self.seconds, self.deviation, self.proved, self.failed])[:, there]
        return Lessons(groups=groups, seconds=fresh[0], deviation=fresh[1], proved=fresh[2], failed=fresh[3])

    def success(self) -> FloatColumn:
        """Share of the commands of each group that were followed in the end, 0..1; 1 before any."""
        proved, failed = self.proved.sum(axis=1), self.failed.sum(axis=1)
        share: FloatColumn = np.where(proved + failed > 0, proved / np.maximum(proved + failed, 1.0), 1.0)
        return share
