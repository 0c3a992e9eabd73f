"""Without a lease only what surely lowers may go to a miner, by what this process has just seen of it itself."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from typing_extensions import override

from farmctl.core.model import Command, Ladder, Lane, MinerId, MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.core.reasons import Reason
from farmctl.engine.clock import SystemClock
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.gate import FRESH_S, ShardGate
from farmctl.ports.devices import Reading
from farmctl.ports.shards import Held, Leases
from farmctl.ports.store import InventoryRow

MINER, SHARD = MinerId("aa:01"), "C001"
SETTINGS = ("sleep", "profile:low", "profile:middle", "full")
NOW_MS = 1_000_000


class Lost(Leases):
    """Every lease has run out."""

    @override
    async def beat(self) -> None: ...

    @override
    def held(self) -> Mapping[str, Held]:
        return {}

    @override
    def may_send(self, shard: str) -> bool:
        return False

    @override
    async def leave(self) -> None: ...


class Hand(SystemClock):
    """A clock that stands."""

    @override
    def now_ms(self) -> int:
        return NOW_MS


def point(step: int) -> OperatingPoint:
    kind = (PointKind.SLEEP, PointKind.THROTTLE, PointKind.THROTTLE, PointKind.FULL)[step]
    return OperatingPoint(kind=kind, power_w=50.0 + 1e3 * step, hash_rate_hs=3e13 * step, setting=SETTINGS[step])


def to(step: int, attempt: int = 1) -> Command:
    return Command(
        miner=MINER, step=step, point=point(step), lane=Lane.URGENT, deadline_ms=10**9, reason=Reason.SHED,
        attempt=attempt, cycle=1,
    )  # fmt: skip


def gate_over(seen_step: int, seen_s: float) -> ShardGate:
    """A gate of a process that saw its miner at that step so many seconds ago, and holds nothing."""
    keeper = FleetKeeper()
    points = tuple(point(step) for step in range(len(SETTINGS)))
    ladder = Ladder(name="L", points=points, down_s=5.0, up_s=60.0, trim_s=10.0)
    row = InventoryRow(miner_id=MINER, host="10.0.0.1", ports={}, driver="luxos")
    keeper.seat([Seat(row=row, ladder=ladder, node=0, group=0, commandable=True)])
    state = MinerState.HASHING if seen_step else MinerState.CURTAILED
    reading = Reading(
        state=state, power_w=point(seen_step).power_w, power_source=PowerSource.DEVICE, hash_rate_hs=3e13,
        temperature_c=61.3, uptime_s=100.0, setting=SETTINGS[seen_step],
    )  # fmt: skip
    keeper.seen(0, reading, NOW_MS - int(seen_s * 1000))
    return ShardGate({MINER: SHARD}, Lost(), keeper, Hand())


@pytest.mark.parametrize(
    ("seen_step", "seen_s", "step", "leaves"),
    [
        (3, 1.0, 1, True),
        (3, 1.0, 3, True),
        (1, 1.0, 2, False),
        (3, FRESH_S + 1.0, 1, False),
        (0, 1.0, 1, False),
        (0, FRESH_S + 60.0, 0, True),
    ],
    ids=["less", "no more", "more", "seen before a stop", "of a sleeper", "asleep is never more"],
)
def test_without_a_lease_a_throttle_leaves_only_where_a_fresh_look_shows_that_it_is_no_raise(
    seen_step: int, seen_s: float, step: int, leaves: bool  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    gate = gate_over(seen_step, seen_s)
    assert not gate.may_send(to(step)), "nothing leaves that was not decided here to lower"
    gate.admit([to(step)])
    assert gate.may_send(to(step)) == leaves


def test_a_raise_on_its_way_to_a_miner_does_not_leave_because_something_else_lowers_it() -> None:
    gate = gate_over(3, 1.0)
    raising = to(3)
    gate.admit([to(1)])
    assert not gate.may_send(raising)
    gate.forget([raising])
    assert gate.may_send(to(1)), "the fate of another command is not its own"
    gate.forget([to(1)])
    assert not gate.may_send(to(1))
