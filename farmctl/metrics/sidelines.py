"""What miners say beside the columns that control uses: air, fans, fault codes, pools and shares."""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Sequence
from sys import intern
from typing import NamedTuple

import numpy as np

from farmctl.core.ailments import Cause, ailment
from farmctl.core.units import CodeColumn, FloatColumn, MaskColumn
from farmctl.metrics.snapshot import FaultCount, PoolStatus
from farmctl.ports.devices import Facts, Pool, Reading

OTHER = "other"
MOST_FAULTS = 200
"""Pairs of code and model that get a series of their own; the rarest beyond them share one."""
MOST_POOLS = 20
FAULT_WORDS = ("", *(cause.value for cause in Cause))
"""What ails a miner, as a code per row; the first is nothing."""
FAN_GRAIN_RPM = 50.0
"""Fans hunt by some 30 rpm; a finer figure would change every row at every poll."""
RESULTS = ("accepted", "rejected", "stale")
MOST_SHAPES = 1_000
_COUNTS = f"{len(RESULTS)}d"
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,32}")
_HOST = re.compile(r"^(?:[a-z0-9+]+://)?(?:[^@/]*@)?(\[[0-9a-fA-F:]+\]|[^/:\s]+)")


_Shape = tuple[tuple[str, bool | None], ...]
"""Name and life of each pool of a miner: a fleet has few of them."""


class _Told(NamedTuple):
    """One pool as one miner told it last."""

    name: str
    alive: bool | None
    counts: tuple[float, ...]
    """Accepted, rejected, stale since the miner started; NaN where it does not tell."""


class Sidelines:
    """One writer, the loop; what it gives out are copies."""

    def __init__(self, models: Sequence[str]) -> None:
        """`models` of every row, in the order of the rows."""
        self._models = tuple(models)
        self._ambient_c = np.full(len(self._models), np.nan)
        self._fan_rpm = np.full(len(self._models), np.nan)
        self._fault = np.zeros(len(self._models), dtype=np.int16)
        self._pool = np.zeros(len(self._models), dtype=np.int16)
        self._pool_code = {"": 0}
        self._errors: dict[int, tuple[str, ...]] = {}
        self._shape: list[_Shape] = [()] * len(self._models)
        self._counts: list[bytes] = [b""] * len(self._models)
        """The pools of each miner as it told them last, and their counts, packed: 700 B of a miner were floats."""
        self._shapes: dict[_Shape, _Shape] = {}
        self._judges: Counter[str] = Counter()
        """Miners that say whether a pool answers."""
        self._yeas: Counter[str] = Counter()
        self._shares: Counter[tuple[str, str]] = Counter()

    def heard(self, row: int, reading: Reading) -> None:
        """Take one good poll in; called at every poll."""
        self._ambient_c[row] = reading.ambient_c
        if reading.fans_rpm:
            self._fan_rpm[row] = min(reading.fans_rpm)
        if reading.errors:
            if reading.errors != self._errors.get(row):
                self._fault[row] = _FAULT[ailment(reading.errors[0]).cause]
            self._errors[row] = reading.errors
        elif self._errors and self._errors.pop(row, ()):
            self._fault[row] = 0

    def told(self, row: int, facts: Facts) -> None:
        """Take the slow facts of one miner in."""
        before = {pool.name: pool for pool in self._told(row)}
        now = _by_name([self._named(pool) for pool in facts.pools])
        for pool in before.values():
            self._judge(pool, -1)
        for pool in now:
            self._judge(pool, 1)
            self._count(pool, before.get(pool.name))
        self._keep(row, now)
        used = next((pool.name for pool in now if pool.alive), now[0].name if now else "")
        self._pool[row] = self._pool_code.setdefault(used, len(self._pool_code))

    def _told(self, row: int) -> list[_Told]:
        counts = struct.iter_unpack(_COUNTS, self._counts[row])
        return [_Told(name, alive, told) for (name, alive), told in zip(self._shape[row], counts, strict=True)]

    def _keep(self, row: int, pools: Sequence[_Told]) -> None:
        if len(self._shapes) > MOST_SHAPES:  # it only saves room: what a hostile fleet makes up is not kept for ever
            self._shapes.clear()
        shape = tuple((pool.name, pool.alive) for pool in pools)
        self._shape[row] = self._shapes.setdefault(shape, shape)
        self._counts[row] = b"".join(struct.pack(_COUNTS, *pool.counts) for pool in pools)

    def fan_rpm(self) -> FloatColumn:
        """The slowest fan of each miner, rpm, shape (rows,), NaN where it tells of none."""
        return np.round(self._fan_rpm / FAN_GRAIN_RPM) * FAN_GRAIN_RPM

    def fault(self) -> CodeColumn:
        """What ails each miner by its first error code, index into `FAULT_WORDS`, shape (rows,)."""
        return self._fault.copy()

    def pool(self) -> tuple[tuple[str, ...], CodeColumn]:
        """Hosts of pools, which only ever grow, and the one that each miner works for by its last slow facts."""
        return tuple(self._pool_code), self._pool.copy()

    def ambient_c(self) -> FloatColumn:
        """Air that each miner breathes in, degrees Celsius, shape (rows,), NaN unknown."""
        return self._ambient_c.copy()

    def pools(self) -> tuple[PoolStatus, ...]:
        """Every pool that a miner judged, by host; up where at least one miner says so."""
        return tuple(
            PoolStatus(
                name=name,
                up=self._yeas[name] > 0,
                accepted=float(self._shares[name, "accepted"]),
                rejected=float(self._shares[name, "rejected"]),
                stale=float(self._shares[name, "stale"]),
            )
            for name in sorted(name for name, judges in self._judges.items() if judges > 0)
        )

    def faults(self, fresh: MaskColumn) -> tuple[FaultCount, ...]:
        """Codes that miners show now; what a silent one last showed is not known any more.

        May be called beside the loop: one C call takes the list, so that a poll in between breaks nothing.
        """
        shown_now = list(self._errors.items())
        counts = Counter(
            (_worded(code), self._models[row]) for row, errors in shown_now if fresh[row] for code in set(errors)
        )
        shown = dict(counts.most_common(MOST_FAULTS))
        rest = Counter[tuple[str, str]]()
        for (code, model), count in counts.items():
            if (code, model) not in shown:
                rest[OTHER, model] += count
        merged = Counter(shown) + rest
        return tuple(FaultCount(code=code, model=model, count=n) for (code, model), n in sorted(merged.items()))

    def _judge(self, pool: _Told, weight: int) -> None:
        if pool.alive is not None:
            self._judges[pool.name] += weight
            self._yeas[pool.name] += weight * pool.alive

    def _count(self, pool: _Told, before: _Told | None) -> None:
        """Add what came since the last reading; a counter that fell was started again from 0."""
        if before is None:
            return
        for result, value, old in zip(RESULTS, pool.counts, before.counts, strict=True):
            if not math.isnan(value - old):
                self._shares[pool.name, result] += round(value - old if value >= old else value)

    def _named(self, pool: Pool) -> _Told:
        """By its host, never by an address with user or path; a crowd of pools shares one name."""
        found = _HOST.match(pool.url.strip().lower())
        name = intern(found[1]) if found else OTHER
        if name not in self._judges and len(self._judges) >= MOST_POOLS:
            name = OTHER
        return _Told(name, pool.alive, (pool.accepted, pool.rejected, pool.stale))


_FAULT = {Cause(word): code for code, word in enumerate(FAULT_WORDS) if word}


def _by_name(pools: Sequence[_Told]) -> tuple[_Told, ...]:
    """Slots that share a name become one: alive where any is, counts added up."""
    merged: dict[str, _Told] = {}
    for pool in pools:
        old = merged.get(pool.name)
        if old is not None:
            alive = pool.alive if old.alive is None else old.alive or bool(pool.alive)
            counts = tuple(a + b for a, b in zip(old.counts, pool.counts, strict=True))
            merged[pool.name] = _Told(pool.name, alive, counts)
        else:
            merged[pool.name] = pool
    return tuple(merged.values())


def _worded(code: str) -> str:
    """A vendor's code as a label; free text, which would make a series per wording, by its cause."""
    return code if _CODE.fullmatch(code) else ailment(code).cause.value
