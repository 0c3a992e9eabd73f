"""What a Whatsminer of API v2 says, field by field; no sockets and no decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from drivers._wire.cgminer import request
from drivers._wire.fields import (
    degrees,
    first_number,
    flag,
    hashes,
    mac,
    number,
    row,
    rows,
    rpm,
    seconds,
    table,
    text,
    watts,
)
from drivers._wire.fields import status as head_of
from farmctl.ports.devices import Pool, PoolLogin

SUMMARY = request("summary")
STATUS = request("status")
GET_VERSION = request("get_version")
GET_MINER_INFO = request("get_miner_info")
GET_ERROR_CODE = request("get_error_code")
DEVDETAILS = request("devdetails")
DEVS = request("devs")
POOLS = request("pools")
GET_TOKEN = request("get_token")

HASHES_PER_MEGAHASH = 1e6
HASHES_PER_GIGAHASH = 1e9
OK = 131
MOST_POOLS = 3
MOST_ERRORS = 64

_HASH_FIELDS = ("HS RT", "MHS 5s", "MHS 1m", "MHS 5m", "MHS av")
"""Best first. "HS RT" is in MH/s whatever its name says: 67394800.97 on a 67 TH/s M21S, fw 20210322.22."""

_POWER_FIELDS = ("Power", "Power_RT")
"""The field that every firmware has comes first; fw 20210322.22 has both, 3417 and 3427 W. -1 is not measured."""

_MODEL_FIELDS = ("miner_type", "minertype")
"""In get_version of firmware that refuses devdetails (20250915: M50S+, 20251209: M60S_VK40)."""

_PERCENT_FIELDS = ("Power Percent", "hash_percent")


@dataclass(slots=True)
class Summary:
    """The answer to summary: W, H/s, °C, s; NaN is unknown. Not frozen: that costs 0.8 us of each poll."""

    power_w: float
    hash_rate_hs: float
    chip_temperature_c: float
    board_temperature_c: float
    uptime_s: float
    """Age of the mining process, which is what commands start again."""
    power_limit_w: float
    percent: int | None
    is_stable: bool | None
    """Whether the frequencies have finished rising."""
    fans_rpm: tuple[float, ...]
    errors: tuple[str, ...] | None
    """None: this firmware does not tell them here, but in get_error_code."""
    ambient_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerStatus:
    """The answer to status."""

    is_off: bool | None
    percent: int | None
    """1 to 100; None: this firmware does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The answer to get_version."""

    api: str
    firmware: str
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Who the answer to get_miner_info says it is; empty where the firmware lacks the command or the field."""

    mac: str
    serial: str


def parse_summary(reply: Mapping[str, Any]) -> Summary | None:
    """Read a summary; None where the reply holds none (an error, another family)."""
    fields = _summary(reply)
    if not fields:
        return None
    heat_c, chips_c = degrees(fields.get("Temperature")), degrees(fields.get("Chip Temp Max"))
    return Summary(
        _first_known(fields, _POWER_FIELDS, watts),
        _first_known(fields, _HASH_FIELDS, _megahashes),
        chips_c if chips_c > 0 else heat_c,  # 0: the chips are off
        heat_c,
        seconds(first_number(fields, "Elapsed", "Uptime")),
        watts(fields.get("Power Limit")),
        _percent(first_number(fields, *_PERCENT_FIELDS)),
        flag(fields.get("Hash Stable")),
        (rpm(fields.get("Fan Speed In")), rpm(fields.get("Fan Speed Out"))),
        _errors(fields, number(fields["Error Code Count"])) if "Error Code Count" in fields else None,
        number(fields.get("Env Temp")),
    )


def parse_status(reply: Mapping[str, Any]) -> MinerStatus:
    """Read status; "mineroff" is "btmineroff" before API 2.0."""
    msg = reply.get("Msg")
    if not isinstance(msg, dict):
        return MinerStatus(is_off=None, percent=None)
    off = flag(msg.get("mineroff"))
    return MinerStatus(
        is_off=flag(msg.get("btmineroff")) if off is None else off,
        percent=_percent(number(msg.get("hash_percent"))),
    )


def parse_version(reply: Mapping[str, Any]) -> Version | None:
    """Read get_version; None where no Whatsminer answers: others know no such command."""
    msg = reply.get("Msg")
    # Firmware of 2025 was seen with a head that has no code.
    if not isinstance(msg, dict) or (head_of(reply).code != OK and "fw_ver" not in msg):
        return None
    return Version(
        # Firmware of 2021 says "whatsminer v1.4.0", later ones "2.0.5".
        api=text(msg.get("api_ver")).removeprefix("whatsminer v"),
        firmware=text(msg.get("fw_ver")),
        model=next((model for name in _MODEL_FIELDS if (model := text(msg.get(name)))), ""),
    )


def is_of_the_make(reply: Mapping[str, Any]) -> bool:
    """Whether whoever refuses a command is btminer."""
    said = head_of(reply).description.lower()
    return "whatsminer" in said or "btminer" in said


def parse_old_version(reply: Mapping[str, Any]) -> Version:
    """Firmware as a summary tells it: "'20190801.00.REL'", or nothing."""
    return Version(api="1", firmware=text(_summary(reply).get("Firmware Version")))


def count_boards(reply: Mapping[str, Any]) -> int | None:
    """Boards that devs lists, for firmware without devdetails."""
    return len(rows(reply, "DEVS")) or None


def parse_label(reply: Mapping[str, Any]) -> Label:
    """Read get_miner_info."""
    msg = table(reply, "Msg")
    return Label(mac=mac(msg.get("mac")), serial=text(msg.get("minersn")))


def parse_error_codes(reply: Mapping[str, Any]) -> tuple[str, ...]:
    """Read get_error_code: `["110"]`, `[{"110": "<when>"}]` or the dictionary alone; what is no code is left out."""
    said = table(reply, "Msg").get("error_code")
    found: list[str] = []
    for entry in (said if isinstance(said, list) else [said])[:MOST_ERRORS]:
        found += [code for code in (entry if isinstance(entry, dict) else [text(entry)]) if code.isdecimal()]
    return tuple(found)


def is_process_down(reply: Mapping[str, Any]) -> bool:
    """Whether an answer says that the mining process is down: "btminer process is down err"."""
    return "process is down" in head_of(reply).message


def parse_summary_mac(reply: Mapping[str, Any]) -> str:
    """MAC in a summary: old firmware says it there and nowhere else."""
    return mac(_summary(reply).get("MAC"))


def parse_nominal_hs(reply: Mapping[str, Any]) -> float:
    """Hash rate that the factory measured, H/s."""
    return hashes(_summary(reply).get("Factory GHS"), HASHES_PER_GIGAHASH)


def parse_boards(reply: Mapping[str, Any]) -> tuple[str, int | None]:
    """Model as the device spells it and the number of boards."""
    details = rows(reply, "DEVDETAILS")
    return (text(details[0].get("Model")) if details else "", len(details) or None)


def parse_pools(reply: Mapping[str, Any]) -> tuple[Pool, ...]:
    """Read the pools that have an address."""
    return tuple(
        Pool(
            url=text(fields.get("URL")),
            user=text(fields.get("User")),
            alive=None if "Status" not in fields else fields["Status"] == "Alive",
            accepted=number(fields.get("Accepted")),
            rejected=number(fields.get("Rejected")),
            stale=number(fields.get("Stale")),
        )
        for fields in rows(reply, "POOLS")
        if fields.get("URL")
    )


def pool_keys(pools: Sequence[PoolLogin]) -> dict[str, str]:
    """Keys of update_pools: all three places are named, for one that is not named keeps what it had."""
    keys: dict[str, str] = {}
    for place in range(MOST_POOLS):
        pool = pools[place] if place < len(pools) else PoolLogin(url="", user="", password="")
        keys |= {f"pool{place + 1}": pool.url, f"worker{place + 1}": pool.user, f"passwd{place + 1}": pool.password}
    return keys


def _percent(value: float) -> int | None:
    if not isfinite(value):
        return None
    # 0 is what an M30S++ and an M60S report that were never throttled.
    return int(value) if 0 < value <= 100 else 100  # noqa: PLR2004 - a percentage


def _summary(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one row of a summary: in a list as cgminer has it, or in `Msg`, as on 7 of 20 of one farm."""
    return row(reply, "SUMMARY") or table(reply, "Msg")


def _first_known(fields: Mapping[str, Any], names: Sequence[str], parse: Callable[[object], float]) -> float:
    """The first of these fields whose figure can be true; NaN where none can, and it differs from itself."""
    for name in names:
        if name in fields and (found := parse(fields[name])) == found:
            return found
    return nan


def _megahashes(value: object) -> float:
    return hashes(value, HASHES_PER_MEGAHASH)


def _errors(fields: Mapping[str, Any], count: float) -> tuple[str, ...]:
    if not 0 < count <= MOST_ERRORS:
        return ()
    codes = (text(fields.get(f"Error Code {index}")) for index in range(int(count)))
    return tuple(code for code in codes if code)


NO_SUMMARY = Summary(nan, nan, nan, nan, nan, nan, None, None, (), None, nan)
"""What is known of a miner whose mining process is down."""
