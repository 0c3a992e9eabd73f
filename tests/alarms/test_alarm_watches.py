"""Watches of the shell: disk, certificates, chain, authority, facts of the miners, trends of days; and reports."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from farmctl.alarms.watches.authority import AuthorityWatch
from farmctl.alarms.watches.facts import FactsWatch
from farmctl.alarms.watches.host import CredentialWatch, DiskWatch
from farmctl.alarms.watches.journal import ChainWatch
from farmctl.alarms.watches.rounds import Rounds
from farmctl.alarms.watches.trends import TrendWatch
from farmctl.core.alarms import AlarmRefusedError, Condition, Truth
from farmctl.core.model import MinerId, MinerState
from farmctl.core.units import DAY_MS
from farmctl.ports.control import By
from farmctl.ports.devices import Facts, Identity, Pool
from farmctl.ports.store import InventoryRow
from tests.control.glasshouse import Glasshouse
from tests.control.remote import listener
from tests.scenarios.day import farm, ladder

GIB = 2**30
NOW_MS = 1_795_510_800_000
HOUR_MS = 3_600_000


def test_a_disk_is_full_by_its_share_or_by_the_time_that_is_left() -> None:
    used = 0.5
    watch = DiskWatch(
        folder=Path("/x"), usage=lambda _: (100 * GIB, int(used * 100 * GIB), int((1 - used) * 100 * GIB))
    )
    assert watch.look(NOW_MS) == ()
    used = 0.55
    assert watch.look(NOW_MS + HOUR_MS)[0].detail == "45.0 GiB (45%) left at /x, 9 h at this growth"
    roomy = DiskWatch(folder=Path("/x"), usage=lambda _: (100 * GIB, 95 * GIB, 5 * GIB))
    assert [(c.alarm, c.truth) for c in roomy.look(NOW_MS)] == [("store_filling", Truth.TRUE)]
    gone = DiskWatch(folder=Path("/no/such/folder/at/all"))
    assert [c.truth for c in gone.look(NOW_MS)] == [Truth.UNKNOWN]


def test_a_certificate_and_a_token_are_named_two_weeks_before_they_end(tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    made = listener(tmp_path, now_ms)
    watch = CredentialWatch(
        certificates=(made.ca_file, tmp_path / "absent.pem"), others=lambda: [("token a", now_ms + 15 * DAY_MS)]
    )
    assert [c.where for c in watch.look(now_ms)] == ["cert.pem"]
    late = CredentialWatch(certificates=(), others=lambda: [("token a", NOW_MS - DAY_MS), ("b", NOW_MS + 13 * DAY_MS)])
    assert [(c.where, c.detail.split()[2]) for c in late.look(NOW_MS)] == [("token a", "ended"), ("b", "at")]


def test_a_chain_that_was_seen_broken_stays_so() -> None:
    found = ["", "record 7: HASH", ""]
    watch = ChainWatch(verify=lambda: found.pop(0))
    assert watch.look(NOW_MS - 600_000) == ()
    assert len(found) == 3
    assert watch.look(NOW_MS) == ()
    assert watch.look(NOW_MS + HOUR_MS) == ()
    assert watch.look(NOW_MS + DAY_MS)[0].detail == "record 7: HASH"
    assert watch.look(NOW_MS + 3 * DAY_MS)[0].detail == "record 7: HASH"


def test_authority_that_flaps_is_told_and_events_that_come_and_go_are_not() -> None:
    watch = AuthorityWatch()
    for number in range(6):
        watch.see(NOW_MS, "", frozenset({("grid", 1)} if number % 2 else set()))
    assert watch.look(NOW_MS) == ()
    for number in range(5):
        watch.see(NOW_MS + number, "kim" if number % 2 else "ada", frozenset())
    assert watch.look(NOW_MS + HOUR_MS // 10)[0].detail == "5 changes in 10 min; the last: the lease went to ada"
    assert watch.look(NOW_MS + HOUR_MS) == ()


def facts(number: int, *, firmware: str = "1.0", boards: int | None = 3, pools: tuple[Pool, ...] = ()) -> Facts:
    identity = Identity(miner_id=MinerId(f"m{number}"), driver="x", model="S21", firmware=firmware)
    return Facts(
        identity=identity, pools=pools, boards=boards, nominal_hash_rate_hs=float("nan"), nominal_power_w=float("nan")
    )


def row(number: int) -> InventoryRow:
    return InventoryRow(
        miner_id=MinerId(f"m{number}"), host=f"10.0.0.{number}", ports={}, driver="x", model="S21", firmware="1.0"
    )


def test_facts_that_differ_from_the_inventory_or_from_each_other_are_named() -> None:
    dead = (Pool(url="stratum+tcp://pool.example:3333", user="a.b", alive=False),)
    strange = (Pool(url="stratum+tcp://evil.example:3333", user="x", alive=None),)
    known = [(row(n), facts(n, pools=dead)) for n in range(20)]
    known += [(row(20), facts(20, firmware="6.6.6", boards=2)), (row(21), facts(21, pools=strange))]
    watch = FactsWatch(
        facts=lambda: known, impostors=lambda: {"10.0.0.9": "m9 is listed, m8 answers"},
        pools=frozenset({"pool.example"}),
    )  # fmt: skip
    found = {c.alarm: c for c in watch.look(NOW_MS)}
    assert found.keys() == {
        "firmware_drift", "address_conflict", "pools_down", "foreign_pool", "hashboards_missing",
    }  # fmt: skip
    assert found["firmware_drift"].detail == "m20 runs 6.6.6, listed is 1.0"
    assert found["pools_down"].detail == "no pool answers 20 of 20 miners"
    assert found["foreign_pool"].detail == "m21 at evil.example"
    assert found["hashboards_missing"].detail == "1 of 22 have fewer than 3 boards: m20"
    assert found["address_conflict"].where == "10.0.0.9"
    assert FactsWatch(facts=list, impostors=dict).look(NOW_MS) == ()


def test_trends_of_days_outlive_a_restart_and_name_what_drifts() -> None:
    house = Glasshouse(farm(40, ladders=(ladder(),), feeders=2)).run(60)
    watch = TrendWatch(house.picture)
    start_ms = house.day.now_ms
    for hour in range(50):
        assert watch.look(start_ms + hour * HOUR_MS) == (), hour
    again = TrendWatch(house.picture, watch.blob())
    table = house.shown.view.table
    worse = table.power_w * 1.05
    worse.flags.writeable = True
    table.power_w.flags.writeable = True
    table.power_w[:] = worse
    table.state.flags.writeable = True
    table.state[:12] = MinerState.FAULT
    found = {c.alarm: c for c in again.look(start_ms + 51 * HOUR_MS)}
    assert found.keys() == {"efficiency_drift", "worklist_growth"}
    assert "+5.0% against" in found["efficiency_drift"].detail
    assert found["worklist_growth"].n == 12


def test_miners_that_restart_by_themselves_are_looping() -> None:
    house = Glasshouse(farm(40, ladders=(ladder(),), feeders=2)).run(60)
    watch = TrendWatch(house.picture)
    uptime_s = house.shown.view.table.uptime_s
    uptime_s.flags.writeable = True
    found: tuple[Condition, ...] = ()
    for minute in range(20):
        uptime_s[:] = 1_000.0 + minute
        uptime_s[:8] = 10.0 if minute % 2 else 500.0
        found = tuple(watch.look(NOW_MS + minute * 60_000))
    assert [(c.alarm, c.n) for c in found] == [("restart_loops", 8)]
    assert np.isfinite(uptime_s).all()


async def test_a_watch_that_fails_keeps_what_it_saw_and_hinders_no_other() -> None:
    house = Glasshouse(farm(4))
    told: dict[str, object] = {}

    class Sound:
        def look(self, now_ms: int) -> tuple[Condition, ...]:
            return (Condition(alarm="store_filling", priority=2, where="site", detail=str(now_ms)),)

    class Sick:
        def look(self, now_ms: int) -> tuple[Condition, ...]:
            raise ValueError(now_ms)

    async def keep() -> None:
        told["kept"] = True

    await Rounds({"a": Sick(), "b": Sound()}, told.__setitem__, house.clock, keep).once()
    assert told.keys() == {"b", "kept"}


async def test_a_report_raises_until_it_is_taken_back_and_holds_when_it_grows_old() -> None:
    house = Glasshouse(farm(40, ladders=(ladder(),), feeders=2)).run(5)
    by = By(owner="bms", reason="fire panel")
    fire = Condition(alarm="life_safety", priority=0, where="C001", detail="smoke")
    await house.alarms.report(fire, by, None)
    late = Condition(alarm="ambient_temp", priority=0, where="C002", detail="41 C > 38 C")
    await house.alarms.report(late, by, house.day.now_ms + 180_000)
    house.run(150)
    active = {a.key: a for a in house.alarms.board.active}
    assert {key: a.priority for key, a in active.items()} == {"life_safety@C001": 1, "ambient_temp@C002": 2}
    house.run(60)
    assert {a.key: a.valid for a in house.alarms.board.active} == {"life_safety@C001": True, "ambient_temp@C002": False}
    over = Condition(alarm="life_safety", priority=0, where="C001", detail="", truth=Truth.UNKNOWN)
    await house.alarms.report(over, by, None)
    house.run(40)
    assert {a.key: a.state.value for a in house.alarms.board.listed}["life_safety@C001"] == "RTN_UNACK"
    with pytest.raises(AlarmRefusedError, match="expected one that other systems report: ambient_temp"):
        await house.alarms.report(Condition(alarm="store_failed", priority=1, where="site", detail=""), by, None)
