"""Models with a wire of their own: Whatsminer on API 3, Avalon, and Antminers on ePIC's PowerPlay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.personality import Personality, Profile, Quirk


def direct_models(
    whatsminer: Personality, antminer: Personality, profile: type[Profile], quirk: type[Quirk]
) -> tuple[Personality, ...]:
    """Every model of these families; two makes lend their boards.

    The classes are handed in because the module that has them imports this one.
    """
    return (
        *_whatsminer_v3(whatsminer, quirk),
        *_avalon(whatsminer, profile, quirk),
        *_epic(antminer, profile, quirk),
    )


def _whatsminer_v3(base: Personality, quirk: type[Quirk]) -> tuple[Personality, ...]:
    """Ratings of the recorded M60S: factory-hash 181.051 TH/s, 17.6 J/TH, power-limit 3600."""
    open_4028 = replace(
        base,
        key="m60s-v3",
        family=type(base.family)("whatsminer_v3"),
        model="M60S_VK40",
        firmware="20251209.16.Rel2",
        api_version="3.0.2",
        full_w=3441.0,
        full_ths=186.0,
        up_s=420.0,
        adjust_s=3.0,
        chips_per_board=225,
        frequency_mhz=625,
    )
    return open_4028, replace(open_4028, key="m60s-v3only", quirks=frozenset({quirk("no_port_4028")}))


def _avalon(base: Personality, profile: type[Profile], quirk: type[Quirk]) -> tuple[Personality, ...]:
    """The A1246 of the recording (3,504 W at 83.9 TH/s), its younger sister, and the makers' three-mode Q."""
    a1246 = replace(
        base,
        key="a1246",
        family=type(base.family)("avalon"),
        model="1246-83",
        firmware="21072802_4ec6bb0_211fc46",
        api_version="3.7",
        full_w=3504.0,
        full_ths=83.9,
        standby_w=17.0,
        down_s=10.0,
        up_s=240.0,
        fast_up_s=240.0,
        boot_s=120.0,
        adjust_s=90.0,
        chips_per_board=120,
        fans=4,
        frequency_mhz=502,
        ladder=(_rung(profile, "low", -1, 2803, 68.0), _rung(profile, "normal", 0, 3504, 83.9)),
    )
    cold_clock = replace(a1246, key="a1246-no-ntp", quirks=frozenset({quirk("clock_from_boot")}))
    q = replace(
        a1246,
        key="avalon-q",
        model="Q",
        firmware="25052801_14a19a2",
        full_w=1674.0,
        full_ths=90.0,
        boards=1,
        chips_per_board=160,
        frequency_mhz=288,
        ladder=(
            _rung(profile, "eco", -2, 800, 52.0),
            _rung(profile, "standard", -1, 1300, 78.0),
            _rung(profile, "super", 0, 1674, 90.0),
        ),
        quirks=frozenset({quirk("silent_softon")}),
    )
    return a1246, cold_clock, q


def _epic(base: Personality, profile: type[Profile], quirk: type[Quirk]) -> tuple[Personality, ...]:
    """Tune presets as PowerPlay-BMS 1.5.13 lists them on an S19 XP."""
    s19xp = replace(
        base,
        key="epic-s19xp",
        family=type(base.family)("epic"),
        model="AntMiner S19 XP",
        firmware="PowerPlay-BMS v1.5.13",
        api_version="1.5.13",
        full_w=3350.0,
        full_ths=142.0,
        standby_w=45.0,
        down_s=6.0,
        up_s=240.0,
        fast_up_s=240.0,
        boot_s=90.0,
        adjust_s=60.0,
        chips_per_board=110,
        frequency_mhz=485,
        write_s=0.0,
        modes=frozenset(),
        ladder=(
            _rung(profile, "80", -3, 1700, 80.0),
            _rung(profile, "100", -2, 2200, 100.0),
            _rung(profile, "120", -1, 2700, 120.0),
            _rung(profile, "142", 0, 3350, 142.0),
            _rung(profile, "154", 1, 3850, 154.0),
        ),
        quirks=frozenset(),
    )
    return s19xp, replace(
        s19xp, key="epic-s19xp-powertune", firmware="PowerPlay-BMS v1.38.3", quirks=frozenset({quirk("power_tune")})
    )


def _rung(profile: type[Profile], name: str, step: int, watts: int, hash_rate_ths: float) -> Profile:
    return profile(name=name, step=step, frequency_mhz=0, voltage_v=0.0, watts=watts, hash_rate_ths=hash_rate_ths)
