"""A site of six miners in two containers, every block of the exposition in use."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.metrics import NOW_MS, RULES
from farmctl.core.fleet import CircuitTree, FleetTable, FleetView, LadderBook, MeterSample
from farmctl.core.grid import EventState, SiteMode
from farmctl.core.model import MinerState, Quality
from farmctl.metrics.snapshot import (
    ActiveAlarm,
    AlarmCount,
    Available,
    Climate,
    EventCount,
    FaultCount,
    Identity,
    MetricsSnapshot,
    NamedMeter,
    PhaseCurrent,
    PoolStatus,
    PowerOrigin,
    SourceStatus,
    Topology,
)

STATES = [
    MinerState.HASHING,
    MinerState.HASHING,
    MinerState.CURTAILED,
    MinerState.HASHING,
    MinerState.FAULT,
    MinerState.HASHING,
]


def _table() -> FleetTable:
    """The fourth miner fell silent a minute ago, the last one was never seen."""
    return dataclasses.replace(
        FleetTable.empty(6),
        miner_id=np.array([f"02:00:00:00:00:0{row}" for row in range(6)]),
        node=np.array([1, 1, 1, 2, 2, 2]),
        group=np.array([0, 0, 1, 1, 1, 1], dtype=np.int16),
        power_w=np.array([3_500.0, 3_400.0, 18.0, 3_600.0, 40.0, math.nan]),
        hash_rate_hs=np.array([200e12, 190e12, 0.0, 205e12, 0.0, math.nan]),
        temperature_c=np.array([70.0, 75.5, 31.0, 80.0, math.nan, math.nan]),
        state=np.array(STATES, dtype=np.int16),
        seen_ms=np.array([NOW_MS - age for age in (500, 700, 900, 60_000, 1_200)] + [-1]),
    )


@pytest.fixture
def small_farm() -> MetricsSnapshot:
    meter = MeterSample(power_w=7_250.0, at_ms=NOW_MS, quality=Quality.OK)
    view = FleetView(
        table=_table(),
        ladders=LadderBook.of(()),
        groups=("Antminer S21 stock", "Whatsminer M60S luxos"),
        circuits=CircuitTree(
            names=("site", "feeder-a", "feeder-b"),
            parent=np.array([-1, 0, 0]),
            rating_w=np.array([1e6, 20_000.0, np.inf]),
            meter_w=np.array([7_250.0, np.nan, np.nan]),
        ),
        rules=dataclasses.replace(RULES, rated_w=1e6),
        meter=meter,
    )
    topology = Topology(
        site="north",
        containers=("c1", "c2"),
        container_of=np.array([0, 0, 0, 1, 1, 1]),
        racks=("c1-r1", "c2-r1"),
        rack_of=np.array([0, 0, 0, 1, 1, -1]),
        models=("Antminer S21", "Whatsminer M60S"),
        firmwares=("stock", "luxos"),
    )
    return MetricsSnapshot(
        at_ms=NOW_MS,
        view=view,
        topology=topology,
        wanted_hash_rate_hs=np.array([200e12, 200e12, 0.0, 200e12, 200e12, math.nan]),
        power_w=7_250.0,
        power_origin=PowerOrigin.METER,
        mode=SiteMode.FOLLOWING,
        curtailment_active=True,
        leader=True,
        auth_unsigned=False,
        target_w=7_000.0,
        limit_w=math.inf,
        unconfirmed_w=3_600.0,
        energy_j=7.2e9,
        frequency_hz=49.98,
        sources=(
            SourceStatus(name="mqtt", armed=True, last_valid_ms=NOW_MS - 4_000),
            SourceStatus(name="price", armed=False),
        ),
        events=(EventCount(state=EventState.REACHED, count=1),),
        next_event_ms=NOW_MS + 900_000,
        overrides=1,
        meters=(
            NamedMeter(name="poc", sample=meter),
            NamedMeter(name="b", sample=dataclasses.replace(meter, quality=Quality.BAD)),
        ),
        available=(Available(direction="down", within="30s", power_w=6_900.0),),
        climate=Climate(
            inlet_c=np.array([24.5, math.nan]),
            coolant_supply_c=np.array([math.nan, 35.0]),
            coolant_return_c=np.array([math.nan, 44.0]),
        ),
        ambient_c=np.array([22.0, 23.0, 26.0, 27.0, 28.5, math.nan]),
        currents=(PhaseCurrent(pdu="p1", phase="l1", amperes=16.2), PhaseCurrent(pdu="p1", phase="l2", amperes=15.9)),
        pools=(PoolStatus(name="main", up=True, accepted=1_000.0, rejected=3.0, stale=1.0),),
        faults=(FaultCount(code="fan", model="Whatsminer M60S", count=1),),
        alarms=(AlarmCount(priority="2", state="active", count=1),),
        active_alarms=(ActiveAlarm(alarm="container_offline", container="c2", priority="2"),),
        stale_alarms=1,
        flooded=True,
        identity=Identity(mac=("",) * 6, ip=("10.1.0.1",) * 6, serial=('SN"1\\', *("SN",) * 5)),
    )
