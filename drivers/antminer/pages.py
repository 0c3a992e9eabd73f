"""What the CGI pages of a stock Antminer say, and the only two keys that are ever written to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import nan
from typing import Any

import orjson

from drivers._wire.fields import first_number, hashes, mac, number, row, rows, rpm, seconds, text, watts, whole
from drivers._wire.json_repair import loads
from drivers.antminer.wire import HASHES, Live, sensors
from farmctl.errors import MalformedReplyError, RefusedError
from farmctl.ports.devices import Pool, PoolLogin

SYSTEM = "/cgi-bin/get_system_info.cgi"
CONF = "/cgi-bin/get_miner_conf.cgi"
STATS = "/cgi-bin/stats.cgi"
PERCENT_RANGE = "/cgi-bin/get_adjustment_params.cgi"
WRITE = "/cgi-bin/set_miner_conf.cgi"
BLINK = "/cgi-bin/blink.cgi"
REBOOT = "/cgi-bin/reboot.cgi"

MODE_KEY = "miner-mode"
"""Written as `miner-mode`, kept and shown as `bitmain-work-mode`: five `set_miner_conf.cgi` of 2024 and 2025
(S21+, S21 Hyd., T21, S21XP Imm., S21 test fixture) read this name and no other."""
PERCENT_KEY = "bitmain-hashrate-percent"
SHOWN_MODE_KEYS = ("bitmain-work-mode", "miner-mode")

JSON_KEYS = frozenset({"firmware_type", "serinum"})
"""Shown by `get_system_info` of firmware whose other scripts take JSON (S19 Pro 2025, S21+ 2025)."""
FORM_KEYS = frozenset({"loadaverage", "mem_total", "ant_hwv"})
"""Shown by that of firmware whose scripts take forms by position (S17+ 202006): it has a work mode too, and would take
a JSON body for the address of its first pool and nothing for the rest."""

HIGHEST_PERCENT = 1000
"""No range goes further, whatever overclocking firmware calls a hundred."""

MOST_POOLS = 3
ACCEPTED = "M000"
BLINK_CODES = {True: "B000", False: "B100"}
"""What `blink.cgi` answers when it has switched on or off (pyasic waits for the same two)."""


class Mode(IntEnum):
    """Values of the work mode that this driver writes; firmware knows more (2, 5, 8)."""

    NORMAL = 0
    SLEEP = 1
    LOW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkConf:
    """The part of `get_miner_conf` that concerns power."""

    mode: int
    percent: int | None
    """None where the firmware has no percent control."""
    pools: tuple[Pool, ...]

    @property
    def setting(self) -> str:
        """The device's operating point in the grammar of `OperatingPoint.setting`."""
        match self.mode:
            case Mode.SLEEP:
                return "sleep"
            case Mode.LOW:
                return "mode:low"
            case Mode.NORMAL if self.percent is not None and self.percent < 100:  # noqa: PLR2004 - per cent
                return f"percent:{self.percent}"
            case Mode.NORMAL:
                return "full"
            case other:
                return f"mode:{other}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentRange:
    """How far the hash rate can be set, %."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Who the control board says it is."""

    model: str
    firmware: str
    mac: str
    serial: str
    takes_json: bool | None
    """Whether its scripts take JSON; None: the page does not tell."""


def read_system(body: bytes, where: str) -> System:
    """Parse `get_system_info`; fields that are missing are empty. Raises MalformedReplyError."""
    found = page(body, where)
    return System(
        model=text(found.get("minertype")),
        firmware=text(found.get("system_filesystem_version")),
        mac=_own_mac(text(found.get("macaddr"))),
        serial=_own_serial(text(found.get("serinum"))),
        takes_json=False if found.keys() & FORM_KEYS else bool(found.keys() & JSON_KEYS) or None,
    )


def read_conf(body: bytes, where: str) -> WorkConf:
    """Parse `get_miner_conf`.

    Raises MalformedReplyError where it shows no work mode: that is no firmware whose writes take JSON, and a JSON
    body in the form-encoded script of S9-class firmware would read as empty pools.
    """
    found = page(body, where)
    shown = next((found[key] for key in SHOWN_MODE_KEYS if key in found), "missing")
    # The script of S21 251009 is a `jq` that names the key: null is a mode that nobody ever set.
    mode = Mode.NORMAL if shown is None and isinstance(found.get("pools"), list) else whole(number(shown))
    if mode is None:
        raise MalformedReplyError(f"{where}: no {SHOWN_MODE_KEYS[0]}, expected a number: not touching this firmware")
    percent = number(found.get(PERCENT_KEY))
    return WorkConf(
        mode=mode,
        percent=whole(percent),
        pools=tuple(
            Pool(url=text(pool.get("url")), user=text(pool.get("user")), alive=None)
            for pool in rows(found, "pools")
            if text(pool.get("url"))
        ),
    )


def read_stats_page(body: bytes, where: str) -> Live | None:
    """Parse `stats.cgi`; None where STATS is empty, as asleep. Raises MalformedReplyError where it is missing."""
    return read_stats(page(body, where), where)


def read_stats(found: Mapping[str, Any], where: str) -> Live | None:
    """The same from an object, wherever it came from."""
    if not isinstance(found.get("STATS"), list):
        raise MalformedReplyError(f"{where}: no STATS, expected a list")
    if not found["STATS"]:
        return None
    stats = row(found, "STATS")
    power_w = watts(first_number(stats, "watt", "power"))
    unit = HASHES.get(text(stats.get("rate_unit")).upper().partition("/")[0], nan)
    chains = rows(stats, "chain")
    boards = tuple(max(sensors(chain.get("temp_pcb")), default=nan) for chain in chains)
    chips = [reading for chain in chains for reading in sensors(chain.get("temp_chip"))]
    fans = stats.get("fan")
    return Live(
        hash_rate_hs=hashes(stats.get("rate_5s"), unit),
        nominal_hs=hashes(stats.get("rate_ideal"), unit),
        uptime_s=seconds(stats.get("elapsed")),
        temperature_c=max(chips, default=max(boards, default=nan)),
        board_temperatures_c=boards,
        fans_rpm=tuple(rpm(speed) for speed in fans) if isinstance(fans, list) else (),
        boards=len(chains) or None,
        power_w=power_w if power_w > 0 else nan,
    )


def read_percent_range(body: bytes, where: str) -> PercentRange | None:
    """Parse `get_adjustment_params`; None where the page itself says no or gives no range.

    S21+ 202502 answers `hashrate_percent_support` and numbers, FR-1.23 S21+ Hyd. numbers as text in 65..100.
    """
    found = page(body, where)
    low, high = number(found.get("hashrate_percent_min")), number(found.get("hashrate_percent_max"))
    if found.get("hashrate_percent_support") is False or not 0 < low < high <= HIGHEST_PERCENT:
        return None
    return PercentRange(low=int(low), high=int(high))


def pool_keys(pools: Sequence[PoolLogin]) -> dict[str, list[dict[str, str]]]:
    """The one key of pools: all three places, for the script keeps what an absent one had."""
    rows = [{"url": pool.url, "user": pool.user, "pass": pool.password} for pool in pools]
    return {"pools": [*rows, *[{"url": "", "user": "", "pass": ""}] * (MOST_POOLS - len(rows))]}


def check_accepted(body: bytes, where: str) -> None:
    """Return if a write was accepted; raises RefusedError with the device's words, MalformedReplyError."""
    found = page(body, where)
    if text(found.get("code")) != ACCEPTED:
        said = f"code {text(found.get('code'))!r}, {text(found.get('msg'))!r}"
        raise RefusedError(f"{where}: {said}, expected {ACCEPTED}")


def page(body: bytes, where: str) -> Mapping[str, Any]:
    """The JSON object of a page. Raises MalformedReplyError.

    Some scripts talk before they answer: `set_miner_conf.cgi` of FR-1.38 (S21XP Imm.) prints
    "Received JSON data." and "free power from web is null" above its JSON.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        start = body.find(b"\n{")
        try:
            found = loads(body[start + 1 :])
        except MalformedReplyError:
            found = None
    if not isinstance(found, dict):
        raise MalformedReplyError(f"{where}: {body[:60]!r}, expected a JSON object")
    return found


def _own_mac(said: str) -> str:
    found = mac(said)
    return "" if found == "00:00:00:00:00:00" else found


def _own_serial(said: str) -> str:
    # What the script says where /config/sn is empty: not one miner of a farm, but all of them.
    return "" if said.lower() == "unknown" else said
