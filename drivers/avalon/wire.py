"""What an Avalon says, field by field; no sockets and no decisions.

The status is one string of `KEY[value value] ` pairs: `MM ID0` on the A series, `MM ID0:Summary` in quotes and braces
on the Q, Mini and Nano. It is searched for the pairs that are wanted, not taken apart: an A1246 sends 6 KB of chips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum, nan
from typing import Any

from drivers._wire.cgminer import request
from drivers._wire.fields import degrees, hashes, mac, number, row, rows, rpm, seconds, text, watts, whole
from farmctl.ports.devices import Pool

VERSION = request("version")
STATS = request("stats")
ESTATS = request("estats")
POOLS = request("pools")

HASHES_PER_GIGAHASH = 1e9
WALL_W, OUTPUT_W = 6, 4
"""Places in PS: 3504 and 3189 W of an A1246 at work, 146 and 0 W of a Q in standby."""
RAIL, NANO_3_W = 1, 5
"""A Nano 3 has no 12 V rail and one measured draw: `0 0 0 4 2756 126 330` says 126 W, and `0 0 27541 4 0 3756 133`
of a 3s says 133 W."""
LATEST_S = 1e11
MODULE = "MM ID"
"""How the keys of the status begin."""
_FANS = tuple(f"Fan{number}" for number in range(1, 9))
_FAULTS = ("POWS", "PCOMM_E", "FanErr", "ECMM", "HASHS", "ECHU")
"""Counters and masks that are 0 where nothing is wrong; the last two have one number a board."""
MODES = ("low", "normal", "high")
"""workmode 0, 1, 2: eco, standard, super on a Q; the two rungs of an A1246 are its ATAOPTS0 and ATAOPTS1."""


@dataclass(slots=True)
class Stats:
    """The answer to stats: W, H/s, °C, s, rpm; NaN is unknown. Not frozen: each poll makes one."""

    work: str
    """`In Work`, `In Init`, `In Idle`; empty: not told."""
    softoff: int | None
    """0 runs, 4 or 5 sleeps, 6 right after a boot; None: not told."""
    power_w: float
    output_w: float
    """What the supply gives to the boards."""
    hash_rate_hs: float
    """Of this moment: GHSavg and MGHS are means over a life and stay high for hours of sleep."""
    expected_hs: float
    chip_temperature_c: float
    boards_c: tuple[float, ...]
    uptime_s: float
    power_limit_w: float
    mode: int | None
    fans_rpm: tuple[float, ...]
    boards: int | None
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The answer to version."""

    model: str
    firmware: str
    mac: str
    serial: str
    """Of the chip; empty where it says none or zeros."""


def parse_version(reply: Mapping[str, Any]) -> Version | None:
    """Read version; None where no Avalon answers."""
    fields = row(reply, "VERSION")
    product, model = text(fields.get("PROD")), text(fields.get("MODEL"))
    if not product.lower().startswith("avalon"):
        return None
    return Version(
        model=product if model in product else f"{product} {model}",
        firmware=text(fields.get("VERSION")) or text(fields.get("LVERSION")),
        mac=mac(fields.get("MAC")),
        serial=_dna(fields.get("DNA")),
    )


def parse_stats(reply: Mapping[str, Any]) -> Stats | None:
    """Read the status of all modules of one machine; None where the answer holds none."""
    found = row(reply, "STATS")
    bodies = [body for name, body in found.items() if name.startswith(MODULE) and type(body) is str]
    if not bodies:
        return None
    if len(bodies) == 1:
        return _stats(bodies[0])
    return _joined([_stats(body) for body in bodies])


def parse_serial(reply: Mapping[str, Any]) -> str:
    """Read the chip's number out of the status; a Nano 3 says it nowhere else."""
    for name, body in row(reply, "STATS").items():
        if name.startswith(MODULE) and type(body) is str:
            return _dna(_pairs(body).get("HDNA") or _pairs(body).get("DNA"))
    return ""


def parse_clock_s(reply: Mapping[str, Any]) -> float:
    """What the device believes the time to be, s; NaN unknown. An A1246 that was never told says 24701 after 24684."""
    when = number(row(reply, "STATUS").get("When"))
    return when if 0 < when <= LATEST_S else nan


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


def soft_power(*, asleep: bool, at_s: int) -> bytes:
    """Ask for sleep or waking at a time of the device's clock."""
    return request("ascset", f"0,{'softoff' if asleep else 'softon'},1:{at_s}")


def work_mode(mode: int) -> bytes:
    """Ask for a work mode, on firmware that calls it so."""
    return request("ascset", f"0,workmode,set,{mode}")


def work_level(mode: int) -> bytes:
    """The same on firmware that calls it a level (Nano 3)."""
    return request("ascset", f"0,worklevel,set,{mode}")


def light(*, on: bool) -> bytes:
    """Switch the light."""
    return request("ascset", f"0,led,{'1-1' if on else '1-0'}")


REBOOT = request("ascset", "0,reboot,0")


def _stats(status: str) -> Stats:
    body = _pairs(status)
    wall_w, output_w = _supply_w(body)
    hottest = _most([degrees(heat) for heat in (*_numbers(body, "MTmax"), _number(body, "TMax"))])
    boards_c = _numbers(body, "MTavg") or _numbers(body, "HBOTemp")
    softoff, mode, boards = _number(body, "SoftOFF"), body.get("WORKMODE", ""), _numbers(body, "MGHS")
    return Stats(
        work=_work(body),
        softoff=whole(softoff),
        power_w=wall_w,
        output_w=output_w,
        hash_rate_hs=_hash_rate(body),
        expected_hs=hashes(_number(body, "GHSmm"), HASHES_PER_GIGAHASH),
        chip_temperature_c=hottest if hottest > 0 else nan,  # 0: the chips are off
        boards_c=tuple([degrees(heat) for heat in boards_c if heat != 0]),
        uptime_s=seconds(_number(body, "Elapsed")),
        power_limit_w=watts(_number(body, "MPO")),
        mode=whole(number(mode or body.get("WORKLEVEL", ""))),
        fans_rpm=tuple([speed for name in _FANS if (speed := rpm(_number(body, name))) == speed]),
        boards=len(boards) or None,
        errors=_errors(body),
    )


def _joined(modules: list[Stats]) -> Stats:
    """One machine of several modules (A8, A9 on one controller): sums of what adds up, the worst of the rest."""
    first = modules[0]
    works = {module.work for module in modules}
    return Stats(
        work=first.work if len(works) == 1 else "In Work",
        softoff=first.softoff if len({module.softoff for module in modules}) == 1 else 0,
        power_w=fsum(module.power_w for module in modules),
        output_w=fsum(module.output_w for module in modules),
        hash_rate_hs=fsum(module.hash_rate_hs for module in modules),
        expected_hs=fsum(module.expected_hs for module in modules),
        chip_temperature_c=_most([module.chip_temperature_c for module in modules]),
        boards_c=tuple(heat for module in modules for heat in module.boards_c),
        uptime_s=min(module.uptime_s for module in modules),
        power_limit_w=fsum(module.power_limit_w for module in modules),
        mode=first.mode,
        fans_rpm=tuple(speed for module in modules for speed in module.fans_rpm),
        boards=sum(module.boards or 0 for module in modules) or None,
        errors=tuple(error for module in modules for error in module.errors),
    )


def _supply_w(body: Mapping[str, str]) -> tuple[float, float]:
    """Watts at the wall and to the boards."""
    supply, told_w = _numbers(body, "PS"), _number(body, "WALLPOWER")
    wall_w, output_w = _at(supply, WALL_W), _at(supply, OUTPUT_W)
    if _at(supply, RAIL) == 0:
        wall_w = output_w = wall_w if output_w == 0 else _at(supply, NANO_3_W)
    return watts(wall_w if told_w != told_w else told_w), watts(output_w)  # noqa: PLR0124 - NaN is unequal to itself


def _hash_rate(body: Mapping[str, str]) -> float:
    """Of this moment; where old firmware (A8, A9) tells none, the mean over its life, which it has no sleep to fool."""
    for key in ("GHSspd", "GHSavg"):
        rate = hashes(_number(body, key), HASHES_PER_GIGAHASH)
        if rate == rate or (key == "GHSspd" and body.get("SoftOFF")):  # noqa: PLR0124 - NaN is unequal to itself
            return rate
    return nan


def _pairs(status: str) -> dict[str, str]:
    """Text between the brackets of every key, the first one of each; a torn one at the end is missing.

    One split costs a fifth of searching for thirty keys in 6 KB of chips.
    """
    parts = status.split("]")
    parts.pop()  # behind the last bracket
    parts.reverse()
    return {key.rpartition(" ")[2]: value for key, found, value in [part.partition("[") for part in parts] if found}


def _dna(said: object) -> str:
    return found if (found := text(said)).strip("0") else ""


def _number(body: Mapping[str, str], key: str) -> float:
    return number(body.get(key, ""))


def _numbers(body: Mapping[str, str], key: str) -> list[float]:
    return [number(part) for part in body.get(key, "").split()]


def _work(body: Mapping[str, str]) -> str:
    """`In Work` of SYSTEMSTATU[Work: In Work, Hash Board: 3 ]."""
    return body.get("SYSTEMSTATU", "").partition("Work:")[2].partition(",")[0].strip()


def _errors(body: Mapping[str, str]) -> tuple[str, ...]:
    found = []
    for key in _FAULTS:
        if not body.get(key, "").strip(" 0"):
            continue
        counts = _numbers(body, key)
        for place, count in enumerate(counts):
            if count > 0:
                found.append(f"{key}{place if len(counts) > 1 else ''}:{count:.0f}")
    return tuple(found)


def _at(values: list[float], place: int) -> float:
    return values[place] if len(values) > place else nan


def _most(values: Iterable[float]) -> float:
    return max((value for value in values if value == value), default=nan)  # noqa: PLR0124 - NaN
