"""What a miner's own watts are worth: none and an impossible 0 are reckoned from what it hashes."""

from __future__ import annotations

import math

import pytest

from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.ports.devices import Reading
from farmctl.ports.store import InventoryRow

NOW_MS = 1_700_000_000_000
LADDER = Ladder(
    name="L",
    points=(
        OperatingPoint(kind=PointKind.SLEEP, power_w=30.0, hash_rate_hs=0.0, setting="sleep"),
        OperatingPoint(kind=PointKind.FULL, power_w=3030.0, hash_rate_hs=1e14, setting="full"),
    ),
    down_s=5.0,
    up_s=60.0,
    trim_s=10.0,
)


def told(ladder: Ladder | None, state: MinerState, power_w: float, hash_rate_hs: float) -> tuple[float, PowerSource]:
    keeper = FleetKeeper()
    row = InventoryRow(miner_id=MinerId("m"), host="10.0.0.1", ports={}, driver="luxos")
    keeper.seat([Seat(row=row, ladder=ladder, node=0, group=0, commandable=True)])
    reading = Reading(
        state=state, power_w=power_w, power_source=PowerSource.DEVICE, hash_rate_hs=hash_rate_hs,
        temperature_c=61.3, uptime_s=100.0, setting="full",
    )  # fmt: skip
    keeper.seen(0, reading, NOW_MS)
    return keeper.table.power_w.item(0), PowerSource(keeper.table.power_source.item(0))


@pytest.mark.parametrize("power_w", [0.0, math.nan])
def test_a_miner_that_hashes_on_0_w_has_shed_nothing(power_w: float) -> None:
    assert told(LADDER, MinerState.HASHING, power_w, 5e13) == (1530.0, PowerSource.NAMEPLATE)
    unknown_w, _ = told(None, MinerState.HASHING, power_w, 5e13)
    assert math.isnan(unknown_w)


def test_what_can_be_true_is_believed() -> None:
    assert told(LADDER, MinerState.HASHING, 1200.0, 5e13) == (1200.0, PowerSource.DEVICE)
    assert told(LADDER, MinerState.CURTAILED, 0.0, 0.0) == (0.0, PowerSource.DEVICE)
