"""What distinguishes one model and firmware from another: ratings, timings, ladders and quirks.

Ratings are the vendors' data sheets; down, up and boot times are the ranges that operators publish
for the firmware (LuxOS curtail < 5 s down; Whatsminer 5-15 min up, < 2 min with fast boot;
stock Antminer 2-6 min up).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from simulators.models_direct import direct_models
from simulators.models_web import web_models

MHZ_STEP = 25
"""Distance of two LuxOS profiles (LuxOS 2025.4.8 on an S19k Pro lists 190, 215, ... MHz)."""

PROFILE_STEPS = range(-16, 9)
"""Step numbers of a LuxOS ladder around the default profile, as the same firmware lists them."""

DEFAULT_V, STEP_V, MIN_V = 13.5, 0.15, 11.88
"""Voltages of the same ladder: at the default profile, per step, and the lowest."""


class Family(StrEnum):
    """Which front a miner speaks through; the names farmctl's drivers have."""

    WHATSMINER = "whatsminer"
    ANTMINER = "antminer"
    LUXOS = "luxos"
    VNISH = "vnish"
    BRAIINS = "braiins"
    BITAXE = "bitaxe"
    AURADINE = "auradine"
    WHATSMINER_V3 = "whatsminer_v3"
    AVALON = "avalon"
    EPIC = "epic"


class Quirk(StrEnum):
    """A habit of one firmware that others do not have."""

    BTMINER_DOWN_REFUSES = "btminer_down_refuses"
    """Mined data cannot be read while stopped: "Socket connect failed: Connection refused"."""
    OLD_STATUS = "old_status"
    """status says btmineroff instead of mineroff."""
    NO_PERCENT = "no_percent"
    """The firmware is older than set_power_pct or the hash rate percentage."""
    API_CLOSED_ASLEEP = "api_closed_asleep"
    """Port 4028 refuses connections while the miner sleeps."""
    SHORT_CONF = "short_conf"
    """get_miner_conf.cgi knows only the handful of keys of the newest Antminer firmware."""
    NO_PORT_4028 = "no_port_4028"
    """A Whatsminer of API 3 that no longer serves the reads of API 2."""
    CLOCK_FROM_BOOT = "clock_from_boot"
    """The clock was never set: `When` counts from the boot, and so do timestamps of softoff."""
    SILENT_SOFTON = "silent_softon"
    """softon is carried out and the connection closed without a byte."""
    POWER_TUNE = "power_tune"
    """PowerPlay that tunes to watts, not only to TH/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One rung of a LuxOS ladder."""

    name: str
    step: int
    frequency_mhz: int
    voltage_v: float
    watts: int
    hash_rate_ths: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Personality:
    """One model with one firmware."""

    key: str
    family: Family
    model: str
    """As the device spells it: M50_VH50, Antminer S21."""
    firmware: str
    api_version: str
    full_w: float
    full_ths: float
    standby_w: float
    down_s: float
    up_s: float
    fast_up_s: float
    """With Whatsminer fast boot or LuxOS mode=unsafe."""
    boot_s: float
    adjust_s: float
    """Seconds to move over the whole range without a restart."""
    boards: int = 3
    chips_per_board: int
    fans: int
    frequency_mhz: int
    low_share: float = 0.8
    """Share of full watts in low-power mode."""
    hash_exponent: float = 0.9
    """hash share = power share ** this: throttled chips are more efficient."""
    write_s: float = 0.0
    """Seconds a write takes before it is answered (Bitmain's CGI does sync; sleep 1)."""
    modes: frozenset[int] = frozenset()
    """Values of miner-mode that set_miner_conf.cgi accepts."""
    ladder: tuple[Profile, ...] = ()
    quirks: frozenset[Quirk] = field(default_factory=frozenset)

    @property
    def j_per_th(self) -> float:
        """Efficiency at full power, J/TH."""
        return self.full_w / self.full_ths


def profiles(default_mhz: int, full_w: float, full_ths: float) -> tuple[Profile, ...]:
    """Make a LuxOS ladder: hash rate goes with frequency, watts with frequency times voltage.

    That is within 3 % of what an S19k Pro on LuxOS 2025.4.8 lists (190 MHz 11.88 V 784 W,
    590 MHz 13.5 V 2,794 W, 790 MHz 14.7 V 4,195 W); so are the voltages.
    """
    return tuple(_profile(step, default_mhz + step * MHZ_STEP, default_mhz, full_w, full_ths) for step in PROFILE_STEPS)


def personality(key: str) -> Personality:
    """Look a personality up; raises ValueError naming the known keys."""
    try:
        return PERSONALITIES[key]
    except KeyError:
        raise ValueError(f"model {key!r}: expected one of {', '.join(PERSONALITIES)}") from None


def _profile(step: int, mhz: int, default_mhz: int, full_w: float, full_ths: float) -> Profile:
    share = mhz / default_mhz
    voltage_v = round(max(MIN_V, DEFAULT_V + STEP_V * step), 2)
    return Profile(
        name="default" if step == 0 else f"{mhz}MHz",
        step=step,
        frequency_mhz=mhz,
        voltage_v=voltage_v,
        watts=round(full_w * share * voltage_v / DEFAULT_V),
        hash_rate_ths=round(full_ths * share, 1),
    )


_WHATSMINER = Personality(
    key="m50",
    family=Family.WHATSMINER,
    model="M50_VH50",
    firmware="20230803.11.REL",
    api_version="2.0.5",
    full_w=3306.0,
    full_ths=114.0,
    standby_w=28.0,
    down_s=12.0,
    up_s=600.0,
    fast_up_s=110.0,
    boot_s=90.0,
    adjust_s=8.0,
    chips_per_board=105,
    fans=2,
    frequency_mhz=650,
)

_ANTMINER = Personality(
    key="s21",
    family=Family.ANTMINER,
    model="Antminer S21",
    firmware="FR-1.12(251009-S21)",
    api_version="3.1",
    full_w=3500.0,
    full_ths=200.0,
    standby_w=35.0,
    down_s=8.0,
    up_s=300.0,
    fast_up_s=300.0,
    boot_s=75.0,
    adjust_s=20.0,
    chips_per_board=108,
    fans=4,
    frequency_mhz=490,
    write_s=1.0,
    modes=frozenset({0, 1, 2, 3, 5}),
    quirks=frozenset({Quirk.SHORT_CONF}),
)

_LUXOS = Personality(
    key="luxos-s19kpro",
    family=Family.LUXOS,
    model="Antminer S19k Pro",
    firmware="2025.4.8.220305",
    api_version="3.7",
    full_w=2794.0,
    full_ths=121.8,
    standby_w=25.0,
    down_s=4.0,
    up_s=60.0,
    fast_up_s=9.0,
    boot_s=45.0,
    adjust_s=25.0,
    chips_per_board=77,
    fans=4,
    frequency_mhz=590,
    ladder=profiles(590, 2794.0, 121.8),
)

PERSONALITIES: dict[str, Personality] = {
    p.key: p
    for p in (
        replace(
            _WHATSMINER,
            key="m30s++",
            model="M30S++_VH60",
            firmware="20210322.22.REL",
            api_version="whatsminer v1.4.0",
            full_w=3472.0,
            full_ths=112.0,
            fast_up_s=600.0,
            chips_per_board=78,
            quirks=frozenset({Quirk.BTMINER_DOWN_REFUSES, Quirk.OLD_STATUS, Quirk.NO_PERCENT}),
        ),
        _WHATSMINER,
        replace(
            _WHATSMINER,
            key="m60s",
            model="M60S_VK40",
            firmware="20240624.18.REL",
            api_version="2.0.6",
            full_w=3441.0,
            full_ths=186.0,
            up_s=420.0,
            chips_per_board=225,
            frequency_mhz=625,
        ),
        replace(
            _ANTMINER,
            key="s19pro",
            model="Antminer S19 Pro",
            firmware="49.0.1.3",
            full_w=3250.0,
            full_ths=110.0,
            chips_per_board=114,
            frequency_mhz=525,
            modes=frozenset({0, 1, 3}),
            quirks=frozenset({Quirk.NO_PERCENT}),
        ),
        _ANTMINER,
        _LUXOS,
        replace(
            _LUXOS,
            key="luxos-s21",
            model="Antminer S21",
            full_w=3500.0,
            full_ths=200.0,
            chips_per_board=108,
            frequency_mhz=490,
            ladder=profiles(490, 3500.0, 200.0),
        ),
        *web_models(_ANTMINER),
        *direct_models(_WHATSMINER, _ANTMINER, Profile, Quirk),
    )
}
"""Every model a world can be made of, by its key in the TOML."""
