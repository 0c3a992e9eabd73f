"""Models whose control is a web API: VNish, Braiins OS, Bitaxe and Auradine, old and new firmware."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.personality import Personality


def web_models(base: Personality) -> tuple[Personality, ...]:
    """Every model of these families; `base` is a stock Antminer, whose boards most of them run on."""
    return (*_vnish(base), *_braiins(base), *_bitaxe(base), *_auradine(base))


def _vnish(base: Personality) -> tuple[Personality, ...]:
    family = type(base.family)("vnish")
    s19 = replace(
        base,
        key="vnish-s19jpro",
        family=family,
        model="Antminer S19j Pro",
        firmware="1.2.7",
        api_version="1.2.7",
        full_w=3050.0,
        full_ths=100.0,
        standby_w=40.0,
        down_s=6.0,
        up_s=180.0,
        fast_up_s=180.0,
        boot_s=90.0,
        adjust_s=60.0,
        chips_per_board=126,
        frequency_mhz=545,
        hash_exponent=1.0,
        write_s=0.0,
        modes=frozenset(),
        quirks=frozenset(),
    )
    s21 = replace(
        s19,
        key="vnish-s21pro",
        model="Antminer S21 Pro",
        firmware="1.3.3",
        api_version="1.3.3",
        full_w=3520.0,
        full_ths=236.0,
        chips_per_board=65,
        frequency_mhz=595,
        adjust_s=20.0,
    )
    return s19, s21


def _braiins(base: Personality) -> tuple[Personality, ...]:
    """Up from pause in 5 s is what `quick-ramping` permits; without it a miner stabilises its temperature first."""
    old = replace(
        base,
        key="braiins-s19jpro",
        family=type(base.family)("braiins"),
        model="Antminer S19J Pro",
        firmware="2024-10-17-0-75912fc7-24.09-plus",
        api_version="3.7",
        full_w=3050.0,
        full_ths=100.0,
        standby_w=60.0,
        down_s=15.0,
        up_s=300.0,
        fast_up_s=5.0,
        boot_s=80.0,
        adjust_s=30.0,
        chips_per_board=126,
        frequency_mhz=545,
        write_s=0.0,
        modes=frozenset(),
        quirks=frozenset(),
    )
    new = replace(
        old,
        key="braiins-s19xp",
        model="Antminer S19 XP",
        firmware="2025-11-21-0-eb658dcd-25.11-plus",
        full_w=3031.0,
        full_ths=141.0,
        chips_per_board=110,
        frequency_mhz=560,
    )
    return old, new


def _bitaxe(base: Personality) -> tuple[Personality, ...]:
    """A desk miner of the makers' sheet: 1.2 TH/s at 17 W; it has no sleep, so standby is its idle board."""
    return (
        replace(
            base,
            key="bitaxe-gamma",
            family=type(base.family)("bitaxe"),
            model="BM1370",
            firmware="v2.9.0",
            api_version="v2.9.0",
            full_w=17.0,
            full_ths=1.071,
            standby_w=3.0,
            down_s=1.0,
            up_s=5.0,
            fast_up_s=5.0,
            boot_s=10.0,
            adjust_s=3.0,
            boards=1,
            chips_per_board=1,
            fans=1,
            frequency_mhz=525,
            hash_exponent=1.1,
            write_s=0.0,
            modes=frozenset(),
            quirks=frozenset(),
        ),
    )


def _auradine(base: Personality) -> tuple[Personality, ...]:
    return (
        replace(
            base,
            key="auradine-at2880",
            family=type(base.family)("auradine"),
            model="AT2880",
            firmware="2023-12.27",
            api_version="1.0",
            full_w=2880.0,
            full_ths=180.0,
            standby_w=59.0,
            down_s=10.0,
            up_s=240.0,
            fast_up_s=240.0,
            boot_s=60.0,
            adjust_s=30.0,
            chips_per_board=132,
            fans=4,
            frequency_mhz=300,
            write_s=0.0,
            modes=frozenset(),
            quirks=frozenset(),
        ),
    )
