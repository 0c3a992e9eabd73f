"""The columns of the simulated fleet move as miners do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.personality import PERSONALITIES, Family, personality
from simulators.physics import AMBIENT_SWING, BOOT_DRAW_W, Fleet


def _fleet(model: str = "m50", count: int = 1, **options: float) -> Fleet:
    rng = np.random.default_rng(7)
    spread = options.pop("spread", 0.0)
    return Fleet([personality(model)] * count, rng=rng, spread=spread, **options)


def test_a_settled_miner_stays_where_it_is() -> None:
    fleet = _fleet()
    before = fleet.power_w.copy()
    fleet.step(60)
    assert fleet.power_w == pytest.approx(before)
    assert fleet.hash_ths[0] == pytest.approx(personality("m50").full_ths)


def test_power_ramps_down_within_the_time_of_the_firmware() -> None:
    fleet, model = _fleet(), personality("m50")
    fleet.asleep[0] = True
    fleet.step(model.down_s / 2)
    assert model.standby_w < fleet.power_w[0] < model.full_w * 0.6
    fleet.step(model.down_s / 2 + 1)
    assert fleet.power_w[0] == pytest.approx(model.standby_w)
    assert fleet.hash_ths[0] == 0


def test_hash_rate_lags_power_on_the_way_up() -> None:
    fleet, model = _fleet(), personality("m50")
    fleet.asleep[0] = True
    fleet.step(60)
    fleet.asleep[0] = False
    fleet.step(model.up_s / 2)
    power_share = fleet.power_w[0] / model.full_w
    hash_share = fleet.hash_ths[0] / model.full_ths
    assert 0.4 < power_share < 0.6
    assert 0 < hash_share < power_share
    fleet.step(model.up_s)
    assert fleet.hash_ths[0] == pytest.approx(model.full_ths)


def test_start_up_draws_more_than_the_settled_miner() -> None:
    fleet = _fleet()
    settled_w = fleet.power_w[0]
    fleet.warm[0] = 0.5
    fleet.step(30)
    assert fleet.power_w[0] > settled_w


def test_a_reboot_drops_power_at_once_and_comes_back() -> None:
    fleet, model = _fleet(), personality("m50")
    fleet.reboot(0, boot_s=model.boot_s)
    fleet.step(1)
    assert fleet.power_w[0] <= BOOT_DRAW_W
    assert fleet.booting()[0]
    fleet.step(model.boot_s + model.up_s + 60)
    assert fleet.power_w[0] == pytest.approx(fleet.settled_w()[0])


def test_a_reboot_that_ends_inside_a_long_step_is_not_lost() -> None:
    fleet = _fleet()
    fleet.reboot(0, boot_s=30)
    fleet.step(3600)
    assert fleet.power_w[0] == pytest.approx(fleet.settled_w()[0])


def test_a_throttled_miner_hashes_more_per_watt() -> None:
    fleet, model = _fleet(), personality("m50")
    fleet.aim(0, model.full_w * 0.7)
    fleet.step(600)
    assert fleet.power_w[0] == pytest.approx(model.full_w * 0.7, rel=0.01)
    assert fleet.power_w[0] / fleet.hash_ths[0] < model.j_per_th


def test_ambient_temperature_moves_power_by_seven_per_cent_over_its_span() -> None:
    cold, hot = _fleet(ambient_c=5.0), _fleet(ambient_c=45.0)
    swing = (hot.power_w[0] - cold.power_w[0]) / personality("m50").full_w
    assert swing == pytest.approx(AMBIENT_SWING)


def test_power_follows_the_warmth_of_the_day() -> None:
    fleet = _fleet(ambient_swing_c=10.0)
    morning_w = fleet.power_w[0]
    fleet.step(6 * 3600)
    noon_w = fleet.power_w[0]
    fleet.step(12 * 3600)
    midnight_w = fleet.power_w[0]
    assert midnight_w < morning_w < noon_w
    assert noon_w - midnight_w < personality("m50").full_w * AMBIENT_SWING


def test_time_scale_runs_the_device_faster() -> None:
    slow, fast = _fleet(), _fleet(time_scale=10.0)
    for fleet in (slow, fast):
        fleet.asleep[0] = True
        fleet.step(1)
    assert fast.power_w[0] < slow.power_w[0]


def test_the_same_seed_gives_the_same_spread_of_efficiency() -> None:
    one, two = _fleet(count=500, spread=0.015), _fleet(count=500, spread=0.015)
    assert one.power_w.tolist() == two.power_w.tolist()
    assert one.efficiency.std() == pytest.approx(0.015, rel=0.2)


@given(
    orders=st.lists(
        st.tuples(st.sampled_from(["sleep", "wake", "aim", "reboot"]), st.floats(0.2, 200.0)),
        max_size=12,
    )
)
def test_power_never_leaves_its_bounds(orders: list[tuple[str, float]]) -> None:
    fleet, model = _fleet("luxos-s21"), personality("luxos-s21")
    for order, seconds in orders:
        match order:
            case "sleep":
                fleet.asleep[0] = True
            case "wake":
                fleet.asleep[0] = False
            case "aim":
                fleet.aim(0, model.full_w * 0.5)
            case _:
                fleet.reboot(0, boot_s=10)
        fleet.step(seconds)
        assert 0 <= fleet.power_w[0] <= model.full_w * 1.1
        assert 0 <= fleet.hash_ths[0] <= model.full_ths * 2
        assert np.isfinite(fleet.chip_c[0])


def test_there_are_models_of_every_family_and_their_efficiency_is_believable() -> None:
    assert {p.family for p in PERSONALITIES.values()} == set(Family)
    assert len(PERSONALITIES) >= 6
    # an S21 Pro is sold with 15 J/TH and an A1246 was recorded at 41.8
    assert all(14 < p.j_per_th < 45 for p in PERSONALITIES.values())


def test_a_luxos_ladder_rises_in_watts_hash_rate_and_step() -> None:
    ladder = personality("luxos-s19kpro").ladder
    for lower, higher in itertools.pairwise(ladder):
        assert lower.watts < higher.watts
        assert lower.hash_rate_ths < higher.hash_rate_ths
        assert lower.step + 1 == higher.step
    # watts and hash rate that an S19k Pro with LuxOS 2025.4.8 lists for 190 MHz
    assert ladder[0].watts == pytest.approx(784, rel=0.03)
    assert ladder[0].hash_rate_ths == pytest.approx(39.2, rel=0.03)
