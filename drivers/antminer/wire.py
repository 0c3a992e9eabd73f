"""What a stock Antminer says on port 4028: `version`, `stats` and `pools` as nouns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import orjson

from drivers._wire.cgminer import request
from drivers._wire.fields import LEAST_C, MOST_C, hashes, number, row, rows, rpm, seconds, text
from farmctl.ports.devices import Pool

API_PORT = 4028
VERSION = request("version")
STATS = request("stats")
STATS_PAGE = orjson.dumps({"command": "stats", "new_api": True})
"""What `stats.cgi` of S21+ 202503 asks port 4028 for, and hands on: the page's figures without the page."""
POOLS = request("pools")

HASHES = {"": 1e9, "KH": 1e3, "MH": 1e6, "GH": 1e9, "TH": 1e12}
"""`rate_unit` of `stats` (S19 Pro 49.0.1.3: "GH"); older firmware has none and means GH by the key `GHS 5s`."""

FOREIGN = (
    "luxminer",
    "boser",
    "bosminer",
    "braiins",
    "vnish",
    "hiveon",
    "kaonsu",
    "marathon",
    "marafw",
    "luxos",
    "rwglr",
    "btminer",
    "pitbit",
    "bixbit",
    "bixfirmware",
)
"""Firmwares and makes that also say `Antminer` somewhere or answer `version` on 4028 (recordings; pyasic's factory)."""

_CHAINS = tuple(
    (f"chain_acn{n}", f"temp_chip{n}", f"temp_pcb{n}", f"temp2_{n}", f"temp{n}")
    for n in range(1, 17)  # S9-class boards sit on chains 6, 7 and 8
)
_FANS = tuple(f"fan{n}" for n in range(1, 9))
_SENSOR = re.compile(r"(?:^|-)(-?\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Who says it is an Antminer."""

    model: str
    """`Antminer S19 Pro`"""
    compiled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One look at the mining process, from `stats` or from `stats.cgi`; NaN and empty are unknown."""

    hash_rate_hs: float
    nominal_hs: float
    """`total_rateideal`: what this unit was sold as."""
    uptime_s: float
    """Of the mining process, which every change of mode restarts."""
    temperature_c: float
    board_temperatures_c: tuple[float, ...]
    """Hottest sensor of each board that is present."""
    fans_rpm: tuple[float, ...]
    boards: int | None
    power_w: float = nan
    """Only the newest firmware tells it, and only on its page (S23 Hyd., June 2026: `watt`; an L9: `power`)."""


def read_version(reply: Mapping[str, Any]) -> Version | None:
    """None for firmware that is not Bitmain's own, though it runs on Bitmain's boards."""
    found = row(reply, "VERSION")
    model = text(found.get("Type"))
    everything = f"{' '.join(found)} {' '.join(text(value) for value in found.values())} {_description(reply)}".lower()
    if not model.lower().startswith("antminer") or any(name in everything for name in FOREIGN):
        return None
    return Version(model=model, compiled=text(found.get("CompileTime")))


def read_stats(reply: Mapping[str, Any]) -> Live | None:
    """None where the reply has no mining figures at all: the process is starting or asleep."""
    # STATS[0] is who, STATS[1] is how; the repaired `}{` of old firmware gives the same two.
    found = next((entry for entry in rows(reply, "STATS") if "GHS 5s" in entry or "Elapsed" in entry), None)
    if found is None:
        return None
    unit = HASHES.get(text(found.get("rate_unit")).upper().partition("/")[0], nan)
    chips, boards = _temperatures(found)
    fans_expected = number(found.get("fan_num"))
    return Live(
        hash_rate_hs=hashes(found.get("GHS 5s"), unit),
        nominal_hs=hashes(found.get("total_rateideal"), unit),
        uptime_s=seconds(found.get("Elapsed")),
        temperature_c=max(chips, default=max(boards, default=nan)),
        board_temperatures_c=boards,
        fans_rpm=_fans([rpm(found.get(key)) for key in _FANS], fans_expected),
        boards=len(boards) or None,
    )


def read_pools(reply: Mapping[str, Any]) -> tuple[Pool, ...]:
    """Pools of `pools`; the reply has no passwords."""
    return tuple(
        Pool(
            url=text(pool.get("URL")),
            user=text(pool.get("User")),
            alive=_alive(pool.get("Status")),
            accepted=number(pool.get("Accepted")),
            rejected=number(pool.get("Rejected")),
            stale=number(pool.get("Stale")),
        )
        for pool in rows(reply, "POOLS")
        if text(pool.get("URL"))
    )


def sensors(value: object) -> tuple[float, ...]:
    """Readings of one chain: `73-45-64-65`, `-5--3-0-2`, a list or a number; 0 is a sensor that is not there.

    The recording shows 0 on every sensor of the chain that has no board.
    """
    if isinstance(value, str):
        try:
            found = [float(entry) for entry in value.split("-")]
        except ValueError:  # below zero
            found = [float(entry) for entry in _SENSOR.findall(value)]
    else:
        found = [number(entry) for entry in value] if isinstance(value, list) else [number(value)]
    return tuple([entry for entry in found if LEAST_C <= entry <= MOST_C and entry != 0.0])


def _temperatures(found: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    chips: list[float] = []
    boards: list[float] = []
    for chips_there, chip_key, board_key, old_chip_key, old_board_key in _CHAINS:
        if not found.get(chips_there) or not number(found[chips_there]) > 0:
            continue
        chips += sensors(found.get(chip_key)) or sensors(found.get(old_chip_key))
        board = sensors(found.get(board_key)) or sensors(found.get(old_board_key))
        boards.append(max(board, default=nan))
    return tuple(chips), tuple(boards)


def _fans(speeds: list[float], expected: float) -> tuple[float, ...]:
    # S9-class firmware leaves gaps (fan3 and fan6 of fan_num 2), so a fan is where a speed is; the missing ones stand.
    turning = [speed for speed in speeds if speed > 0]
    standing = int(expected) - len(turning) if expected == expected else 0  # noqa: PLR0124 - NaN differs from itself
    return (*turning, *[0.0] * max(0, min(standing, len(speeds))))


def _alive(status: object) -> bool | None:
    return {"alive": True, "dead": False}.get(text(status).lower())


def _description(reply: Mapping[str, Any]) -> str:
    return text(row(reply, "STATUS").get("Description"))
