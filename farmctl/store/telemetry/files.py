"""The writer of telemetry: one sweep after another into day files, rolled up, packed, and unlinked when old."""

from __future__ import annotations

import contextlib
from pathlib import Path

import structlog
from typing_extensions import override

from farmctl.errors import StoreError
from farmctl.ports.history import HistorySink, Sweep
from farmctl.store.telemetry.dayfile import DayFile
from farmctl.store.telemetry.layout import SHARD, Tier, unlinked
from farmctl.store.telemetry.rollup import Rolled, Rollup, plain

log = structlog.get_logger(__name__)

PACK_WITHIN = 4
"""An hour's pages are packed within a quarter of the next one."""


class TelemetryFiles(HistorySink):
    """Keeps telemetry in a folder. What a crash loses is the step that was being gathered, never a written sweep."""

    def __init__(self, folder: Path, tiers: tuple[Tier, Tier, Tier]) -> None:
        """Nothing is opened yet."""
        self._folder = folder
        self._tiers = tiers
        self._now_ms, self._rows = 0, 0
        self._rolled: list[tuple[Tier, Rolled]] = []
        self._open: dict[str, DayFile] = {}
        self._behind: list[tuple[Tier, DayFile]] = []
        self._rollups = (
            Rollup(step_ms=tiers[1].step_s * 1000, extremes=False),
            Rollup(step_ms=tiers[2].step_s * 1000, extremes=True),
        )

    @override
    def take(self, sweep: Sweep) -> None:
        """See HistorySink; a step that is over is written by `tidy`, and lost where that fails."""
        rolled = [rollup.add(sweep) for rollup in self._rollups]
        fresh = self._file(self._tiers[0], sweep.at_ms)
        fresh.put(sweep.at_ms, sweep.miner_id, sweep.columns, plain(sweep.sums))
        over = zip(self._tiers[1:], rolled, strict=True)
        self._rolled += [(tier, step) for tier, step in over if step is not None]
        self._now_ms, self._rows = sweep.at_ms, sweep.columns.shape[1]

    @override
    def tidy(self) -> None:
        """See HistorySink; a few shards per call, so that no sweep waits long for its turn."""
        while self._rolled:
            self._put(*self._rolled.pop(0))
        shards = -(-self._rows // SHARD)
        steps = self._tiers[0].span_ms // (self._tiers[0].step_s * 1000) // PACK_WITHIN
        most = max(1, -(-shards // steps))
        for file in self._open.values():
            file.pack_some(self._now_ms, most)
        for tier, file in list(self._behind):
            # The day of that file is over: everything in it is due, however young.
            if not file.pack_some(self._now_ms + tier.span_ms, most):
                file.close()
                self._behind.remove((tier, file))

    @override
    def close(self) -> None:
        """See HistorySink."""
        for file in (*self._open.values(), *(file for _, file in self._behind)):
            file.close()
        self._open.clear()
        self._behind.clear()

    def _put(self, tier: Tier, step: Rolled) -> None:
        self._file(tier, step.at_ms).put(step.at_ms, step.miner_id, step.columns, step.sums)

    def _file(self, tier: Tier, at_ms: int) -> DayFile:
        path = tier.path(self._folder, at_ms)
        known = self._open.get(tier.name)
        if known is not None and known.path == path:
            return known
        made = DayFile(path, tier)
        if known is not None:
            self._behind.append((tier, known))
        else:  # a run that ended before midnight left its last hour unpacked
            self._behind += [(tier, DayFile(old, tier)) for old in tier.files(self._folder)[-2:-1] if old != path]
        self._open[tier.name] = made
        for old in tier.too_old(self._folder, at_ms):
            log.info("telemetry_unlinked", file=old.name)
            self._let_go(old)
            with contextlib.suppress(OSError):
                unlinked(old)
        return made

    def _let_go(self, path: Path) -> None:
        for tier, file in list(self._behind):
            if file.path == path:
                self._behind.remove((tier, file))
                with contextlib.suppress(StoreError):
                    file.close()
