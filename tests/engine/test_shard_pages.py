"""What a worker shows of its shard, and what it counts its miners at before it raises any of them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from farmctl.core.fleet import FleetTable
from farmctl.core.model import Command, Ladder, Lane, MinerId, MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.core.reasons import Reason
from farmctl.engine import pages
from farmctl.engine.burden import UNKNOWN_W, Burden
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.errors import MalformedReplyError
from farmctl.ports.devices import Reading
from farmctl.ports.store import InventoryRow

ROWS = np.array([1, 2], dtype=np.int64)


def ladder(full_w: float) -> Ladder:
    points = (
        OperatingPoint(kind=PointKind.SLEEP, power_w=50.0, hash_rate_hs=0.0, setting="sleep"),
        OperatingPoint(kind=PointKind.THROTTLE, power_w=full_w / 2, hash_rate_hs=5e13, setting="profile:low"),
        OperatingPoint(kind=PointKind.FULL, power_w=full_w, hash_rate_hs=1e14, setting="full"),
    )
    return Ladder(name=f"L{full_w:.0f}", points=points, down_s=5.0, up_s=60.0, trim_s=10.0)


def fleet(known: bool = True) -> FleetKeeper:  # noqa: FBT001, FBT002 - a helper with one switch
    keeper = FleetKeeper()
    keeper.seat(
        [
            Seat(
                row=InventoryRow(miner_id=MinerId(f"aa:{n:02}"), host=f"10.0.0.{n}", ports={}, driver="luxos"),
                ladder=ladder(3_000.0) if known else None, node=0, group=0, commandable=True,
            )
            for n in range(4)
        ]
    )  # fmt: skip
    return keeper


def reading(power_w: float, setting: str, state: MinerState = MinerState.HASHING) -> Reading:
    return Reading(
        state=state, power_w=power_w, power_source=PowerSource.DEVICE, hash_rate_hs=5e13, temperature_c=61.3,
        uptime_s=100.0, setting=setting,
    )  # fmt: skip


def raising(miner: str) -> Command:
    point = ladder(3_000.0).points[2]
    return Command(
        miner=MinerId(miner), step=2, point=point, lane=Lane.NORMAL, deadline_ms=10**9, reason=Reason.RESTORE,
        attempt=1, cycle=1,
    )  # fmt: skip


def test_a_page_puts_the_same_numbers_into_the_controllers_columns_and_touches_no_other_row() -> None:
    worker, controller = fleet(), fleet()
    worker.seen(1, reading(1_490.0, "profile:low"), 5_000)
    worker.seen(2, reading(3_010.0, "full"), 5_100)
    worker.learn_ladder(2, ladder(3_200.0))
    pages.unpack(controller, ROWS, pages.pack(worker, ROWS))
    for column in fields(FleetTable):
        ours, theirs = getattr(controller.table, column.name), getattr(worker.table, column.name)
        assert np.array_equal(ours[ROWS], theirs[ROWS], equal_nan=ours.dtype.kind == "f"), column.name
    assert controller.seat_of(2).ladder == ladder(3_200.0)
    assert controller.table.seen_ms.tolist() == [-1, 5_000, 5_100, -1]


def test_a_page_of_other_miners_or_of_no_miners_is_refused() -> None:
    worker, controller = fleet(), fleet()
    with pytest.raises(MalformedReplyError, match="other miners"):
        pages.unpack(controller, np.array([0, 1], dtype=np.int64), pages.pack(worker, ROWS))
    with pytest.raises(MalformedReplyError, match="unreadable"):
        pages.unpack(controller, ROWS, b"no page")


def test_what_could_not_be_handed_on_stays_refused_under_an_older_page() -> None:
    worker, controller = fleet(), fleet()
    controller.refused(1, 9_000)
    pages.unpack(controller, ROWS, pages.pack(worker, ROWS))
    assert controller.table.refused_ms[1] == 9_000


def test_a_shard_counts_at_its_worst_until_telemetry_shows_better() -> None:
    keeper = fleet()
    burden = Burden(keeper)
    assert burden.worst_w(ROWS) == 6_000.0, "never seen: everything"
    assert not burden.is_known(ROWS)
    for row in ROWS.tolist():
        keeper.seen(row, reading(1_500.0, "profile:low"), 5_000)
    assert burden.is_known(ROWS)
    assert burden.worst_w(ROWS) == 3_000.0
    assert burden.worst_w(ROWS, [raising("aa:01")]) == 4_500.0
    burden.raised([raising("aa:01")])
    assert burden.worst_w(ROWS) == 4_500.0, "let through and not seen yet"
    keeper.seen(1, reading(3_000.0, "full"), 6_000)
    assert burden.worst_w(ROWS) == 4_500.0
    keeper.seen(1, reading(50.0, "", MinerState.CURTAILED), 7_000)
    assert burden.worst_w(ROWS) == 1_550.0
    keeper.missed(2, 60_000)
    assert burden.worst_w(ROWS) == 3_050.0, "silent for long: it may have woken by itself"


def test_a_claimed_row_proves_nothing_until_it_was_looked_at_again() -> None:
    keeper = fleet(known=False)
    burden = Burden(keeper)
    keeper.missed(1, 5_000)
    keeper.missed(2, 5_000)
    assert burden.is_known(ROWS)
    assert burden.worst_w(ROWS) == 2 * UNKNOWN_W
    burden.forget(ROWS)
    assert not burden.is_known(ROWS)


def test_the_firm_level_keeps_the_best_that_fit_into_the_own_part() -> None:
    keeper = fleet()
    for row in range(4):
        keeper.seen(row, reading(3_000.0, "full"), 5_000)
    assert Burden(keeper).beyond(ROWS, 6_000.0) == [2], "half of the site, half of the firm level"
    assert Burden(keeper).beyond(ROWS, 0.0) == [1, 2]
