"""Common causes: which circuit, container or rack explains that many miners fell silent together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from farmctl.core.circuits import ancestors_at, depths
from farmctl.core.fleet import CircuitTree
from farmctl.core.units import MS_PER_S, IntColumn, MaskColumn

SHARE = 0.5
CLEAR_SHARE = 0.4
"""Deadband: a common cause holds until fewer than this share of its members are gone."""
LEAST = 5
TOGETHER_S = 60.0
"""Members of a common cause fall silent within this time (OPERATIONS section 5.3)."""
NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Level:
    """One way to divide the site."""

    names: tuple[str, ...]
    group: IntColumn
    """Shape (rows,), index into `names`; -1 nowhere."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Yard:
    """The site divided, coarse to fine: circuits from the root down, containers, racks."""

    levels: tuple[Level, ...]

    @classmethod
    def of(cls, tree: CircuitTree, node: IntColumn, containers: Sequence[str], racks: Sequence[str]) -> Yard:
        """`node`, `containers` and `racks` have one entry per row; an empty word is nowhere."""
        depth = depths(tree)
        circuits: list[Level] = []
        for d in range(int(depth.max(initial=0)) + 1):
            above = ancestors_at(tree, d)
            deep = depth[node] >= d
            circuits.append(Level(names=tree.names, group=np.where(deep, above[node], NOWHERE)))
        joined = [f"{cont}/{rack}" if cont and rack else "" for cont, rack in zip(containers, racks, strict=True)]
        return cls(levels=(*circuits, _level(containers), _level(joined)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CommonCause:
    """One place that explains many silent miners."""

    where: str
    lost: IntColumn
    """Rows that it explains."""
    members: int
    standing: bool
    """At least half of its members are gone; else it is within the deadband."""


def common_causes(yard: Yard, lost: MaskColumn, lost_ms: IntColumn, known: frozenset[str]) -> tuple[CommonCause, ...]:
    """The fewest places that explain the silence, coarsest first; each row belongs to one of them.

    `known` are the places of alarms that are open: they stay while enough of their members are gone.
    """
    left = lost.copy()
    found: list[CommonCause] = []
    if int(lost.sum()) < LEAST:
        return ()
    for number, level in enumerate(yard.levels):
        finer = yard.levels[number + 1] if number + 1 < len(yard.levels) else None
        placed = level.group >= 0
        members = np.bincount(level.group[placed], minlength=len(level.names))
        gone = np.bincount(level.group[placed & left], minlength=len(level.names))
        for group in np.flatnonzero((gone >= LEAST) & (gone >= CLEAR_SHARE * members)):
            where = level.names[group]
            rows = np.flatnonzero(left & (level.group == group))
            standing = len(rows) >= SHARE * members[group]
            if where not in known:
                spread = finer is None or _spread(finer.group, level.group == group, left)
                if not (standing and spread and _together(lost_ms[rows])):
                    continue
            found.append(CommonCause(where=where, lost=rows, members=int(members[group]), standing=standing))
            left[rows] = False
    return tuple(found)


def containers(yard: Yard | None, rows: int) -> tuple[tuple[str, ...], IntColumn]:
    """Names of the containers, and which of them each row is in; an empty name is nowhere."""
    level = yard.levels[-2] if yard is not None else Level(names=(), group=np.full(rows, NOWHERE, dtype=np.int64))
    names = (*level.names, "")
    return names, np.where(level.group >= 0, level.group, len(names) - 1)


def _spread(finer: IntColumn, inside: MaskColumn, lost: MaskColumn) -> bool:
    """Most of the parts of a place are hit; else the cause sits in the part that is."""
    parts, index = np.unique(finer[inside], return_inverse=True)
    if len(parts) == 1:
        return True
    members = np.bincount(index)
    gone = np.bincount(index[lost[inside]], minlength=len(parts))
    return bool((gone >= SHARE * members).sum() > len(parts) / 2)


def _together(lost_ms: IntColumn) -> bool:
    """At least half of them, and enough, fell silent within a minute."""
    times = np.sort(lost_ms)
    until = np.searchsorted(times, times + int(TOGETHER_S * MS_PER_S), side="right")
    most = int((until - np.arange(len(times))).max())
    return most >= max(LEAST, len(times) / 2)


def _level(words: Sequence[str]) -> Level:
    names, group = np.unique(np.array(list(words) or [""], dtype=np.str_), return_inverse=True)
    rows = group[: len(words)].astype(np.int64)
    empty = np.flatnonzero(names == "")
    return Level(names=tuple(names.tolist()), group=np.where(np.isin(rows, empty), NOWHERE, rows))
