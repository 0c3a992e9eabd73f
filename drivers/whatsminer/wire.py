"""What a Whatsminer of API v2 says, field by field; no sockets and no decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
DEVDETAILS = request("devdetails")
DEVS = request("devs")
POOLS = request("pools")
GET_TOKEN = request("get_token")

HASHES_PER_MEGAHASH = 1e6
HASHES_PER_GIGAHASH = 1e9
OK = 131
MOST_POOLS = 3

_HASH_FIELDS = ("HS RT", "MHS 5s", "MHS 1m", "MHS 5m", "MHS av")
"""Best first. "HS RT" is in MH/s whatever its name says: 67394800.97 on a 67 TH/s M21S, fw 20210322.22."""

_POWER_FIELDS = ("Power", "Power_RT")
"""The field that every firmware has comes first; fw 20210322.22 has both, 3417 and 3427 W."""

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
    errors: tuple[str, ...]
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


def parse_summary(reply: Mapping[str, Any]) -> Summary | None:
    """Read a summary; None where the reply holds none (an error, another family)."""
    fields = row(reply, "SUMMARY") or table(reply, "Msg")
    if not fields:
        return None
    count = fields.get("Error Code Count")
    heat_c = degrees(fields.get("Temperature"))
    chips = fields.get("Chip Temp Max")
    return Summary(
        watts(first_number(fields, *_POWER_FIELDS)),
        hashes(first_number(fields, *_HASH_FIELDS), HASHES_PER_MEGAHASH),
        degrees(chips) if chips else heat_c,  # 0: the chips are off
        heat_c,
        seconds(first_number(fields, "Elapsed", "Uptime")),
        watts(fields.get("Power Limit")),
        _percent(first_number(fields, *_PERCENT_FIELDS)),
        flag(fields.get("Hash Stable")),
        (rpm(fields.get("Fan Speed In")), rpm(fields.get("Fan Speed Out"))),
        _errors(fields, int(count)) if isinstance(count, int) and count > 0 else (),
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
    if head_of(reply).code != OK or not isinstance(msg, dict):
        return None
    # Firmware of 2021 says "whatsminer v1.4.0", later ones "2.0.5".
    return Version(api=text(msg.get("api_ver")).removeprefix("whatsminer v"), firmware=text(msg.get("fw_ver")))


def is_of_the_make(reply: Mapping[str, Any]) -> bool:
    """Whether whoever refuses a command is btminer."""
    said = head_of(reply).description.lower()
    return "whatsminer" in said or "btminer" in said


def parse_old_version(reply: Mapping[str, Any]) -> Version:
    """Firmware as a summary tells it: "'20190801.00.REL'", or nothing."""
    return Version(api="1", firmware=text(row(reply, "SUMMARY").get("Firmware Version")))


def count_boards(reply: Mapping[str, Any]) -> int | None:
    """Boards that devs lists, for firmware without devdetails."""
    return len(rows(reply, "DEVS")) or None


def parse_info_mac(reply: Mapping[str, Any]) -> str:
    """MAC in the answer to get_miner_info; empty on firmware that lacks the command or the field."""
    msg = reply.get("Msg")
    return mac(msg.get("mac")) if isinstance(msg, dict) else ""


def parse_summary_mac(reply: Mapping[str, Any]) -> str:
    """MAC in a summary: old firmware says it there and nowhere else."""
    return mac(row(reply, "SUMMARY").get("MAC"))


def parse_nominal_hs(reply: Mapping[str, Any]) -> float:
    """Hash rate that the factory measured, H/s."""
    return hashes(row(reply, "SUMMARY").get("Factory GHS"), HASHES_PER_GIGAHASH)


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


def _errors(fields: Mapping[str, Any], count: int) -> tuple[str, ...]:
    codes = (text(fields.get(f"Error Code {index}")) for index in range(min(count, 64)))
    return tuple(code for code in codes if code)


NO_SUMMARY = Summary(nan, nan, nan, nan, nan, nan, None, None, (), (), nan)
"""What is known of a miner whose mining process is down."""
