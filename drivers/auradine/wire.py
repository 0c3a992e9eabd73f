"""What FluxOS says, field by field; no sockets and no decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from drivers._wire.fields import degrees, flag, hashes, mac, number, row, rows, rpm, seconds, status, text, watts
from farmctl.ports.devices import Pool

HASHES_PER_MEGAHASH = 1e6
HASHES_PER_TERAHASH = 1e12
MODES = ("eco", "normal", "turbo")
CUSTOM = "custom"

_UNIT = re.compile(r"^\s*(-?[\d.]+)\s*[A-Za-z]*\s*$")
_TOKEN_WORDS = ("token", "session", "expired", "unauthorized")


@dataclass(slots=True)
class Summary:
    """The answer to summary: H/s, s; watts where newer firmware has them there. Not frozen: each poll makes one."""

    hash_rate_hs: float
    uptime_s: float
    power_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """The answer to mode."""

    name: str
    is_asleep: bool | None
    power_w: float
    """Watt target of a custom mode; NaN none."""
    hash_rate_hs: float

    @property
    def setting(self) -> str | None:
        """The operating point in the grammar of `OperatingPoint.setting`; None where it cannot be said."""
        if self.is_asleep:
            return "sleep"
        if self.is_asleep is None or not self.name:
            return None
        if self.name == "normal":
            return "full"
        if self.name == CUSTOM:
            return f"watts:{self.power_w:.0f}" if self.power_w > 0 else None
        return f"mode:{self.name}"


@dataclass(slots=True)
class Heat:
    """The answer to temperature, °C."""

    hottest_c: float
    boards_c: tuple[float, ...]
    """Hottest sensor of each hash board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer to ipreport: who it is."""

    model: str
    firmware: str
    mac: str
    serial: str
    boards: int | None


def parse_summary(reply: object) -> Summary | None:
    """None where the reply has no summary."""
    fields = row(reply, "SUMMARY") if isinstance(reply, dict) else {}
    if not fields:
        return None
    return Summary(
        hashes(fields.get("MHS 5s"), HASHES_PER_MEGAHASH),
        seconds(fields.get("Elapsed")),
        watts(measure(fields.get("Wattage"))),
    )


def parse_power_w(reply: object) -> float:
    """`PowerIn` of psu, at the plug; NaN unknown."""
    supplies = rows(reply, "PSU") if isinstance(reply, dict) else []
    found = [_plug_w(supply) for supply in supplies]
    return sum(found) if found else nan


def parse_mode(reply: object) -> Mode | None:
    """None where the reply has no mode."""
    fields = row(reply, "Mode") if isinstance(reply, dict) else {}
    if not fields:
        return None
    said = fields.get("Sleep")
    asleep = {"on": True, "off": False}.get(said.lower(), flag(said)) if isinstance(said, str) else flag(said)
    return Mode(
        name=text(fields.get("Mode")).lower(),
        is_asleep=asleep,
        power_w=watts(measure(fields.get("Power"))),
        hash_rate_hs=hashes(measure(fields.get("Ths")), HASHES_PER_TERAHASH),
    )


def parse_heat(reply: object) -> Heat:
    """Hottest of every hash board; entries without chips are the control board."""
    boards: list[float] = []
    chips: list[float] = []
    for entry in rows(reply, "Temperature") if isinstance(reply, dict) else []:
        hot = _readings(entry, "ChipTemp")
        if hot:
            chips += hot
            boards.append(max(_readings(entry, "BoardTemp"), default=nan))
    known = [board for board in boards if isfinite(board)]
    return Heat(max(chips, default=max(known, default=nan)), tuple(boards))


def parse_fans(reply: object) -> tuple[float, ...]:
    """Speeds, rpm."""
    return tuple(rpm(fan.get("Speed")) for fan in rows(reply, "Fan")) if isinstance(reply, dict) else ()


def parse_report(reply: object) -> Report | None:
    """None where it is no Auradine."""
    fields = row(reply, "IPReport") if isinstance(reply, dict) else {}
    if not fields:
        return None
    boards = fields.get("HBSerialNo")
    return Report(
        model=text(fields.get("model")),
        firmware=text(fields.get("version")),
        mac=mac(fields.get("mac")),
        serial=text(fields.get("SerialNo")),
        boards=len(boards) if isinstance(boards, list) and boards else None,
    )


def parse_pools(reply: object) -> tuple[Pool, ...]:
    """Read the pools that have an address; passwords are not in it."""
    return tuple(
        Pool(
            url=text(fields.get("URL")),
            user=text(fields.get("User")),
            alive=None if "Status" not in fields else text(fields.get("Status")).lower() != "dead",
            accepted=number(fields.get("Accepted")),
            rejected=number(fields.get("Rejected")),
            stale=number(fields.get("Stale")),
        )
        for fields in (rows(reply, "POOLS") if isinstance(reply, dict) else [])
        if text(fields.get("URL"))
    )


def parse_token(reply: object) -> str:
    """Token in the answer to a log-in; empty where there is none."""
    return text(row(reply, "Token").get("Token")) if isinstance(reply, dict) else ""


def refusal(reply: object) -> str:
    """What the device says against it; empty where it said yes."""
    if not isinstance(reply, dict) or "STATUS" not in reply:
        return ""
    head = status(reply)
    return head.message or f"code {head.code}" if head.is_refusal else ""


def is_expired(reply: object) -> bool:
    """Whether a refusal is about the token."""
    said = refusal(reply).lower()
    return any(word in said for word in _TOKEN_WORDS)


def measure(value: object) -> float:
    """Number of "58.94W", "4052.00 RPM" or a plain number; NaN for the rest."""
    if isinstance(value, str):
        found = _UNIT.match(value)
        return number(found.group(1)) if found else nan
    return number(value)


def _plug_w(supply: Mapping[str, Any]) -> float:
    """NaN also where less is said to go in than comes out: a client of AH3880 reads `PowerOut` alone."""
    taken_w, given_w = watts(measure(supply.get("PowerIn"))), watts(measure(supply.get("PowerOut")))
    return nan if taken_w < given_w else taken_w


def _readings(entry: Mapping[str, Any], section: str) -> list[float]:
    found = (degrees(sensor.get("Temperature")) for sensor in rows(entry, section))
    return [reading for reading in found if isfinite(reading)]
