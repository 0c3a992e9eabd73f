from __future__ import annotations

import math

import pytest

from farmctl.config.shipped import shipped_profiles
from farmctl.inventory.fault import InventoryFaultsError
from farmctl.inventory.profiles import estimate_power, read_profiles


def test_a_stock_antminer_gets_its_watts_from_its_model_with_what_they_may_be_off_by() -> None:
    profiles = read_profiles(shipped_profiles())
    full = estimate_power("antminer", "Antminer S19 Pro", "x", 110e12, profiles)
    half = estimate_power("antminer", "Antminer S19 Pro", "x", 55e12, profiles)
    asleep = estimate_power("antminer", "Antminer S19 Pro", "x", 0.0, profiles)
    assert full is not None
    assert half is not None
    assert asleep is not None
    assert (full.power_w, full.pm_w) == pytest.approx((3250.0, 325.0))
    assert asleep.power_w < 60.0 < half.power_w < full.power_w
    assert estimate_power("antminer", "Antminer S19 Pro", "x", math.nan, profiles) is None
    assert estimate_power("nobody's", "Nothing", "x", math.nan, profiles) is None


def test_a_spread_without_its_source_is_a_fault() -> None:
    text = 'driver = "x"\nwatts_pm_pct = 5.0\n[[firmware]]\nmatch = "*"\n'
    with pytest.raises(InventoryFaultsError):
        read_profiles([("x.toml", text)])
