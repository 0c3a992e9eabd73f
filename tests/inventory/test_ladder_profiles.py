from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.core.fleet import LadderBook
from farmctl.core.model import Ladder, PointKind
from farmctl.errors import ConfigError
from farmctl.inventory.fault import InventoryFaultsError
from farmctl.inventory.profiles import Profiles, ladder_for, limit_for, make_ladder, read_profiles

FOLDER = Path(__file__).parents[2] / "configs" / "profiles"
RECORDED_LUXOS = Path(__file__).parents[2] / "../shared/cases/luxos_s19kpro_2025.4.8.json"
SHIPPED = read_profiles((file.name, file.read_text()) for file in sorted(FOLDER.glob("*.toml")))
SETTING = re.compile(r"sleep|full|percent:[1-9][0-9]?|mode:[a-z]+|watts:[1-9][0-9]*")

WHATSMINERS = [
    "M20S",
    "M21S",
    "M30S",
    "M30S+",
    "M30S++",
    "M31S",
    "M31S+",
    "M32",
    "M50",
    "M50S",
    "M50S++",
    "M53",
    "M56S",
    "M60",
    "M60S",
    "M60S+",
    "M63S",
    "M66",
    "M66S",
]
ANTMINERS = [
    "S19",
    "S19 Pro",
    "S19j",
    "S19j Pro",
    "S19j Pro+",
    "S19k Pro",
    "S19 XP",
    "S19a",
    "T19",
    "S21",
    "S21 Pro",
    "S21+",
    "S21 XP",
    "T21",
]


def ladder(driver: str, model: str, firmware: str = "") -> Ladder:
    found = ladder_for(driver, model, firmware, SHIPPED)
    assert found is not None
    return found


def every_ladder(profiles: Profiles) -> list[Ladder]:
    models = {file.driver: file.model for file in profiles.files}
    return [
        make_ladder(f"{file.driver} {machine.match} {rule.match}", machine, rule)
        for file in profiles.files
        for machine in (*file.model, *models.get(file.models_of or "", ()))
        for rule in file.firmware
    ]


def test_every_shipped_ladder_rises_from_sleep_to_full() -> None:
    ladders = every_ladder(SHIPPED)
    assert len(ladders) > 250
    for made in ladders:
        assert [made.points[0].kind, made.points[-1].kind] == [PointKind.SLEEP, PointKind.FULL], made.name
        for lower, upper in pairwise(made.points):
            assert lower.power_w < upper.power_w, made.name
            assert lower.hash_rate_hs < upper.hash_rate_hs, made.name
        assert all(SETTING.fullmatch(point.setting) for point in made.points), made.name
        assert len({point.setting for point in made.points}) == len(made.points), made.name
    assert len(LadderBook.of(ladders).ladders) == len(ladders)


def test_every_shipped_machine_is_within_what_was_ever_sold() -> None:
    for file in SHIPPED.files:
        for machine in file.model:
            assert 10 <= machine.full_w / machine.full_ths <= 65, machine.match


@pytest.mark.parametrize("name", WHATSMINERS)
def test_a_common_whatsminer_has_its_own_entry(name: str) -> None:
    assert ladder("whatsminer", f"{name}_VH60", "20240624.18.REL").name == f"whatsminer {name}* *"


@pytest.mark.parametrize("name", ANTMINERS)
def test_a_common_antminer_has_its_own_entry_also_under_luxos(name: str) -> None:
    for driver in ("antminer", "luxos"):
        match = ladder(driver, f"Antminer {name}").name.removeprefix(f"{driver} ").removesuffix(" *")
        assert match.strip("*") == name


def test_the_most_specific_model_wins() -> None:
    assert ladder("whatsminer", "M30S++_VH60").points[-1].power_w == 3472
    assert ladder("whatsminer", "M30S+_VE40").points[-1].power_w == 3400
    assert ladder("whatsminer", "M30S_V50").points[-1].power_w == 3344
    assert ladder("antminer", "Antminer S19 XP Hyd.").points[-1].power_w == 5304
    assert ladder("antminer", "antminer s21 pro").points[-1].power_w == 3510


def test_firmware_decides_what_can_be_controlled() -> None:
    assert [p.setting for p in ladder("antminer", "Antminer S19 Pro", "49.0.1.3").points] == [
        "sleep",
        "mode:low",
        "full",
    ]
    newest = [p.setting for p in ladder("antminer", "Antminer S21", "FR-1.12(251009-S21)").points]
    assert newest == ["sleep", *(f"percent:{n}" for n in range(65, 100, 5)), "full"]
    assert [p.setting for p in ladder("whatsminer", "M30S++_VH60", "20210322.22.REL").points] == ["sleep", "full"]
    steps = [p.setting for p in ladder("whatsminer", "M50_VH50", "20230803.11.REL").points]
    assert steps == ["sleep", *(f"percent:{n}" for n in range(40, 100, 5)), "full"]


def test_an_unknown_model_gets_the_generic_figures_of_its_driver_and_an_unknown_driver_sleep_and_full() -> None:
    assert ladder("whatsminer", "M99").name == "whatsminer * *"
    assert [point.setting for point in ladder("nobody", "X").points] == ["sleep", "full"]
    only = read_profiles([("antminer.toml", (FOLDER / "antminer.toml").read_text())])
    assert ladder_for("nobody", "X", "", only) is None


@pytest.mark.skipif(not RECORDED_LUXOS.exists(), reason="the recorded LuxOS replies are not beside the checkout")
def test_the_luxos_fallback_is_near_what_a_real_unit_lists() -> None:
    listed = json.loads(RECORDED_LUXOS.read_text())["raw"]["tcp4028"]["profiles"]
    profiles = (json.loads(listed) if isinstance(listed, str) else listed)["PROFILES"]
    full = ladder("luxos", "Antminer S19k Pro").points[-1]
    shares = [(p["Watts"] / full.power_w, p["Hashrate"] * 1e12 / full.hash_rate_hs) for p in profiles]
    below_full = [(power, hashes) for power, hashes in shares if power <= 1.0]
    assert len(below_full) > 10
    for power, hashes in below_full:
        assert power**0.85 == pytest.approx(hashes, abs=0.03)


GOOD = """
driver = "x"
[[model]]
match = "*"
full_w = 100.0
full_ths = 10.0
source = { full_w = "plate", full_ths = "plate" }
[[firmware]]
sleep_w = 10.0
down_s = 1.0
up_s = 1.0
trim_s = 1.0
hash_exponent = 1.0
controls = { percent = { lowest = 50, highest = 90, step = 10 }, modes = { low = 0.8 } }
source = { sleep_w = "a", down_s = "a", up_s = "a", trim_s = "a", hash_exponent = "a", controls = "a" }
"""


def test_two_settings_with_the_same_draw_are_one_step() -> None:
    found = ladder_for("x", "any", "", read_profiles([("x.toml", GOOD)]))
    assert found is not None
    assert [point.power_w for point in found.points] == [10, 50, 60, 70, 80, 90, 100]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('full_w = "plate", ', "", "x.toml: model.0: Value error, source: expected exactly"),
        ("full_w = 100.0", "full_w = -1.0", "x.toml: model.0.full_w: Input should be greater than 0"),
        ("lowest = 50", "lowest = 95", "expected lowest at most highest"),
        ('driver = "x"', 'driver = "x"\nmodels_of = "y"', "models_of: no profile of y"),
        ('driver = "x"', 'driver = "x', "not TOML"),
        ("match", "mach", "model.0.mach: Extra inputs"),
    ],
)
def test_a_bad_profile_is_refused_with_its_key(old: str, new: str, fault: str) -> None:
    with pytest.raises(InventoryFaultsError) as caught:
        read_profiles([("x.toml", GOOD.replace(old, new, 1))])
    assert fault in str(caught.value)


@given(st.text())
def test_a_garbage_profile_never_raises_anything_but_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        read_profiles([("x.toml", text)])


def test_a_machine_has_the_heat_limit_of_its_model_else_of_its_firmware() -> None:
    assert limit_for("luxos", "Antminer S19k Pro", SHIPPED) == 70.0
    assert limit_for("bitaxe", "BM1368", SHIPPED) == 75.0
    assert math.isnan(limit_for("whatsminer", "M50S_VH20", SHIPPED))
