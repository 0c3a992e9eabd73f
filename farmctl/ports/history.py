"""The past of every miner: sweeps of the whole fleet in, lines over time out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farmctl.core.units import FloatColumn, IdColumn, IntColumn

ShortMatrix = NDArray[np.int16]
UNKNOWN_SHORT = -(2**15)

MINER_COLUMNS: Mapping[str, float] = {
    "power_w": 1.0,
    "hash_ths": 0.1,
    "temperature_c": 0.1,
    "state": 1.0,
    "step": 1.0,
    "wanted": 1.0,
    "reason": 1.0,
    "age_s": 10.0,
}
"""Column -> unit of its int16: W; 0.1 TH/s; 0.1 deg C; codes of `MinerState`, ladder step, wanted step and `Reason`;
tens of seconds since the last good poll."""
SUM_COLUMNS = ("power_w", "meter_w", "target_w", "hash_ths", "running")
"""Of the site, a container (`cont:NAME`) or an owner (`owner:NAME`): devices, meter and target (site only), hash rate,
miners that hash."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sweep:
    """The fleet at one moment."""

    at_ms: int
    miner_id: IdColumn
    columns: ShortMatrix
    """Shape (len(MINER_COLUMNS), rows); `UNKNOWN_SHORT` where nothing is known."""
    sums: Mapping[str, Sequence[float]]
    """`site`, `cont:NAME`, `owner:NAME` -> values in the order of `SUM_COLUMNS`; NaN unknown."""


class HistorySink(Protocol):
    """Keeps sweeps; every method blocks and is called in a thread, one call at a time."""

    def take(self, sweep: Sweep) -> None:
        """Write one sweep and what is due of roll-ups. Raises StoreError."""
        ...

    def tidy(self) -> None:
        """Pack a little of what is over; called after every sweep. Raises StoreError."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HistoryLines:
    """Lines over common moments."""

    step_s: int
    source: str
    """Where the samples are from: `journal`, `telemetry`, `minute`, `quarter`."""
    at_ms: IntColumn
    """Begin of each step."""
    values: Mapping[str, FloatColumn]
    """Series name -> mean of each step (codes: the last); NaN where nothing is known."""


class History(Protocol):
    """The past, to be read."""

    async def lines(self, series: Sequence[str], from_ms: int, to_ms: int, step_s: int | None) -> HistoryLines:
        """Lines of `site.power_w`, `cont:C1.hash_ths`, `owner:acme.power_w` or `MINER.power_w`.

        Without a step one is chosen that gives some hundred points. Raises NoSuchSeriesError, StoreError.
        """
        ...
