"""Metrics of containers, circuits, racks, models and pools."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from farmctl.core.units import FloatColumn, MaskColumn
from farmctl.metrics.families.row import COUNT, SUM, Axes, Axis, Family, column, counter, each, gauge
from farmctl.metrics.snapshot import Climate, MetricsSnapshot
from farmctl.metrics.sums import CHIP_BUCKETS_C, STATES, FleetSums, sum_by
from farmctl.metrics.text import Kind

STATE_AXIS = each(STATES)
STAT_AXIS = each(("min", "avg", "max"))
RESULT_AXIS = each(("accepted", "rejected", "stale"))
BOUND_AXIS = each((*(str(bound) for bound in CHIP_BUCKETS_C), "+Inf", COUNT, SUM))


def _containers(snapshot: MetricsSnapshot) -> Axes:
    return (each(snapshot.topology.containers),)


def _container_states(snapshot: MetricsSnapshot) -> Axes:
    return (each(snapshot.topology.containers), STATE_AXIS)


def _racks(snapshot: MetricsSnapshot) -> Axes:
    return (each(snapshot.topology.racks), STAT_AXIS)


def _rack_states(snapshot: MetricsSnapshot) -> Axes:
    return (each(snapshot.topology.racks), STATE_AXIS)


def _circuits(snapshot: MetricsSnapshot) -> Axes:
    return (each(snapshot.view.circuits.names),)


def _pools(snapshot: MetricsSnapshot) -> Axis:
    return each([pool.name for pool in snapshot.pools])


def _kinds(snapshot: MetricsSnapshot) -> tuple[tuple[str, str], ...]:
    """Model and firmware, each pair once: two groups may share both."""
    return tuple(dict.fromkeys(zip(snapshot.topology.models, snapshot.topology.firmwares, strict=True)))


def _models(snapshot: MetricsSnapshot) -> tuple[str, ...]:
    return tuple(dict.fromkeys(snapshot.topology.models))


def _kind_states(sums: FleetSums) -> FloatColumn:
    kinds = _kinds(sums.snapshot)
    place = {kind: index for index, kind in enumerate(kinds)}
    counts = np.full((len(kinds), len(STATES)), np.nan)
    topology = sums.snapshot.topology
    for group, kind in enumerate(zip(topology.models, topology.firmwares, strict=True)):
        if not np.isnan(sums.group_states[group, 0]):
            counts[place[kind]] = np.nan_to_num(counts[place[kind]]) + sums.group_states[group]
    return counts.ravel()


def _members(sums: FleetSums, model: str) -> MaskColumn:
    of_model = np.array([name == model for name in sums.snapshot.topology.models], dtype=np.bool_)
    members: MaskColumn = of_model[sums.snapshot.view.table.group]
    return members


def _model_sum(sums: FleetSums, values: FloatColumn) -> FloatColumn:
    """Sum of the known values per model, in the order of `_models`; NaN where none is known."""
    models = _models(sums.snapshot)
    place = np.array([models.index(model) for model in sums.snapshot.topology.models], dtype=np.int64)
    group = sums.snapshot.view.table.group
    return sum_by(place[group] if len(place) else group.astype(np.int64), values, len(models))


def _chip_histograms(sums: FleetSums) -> FloatColumn:
    rows = [sums.chip_histogram(_members(sums, model)) for model in _models(sums.snapshot)]
    return np.concatenate(rows) if rows else column([])


def _climate(pick: Callable[[Climate], FloatColumn]) -> Callable[[FleetSums], FloatColumn]:
    def values(sums: FleetSums) -> FloatColumn:
        climate = sums.snapshot.climate
        return np.full(len(sums.snapshot.topology.containers), np.nan) if climate is None else pick(climate)

    return values


CONTAINERS: tuple[Family, ...] = (
    gauge(
        "farmctl_container_power_watts",
        "watts",
        "Sum over the container's miners whose power is known, watts.",
        lambda sums: sums.container_sum(sums.power_w),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_miners",
        "",
        "Number of miners of the container in each state.",
        lambda sums: sums.states_in(sums.snapshot.topology.container_of, len(sums.snapshot.topology.containers)),
        labels=("container", "state"),
        axes=_container_states,
    ),
    gauge(
        "farmctl_container_miners_inventory",
        "",
        "Number of miners that belong into the container by the inventory, whether they answer or not.",
        lambda sums: sums.container_rows(),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_hashrate_hashes_per_second",
        "hashes_per_second",
        "Sum over the container's miners whose hash rate is known, hashes per second.",
        lambda sums: sums.container_sum(sums.hash_rate_hs),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_hashrate_expected_hashes_per_second",
        "hashes_per_second",
        "Hash rate that the container promises at the wanted operating points, hashes per second; asleep that is 0.",
        lambda sums: sums.container_sum(sums.snapshot.wanted_hash_rate_hs),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_inlet_temperature_celsius",
        "celsius",
        "Air that enters the container, degrees Celsius: its sensor, else the median of what its miners breathe in.",
        lambda sums: sums.inlet_c,
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_coolant_supply_temperature_celsius",
        "celsius",
        "Coolant that enters the container, degrees Celsius.",
        _climate(lambda climate: climate.coolant_supply_c),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_coolant_return_temperature_celsius",
        "celsius",
        "Coolant that leaves the container, degrees Celsius.",
        _climate(lambda climate: climate.coolant_return_c),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_container_chip_temperature_max_celsius",
        "celsius",
        "Hottest chip of the container, degrees Celsius.",
        lambda sums: sums.container_max(sums.chip_c),
        labels=("container",),
        axes=_containers,
    ),
    gauge(
        "farmctl_poll_last_success_timestamp_seconds",
        "seconds",
        "Latest good poll of any miner of the container, seconds since the Unix epoch.",
        lambda sums: sums.container_seen_s(),
        labels=("container",),
        axes=_containers,
    ),
)

CIRCUITS: tuple[Family, ...] = (
    gauge(
        "farmctl_circuit_load_watts",
        "watts",
        "Load of a circuit, watts: its meter, else the sum of the known miners under it.",
        lambda sums: sums.circuit_load_w,
        labels=("circuit",),
        axes=_circuits,
    ),
    gauge(
        "farmctl_circuit_rating_watts",
        "watts",
        "Rating of a circuit, watts; absent where none is stated.",
        lambda sums: sums.snapshot.view.circuits.rating_w,
        labels=("circuit",),
        axes=_circuits,
    ),
    gauge(
        "farmctl_pdu_current_amperes",
        "amperes",
        "Current of one phase of a PDU, amperes.",
        lambda sums: column([current.amperes for current in sums.snapshot.currents]),
        labels=("pdu", "phase"),
        axes=lambda snapshot: (tuple((current.pdu, current.phase) for current in snapshot.currents),),
    ),
)

RACKS: tuple[Family, ...] = (
    gauge(
        "farmctl_rack_power_watts",
        "watts",
        "Power of one miner of the rack, watts: lowest, mean and highest.",
        lambda sums: sums.racks_power_w,
        labels=("rack", "stat"),
        axes=_racks,
    ),
    gauge(
        "farmctl_rack_hashrate_hashes_per_second",
        "hashes_per_second",
        "Hash rate of one miner of the rack, hashes per second: lowest, mean and highest.",
        lambda sums: sums.racks_hash_rate_hs,
        labels=("rack", "stat"),
        axes=_racks,
    ),
    gauge(
        "farmctl_rack_chip_temperature_celsius",
        "celsius",
        "Hottest chip of one miner of the rack, degrees Celsius: lowest, mean and highest.",
        lambda sums: sums.racks_chip_c,
        labels=("rack", "stat"),
        axes=_racks,
    ),
    gauge(
        "farmctl_rack_miners",
        "",
        "Number of miners of the rack in each state.",
        lambda sums: sums.states_in(sums.snapshot.topology.rack_of, len(sums.snapshot.topology.racks)),
        labels=("rack", "state"),
        axes=_rack_states,
    ),
)

FLEET: tuple[Family, ...] = (
    gauge(
        "farmctl_miners",
        "",
        "Number of miners of each model and firmware in each state.",
        _kind_states,
        labels=("model", "firmware", "state"),
        axes=lambda snapshot: (_kinds(snapshot), STATE_AXIS),
    ),
    gauge(
        "farmctl_model_power_watts",
        "watts",
        "Sum over the model's miners whose power and hash rate are both known, watts.",
        lambda sums: _model_sum(sums, sums.paired_power_w),
        labels=("model",),
        axes=lambda snapshot: (each(_models(snapshot)),),
    ),
    gauge(
        "farmctl_model_hashrate_hashes_per_second",
        "hashes_per_second",
        "Sum over the model's miners whose power and hash rate are both known, hashes per second.",
        lambda sums: _model_sum(sums, sums.paired_hash_rate_hs),
        labels=("model",),
        axes=lambda snapshot: (each(_models(snapshot)),),
    ),
    counter(
        "farmctl_shares_total",
        "",
        "Shares since the controller started, by pool and result, as of the last reading of each miner's slow facts.",
        lambda sums: column([v for pool in sums.snapshot.pools for v in (pool.accepted, pool.rejected, pool.stale)]),
        labels=("pool", "result"),
        axes=lambda snapshot: (_pools(snapshot), RESULT_AXIS),
    ),
    gauge(
        "farmctl_pool_up",
        "",
        "1 while at least one miner says that the pool answers, else 0.",
        lambda sums: column([pool.up for pool in sums.snapshot.pools]),
        labels=("pool",),
        axes=lambda snapshot: (_pools(snapshot),),
    ),
    gauge(
        "farmctl_faults",
        "",
        "Number of miners of a model that show a fault code of their vendor now.",
        lambda sums: column([fault.count for fault in sums.snapshot.faults]),
        labels=("code", "model"),
        axes=lambda snapshot: (tuple((fault.code, fault.model) for fault in snapshot.faults),),
    ),
    Family(
        name="farmctl_chip_temperature_celsius",
        kind=Kind.HISTOGRAM,
        unit="celsius",
        help="Hottest chip of each miner as it is now, degrees Celsius, by model: counts fall when miners cool.",
        labels=("model", "le"),
        axes=lambda snapshot: (each(_models(snapshot)), BOUND_AXIS),
        values=_chip_histograms,
    ),
)
