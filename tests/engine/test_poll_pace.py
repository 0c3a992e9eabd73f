"""How the sweep is paced: flat over the interval, fast where a command is open, slow facts hourly; in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from farmctl.core.model import MinerId, MinerState, PowerSource
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.journey import EARLY, Journey
from farmctl.engine.link import Link
from farmctl.engine.poller import FAST_PER_S, Poller, PollRules
from farmctl.engine.tally import Tally
from farmctl.ports.devices import Facts, Identity, Pool, Reading
from farmctl.ports.store import InventoryRow
from tests.dst.virtual import LeapingLoop, WallClock

INTERVAL_S = 10.0
RULES = PollRules(
    interval_s=INTERVAL_S, in_flight=1_500, fast_interval_s=1.5, backoff_max_s=60.0, facts_interval_s=3_600.0,
    deadline_s=20.0,
)  # fmt: skip
READING = Reading(
    state=MinerState.HASHING, power_w=3_300.0, power_source=PowerSource.DEVICE, hash_rate_hs=1e14, temperature_c=70.0,
    uptime_s=1e5, setting="full",
)  # fmt: skip
POOLS = (Pool(url="stratum+tcp://pool.example:3333", user="farm.1", alive=True, accepted=7.0),)


@dataclass
class Told:
    """A miner that answers at once and notes when it was asked."""

    miner_id: MinerId
    loop: LeapingLoop
    polls_s: list[float] = field(default_factory=list)
    facts_s: list[float] = field(default_factory=list)
    serial_only: bool = False

    async def poll(self) -> Reading:
        self.polls_s.append(self.loop.now_s)
        return READING

    async def facts(self) -> Facts:
        self.facts_s.append(self.loop.now_s)
        who = Identity(miner_id=MinerId("".join(self.miner_id)), driver="whatsminer", model="M50", firmware="1")
        return Facts(identity=who, pools=tuple(POOLS), boards=3, nominal_hash_rate_hs=1e14, nominal_power_w=3_300.0)

    async def close(self) -> None:
        return


class Round:
    """A poller over miners that only note."""

    def __init__(self, miners: int) -> None:
        self.loop = LeapingLoop()
        self.clock = WallClock(self.loop)
        names = [MinerId(f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}") for n in range(miners)]
        self.devices = [Told(name, self.loop) for name in names]
        rows = [InventoryRow(miner_id=name, host="127.0.0.1", ports={}, driver="whatsminer") for name in names]
        self.keeper = FleetKeeper()
        self.keeper.seat([Seat(row=row, ladder=None, node=0, group=0, commandable=True) for row in rows])
        self.links = [
            Link(miner_id=name, row=self.keeper.row_of[name], device=device)
            for name, device in zip(names, self.devices, strict=True)
        ]
        self.poller = Poller(self.keeper, self.clock, RULES, Tally())
        self.poller.take(self.links)

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Tell the story while the poller runs."""

        async def both() -> None:
            polling = asyncio.ensure_future(self.poller.run())
            await story
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

        self.loop.run_until_complete(both())
        self.loop.close()


def test_a_sweep_is_flat_and_every_miner_keeps_its_slot() -> None:
    site = Round(2_000)
    site.run(asyncio.sleep(35.0))
    starts = [at for device in site.devices for at in device.polls_s if 10.0 <= at < 30.0]
    per_s = Counter(int(at) for at in starts)
    assert len(starts) == 2 * 2_000
    assert max(per_s.values()) <= 1.25 * 2_000 / INTERVAL_S
    gaps = [b - a for device in site.devices for a, b in zip(device.polls_s[1:], device.polls_s[2:], strict=False)]
    assert max(abs(gap - INTERVAL_S) for gap in gaps) < 0.1


def test_a_miner_with_an_open_command_is_polled_fast_until_it_is_confirmed() -> None:
    site = Round(20)

    async def story() -> None:
        await asyncio.sleep(25.0)
        pending = np.zeros(20, dtype=np.bool_)
        pending[3] = True
        site.poller.expect(pending)
        site.poller.hasten(site.links[3])
        await asyncio.sleep(15.0)
        site.poller.expect(np.zeros(20, dtype=np.bool_))
        await asyncio.sleep(30.0)

    site.run(story())
    polled = {row: Counter(int((at - 25.0) // 15.0) for at in site.devices[row].polls_s) for row in (3, 4)}
    assert polled[3][0] >= 9
    assert polled[4][0] <= 2
    assert polled[3][1] + polled[3][2] <= 4


def test_a_miner_of_a_fast_kind_is_looked_at_on_its_way_and_at_its_stated_time_and_not_in_its_slot_between() -> None:
    site = Round(20)

    async def story() -> None:
        await asyncio.sleep(25.0)
        pending = np.zeros(20, dtype=np.bool_)
        pending[:] = True
        site.poller.expect(pending)
        for link in site.links:
            site.poller.follow(link, Journey(told_s=site.clock.monotonic_s(), travel_s=4.0, from_w=3_300.0, to_w=25.0))
        await asyncio.sleep(5.0)
        site.poller.expect(np.zeros(20, dtype=np.bool_))
        await asyncio.sleep(30.0)

    site.run(story())
    for device in site.devices:
        after = [at - 25.0 for at in device.polls_s if at >= 25.0]
        assert [round(at, 1) for at in after[:2]] == [round(EARLY * 4.0, 1), 4.0]
        assert len([at for at in after if at > 6.0]) <= 4


def test_a_whole_fleet_with_open_commands_is_polled_no_faster_than_the_loop_bears() -> None:
    site = Round(600)
    site.poller.expect(np.ones(30_000, dtype=np.bool_))  # as if there were so many more
    site.run(asyncio.sleep(40.0))
    per_s = sum(len([at for at in device.polls_s if at >= 10.0]) for device in site.devices) / 30.0
    assert per_s <= 1.05 * FAST_PER_S * 600 / 30_000


def test_polls_give_way_to_urgent_commands_and_are_made_good_without_a_burst() -> None:
    site, urgent = Round(2_000), [False]
    site.poller.gives_way = lambda: urgent[0]

    async def story() -> None:
        await asyncio.sleep(20.0)
        urgent[0] = True
        await asyncio.sleep(4.0)
        urgent[0] = False
        await asyncio.sleep(16.0)

    site.run(story())
    per_s = Counter(int(at) for device in site.devices for at in device.polls_s)
    assert sum(per_s[second] for second in range(21, 24)) == 0
    assert max(per_s[second] for second in range(24, 40)) <= 3.2 * 2_000 / INTERVAL_S
    assert all(sum(1 for at in device.polls_s if at >= 24.0) >= 1 for device in site.devices)


def test_slow_facts_are_read_hourly_and_what_a_fleet_says_alike_is_kept_once() -> None:
    site = Round(3)
    site.run(asyncio.sleep(7_300.0))
    assert {len(device.facts_s) for device in site.devices} == {3}
    kept = [site.poller.facts.of[row] for row in range(3)]
    assert kept[0].pools is kept[1].pools is kept[2].pools
    assert kept[0].pools[0].url == POOLS[0].url
    assert kept[0].identity.miner_id is site.links[0].miner_id
