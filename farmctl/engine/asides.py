"""What people look at and control does not use: since when a miner is in its state, and how hot it may get."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import numpy as np

from farmctl.core.model import MinerState
from farmctl.core.units import NEVER_MS, CodeColumn, FloatColumn, IntColumn
from farmctl.ports.control import SitePicture
from farmctl.ports.devices import Facts

FACTS_S = 60.0
"""The slow facts of 10,000 miners are looked through so seldom."""


class Spells:
    """Since when every row is in its state, as far as this run of the controller saw it."""

    def __init__(self, rows: int) -> None:
        self._state: CodeColumn = np.full(rows, MinerState.UNKNOWN, dtype=np.int16)
        self._since_ms: IntColumn = np.full(rows, NEVER_MS, dtype=np.int64)

    def see(self, picture: SitePicture) -> None:
        """One more cycle."""
        state = picture.view.table.state
        changed = state != self._state
        if changed.any():
            self._since_ms = np.where(changed, picture.decision.at_ms, self._since_ms)
            self._state = state

    def since_ms(self, picture: SitePicture) -> IntColumn:
        """Shape (rows,); of a silent miner since its last word; -1 for one that was never heard."""
        return np.where(picture.decision.seen.fresh, self._since_ms, picture.view.table.seen_ms)


class HeatLimits:
    """Where each machine protects itself: by its own word, else by the table of models."""

    def __init__(
        self,
        stated_c: FloatColumn,
        facts: Mapping[int, Facts],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stated_c` by the table, NaN unknown; `facts` by row, as the poller fills them.

        Asked in threads too, where no loop tells the time.
        """
        self._stated_c = stated_c
        self._facts = facts
        self._monotonic_s = monotonic_s
        self._looked_s = -math.inf
        self._limit_c = stated_c

    def limit_c(self) -> FloatColumn:
        """Degrees Celsius by the sensor of `temperature_c`, shape (rows,), NaN unknown."""
        now_s = self._monotonic_s()
        if now_s - self._looked_s >= FACTS_S:
            self._looked_s = now_s
            self._limit_c = self._heard_c()
        return self._limit_c

    def _heard_c(self) -> FloatColumn:
        limit_c = self._stated_c.copy()
        for row, facts in list(self._facts.items()):
            if not math.isnan(facts.limit_c):
                limit_c[row] = facts.limit_c
        return limit_c
