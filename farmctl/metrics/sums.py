"""Sums over the columns, computed once per cycle: what the containers, racks, circuits and models amount to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from farmctl.core.circuits import node_load_w
from farmctl.core.model import MinerState
from farmctl.core.units import MS_PER_S, FloatColumn, IntColumn, MaskColumn
from farmctl.metrics.snapshot import MetricsSnapshot

STATES = tuple(state.name.lower() for state in MinerState)
"""Label values of `state`, in the order of `MinerState`."""
CHIP_BUCKETS_C = (40.0, 50.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 100.0, 110.0)
"""Chips run at 60-85 degrees Celsius and are throttled or stopped between 95 and 110."""


@dataclass(eq=False)
class FleetSums:
    """Everything that families read, beside the snapshot itself; each array is made when first asked for."""

    snapshot: MetricsSnapshot

    @cached_property
    def fresh(self) -> MaskColumn:
        """Rows whose last good poll still proves something; shape (rows,)."""
        return fresh_rows(self.snapshot)

    @cached_property
    def state(self) -> IntColumn:
        """`MinerState` of every row as of now; shape (rows,)."""
        return states_now(self.snapshot)

    @cached_property
    def power_w(self) -> FloatColumn:
        """Draw where it is known, NaN elsewhere; shape (rows,)."""
        return np.where(self.fresh, self.snapshot.view.table.power_w, np.nan)

    @cached_property
    def hash_rate_hs(self) -> FloatColumn:
        """Hash rate where it is known; shape (rows,)."""
        return np.where(self.fresh, self.snapshot.view.table.hash_rate_hs, np.nan)

    @cached_property
    def paired_power_w(self) -> FloatColumn:
        """Draw where the hash rate is known too: what efficiency is reckoned from; shape (rows,)."""
        return np.where(np.isnan(self.hash_rate_hs), np.nan, self.power_w)

    @cached_property
    def paired_hash_rate_hs(self) -> FloatColumn:
        """Hash rate where the draw is known too; shape (rows,)."""
        return np.where(np.isnan(self.power_w), np.nan, self.hash_rate_hs)

    @cached_property
    def chip_c(self) -> FloatColumn:
        """Hottest chip where it is known; shape (rows,)."""
        return np.where(self.fresh, self.snapshot.view.table.temperature_c, np.nan)

    @cached_property
    def inlet_c(self) -> FloatColumn:
        """Air that enters each container: its sensor, else the median over its miners; shape (containers,)."""
        snapshot = self.snapshot
        topology, places = snapshot.topology, len(snapshot.topology.containers)
        sensed = np.full(places, np.nan) if snapshot.climate is None else snapshot.climate.inlet_c
        if snapshot.ambient_c is None:
            return sensed
        ambient_c = np.where(self.fresh, snapshot.ambient_c, np.nan)
        return np.where(np.isnan(sensed), _median_by(topology.container_of, ambient_c, places), sensed)

    @cached_property
    def miners_power_w(self) -> float:
        """Sum of the known draws; NaN when none is known."""
        known = self.power_w[~np.isnan(self.power_w)]
        return float(known.sum()) if len(known) else float("nan")

    @cached_property
    def circuit_load_w(self) -> FloatColumn:
        """Load of every node: its meter, else the known rows under it; NaN where nothing is known."""
        tree, node = self.snapshot.view.circuits, self.snapshot.view.table.node
        summed_w = node_load_w(tree, node, np.nan_to_num(self.power_w))
        known = node_load_w(tree, node, (~np.isnan(self.power_w)).astype(np.float64))
        return np.where(np.isfinite(tree.meter_w), tree.meter_w, np.where(known > 0, summed_w, np.nan))

    @cached_property
    def racks_power_w(self) -> FloatColumn:
        """Min, mean, max of the known draws per rack; shape (racks * 3,)."""
        return self._rack_stats(self.power_w)

    @cached_property
    def racks_hash_rate_hs(self) -> FloatColumn:
        """Min, mean, max of the known hash rates per rack; shape (racks * 3,)."""
        return self._rack_stats(self.hash_rate_hs)

    @cached_property
    def racks_chip_c(self) -> FloatColumn:
        """Min, mean, max of the hottest chips per rack; shape (racks * 3,)."""
        return self._rack_stats(self.chip_c)

    @cached_property
    def group_states(self) -> FloatColumn:
        """Miners per group and state, shape (groups, states); a group without miners is NaN."""
        group = self.snapshot.view.table.group.astype(np.int64)
        counts = _counts(group, self.state, len(self.snapshot.topology.models), len(STATES))
        counts[counts.sum(axis=1) == 0] = np.nan
        return counts

    def states_in(self, place_of: IntColumn, places: int) -> FloatColumn:
        """Miners per place and state, flat (places * states,)."""
        return _counts(place_of, self.state, places, len(STATES)).ravel()

    def container_sum(self, values: FloatColumn) -> FloatColumn:
        """Sum of the known values per container; NaN where none is known."""
        return sum_by(self.snapshot.topology.container_of, values, len(self.snapshot.topology.containers))

    def container_max(self, values: FloatColumn) -> FloatColumn:
        """Highest known value per container; NaN where none is known."""
        topology = self.snapshot.topology
        return _stats_by(topology.container_of, values, len(topology.containers))[:, 2]

    def container_rows(self) -> FloatColumn:
        """Miners of the inventory per container."""
        topology = self.snapshot.topology
        placed = topology.container_of[topology.container_of >= 0]
        return np.bincount(placed, minlength=len(topology.containers)).astype(np.float64)

    def container_seen_s(self) -> FloatColumn:
        """Last good poll per container, seconds since the epoch; NaN never."""
        seen_ms = self.snapshot.view.table.seen_ms
        return self.container_max(np.where(seen_ms >= 0, seen_ms / MS_PER_S, np.nan))

    def chip_histogram(self, members: MaskColumn) -> FloatColumn:
        """Cumulative bucket counts of the hottest chips of some rows, the count and the sum; NaN without any."""
        known = self.chip_c[members & ~np.isnan(self.chip_c)]
        if not len(known):
            return np.full(len(CHIP_BUCKETS_C) + 3, np.nan)
        below = np.searchsorted(np.sort(known), CHIP_BUCKETS_C, side="right")
        return np.array([*below, len(known), len(known), known.sum()], dtype=np.float64)

    def _rack_stats(self, values: FloatColumn) -> FloatColumn:
        topology = self.snapshot.topology
        return _stats_by(topology.rack_of, values, len(topology.racks)).ravel()


def fresh_rows(snapshot: MetricsSnapshot) -> MaskColumn:
    """Rows whose last good poll is not older than the site's rule; written so that unknown is stale."""
    seen_ms = snapshot.view.table.seen_ms
    age_ms = snapshot.at_ms - seen_ms
    fresh: MaskColumn = (seen_ms >= 0) & (age_ms <= snapshot.view.rules.seen_stale_s * MS_PER_S)
    return fresh


def states_now(snapshot: MetricsSnapshot) -> IntColumn:
    """What each row does: its telemetry while that is fresh, else offline, and unknown where it was never seen."""
    table = snapshot.view.table
    silent = np.where(table.seen_ms >= 0, int(MinerState.OFFLINE), int(MinerState.UNKNOWN))
    return np.where(fresh_rows(snapshot), table.state, silent).astype(np.int64)


def sum_by(place_of: IntColumn, values: FloatColumn, places: int) -> FloatColumn:
    """Sum of the known values per place, NaN where none is known; O(rows)."""
    known = (place_of >= 0) & ~np.isnan(values)
    total: FloatColumn = np.bincount(place_of[known], weights=values[known], minlength=places).astype(np.float64)
    total[np.bincount(place_of[known], minlength=places) == 0] = np.nan
    return total


def _stats_by(place_of: IntColumn, values: FloatColumn, places: int) -> FloatColumn:
    """Min, mean, max of the known values per place, shape (places, 3), NaN where none is known."""
    stats = np.full((places, 3), np.nan)
    known = np.flatnonzero((place_of >= 0) & ~np.isnan(values))
    if not len(known):
        return stats
    order = known[np.argsort(place_of[known], kind="stable")]
    present, starts, counts = np.unique(place_of[order], return_index=True, return_counts=True)
    ordered = values[order]
    stats[present, 0] = np.minimum.reduceat(ordered, starts)
    stats[present, 1] = np.add.reduceat(ordered, starts) / counts
    stats[present, 2] = np.maximum.reduceat(ordered, starts)
    return stats


def _median_by(place_of: IntColumn, values: FloatColumn, places: int) -> FloatColumn:
    """Median of the known values per place (the lower one of two), NaN where none is known; O(rows log rows)."""
    medians = np.full(places, np.nan)
    known = np.flatnonzero((place_of >= 0) & ~np.isnan(values))
    if not len(known):
        return medians
    order = known[np.lexsort((values[known], place_of[known]))]
    present, starts, counts = np.unique(place_of[order], return_index=True, return_counts=True)
    medians[present] = values[order[starts + (counts - 1) // 2]]
    return medians


def _counts(place_of: IntColumn, state: IntColumn, places: int, states: int) -> FloatColumn:
    placed = place_of >= 0
    flat = place_of[placed] * states + state[placed]
    return np.bincount(flat, minlength=places * states).astype(np.float64).reshape(places, states)
