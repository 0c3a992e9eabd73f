"""What LuxOS says, field by field; no sockets and no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from drivers._wire.cgminer import request
from drivers._wire.fields import degrees, flag, hashes, mac, number, row, rows, rpm, seconds, status, text, watts, whole
from farmctl.core.model import Ladder, OperatingPoint, PointKind
from farmctl.ports.devices import Pool

POLL_COMMANDS = ("stats", "power", "config")
"""Watts are in `power`, curtailment and profile in `config`; `stats` has rate, age, heat and fans in one."""

POLL = request("+".join(POLL_COMMANDS))
VERSION = request("version")
CONFIG = request("config")
HEAT = request("tempctrl")
PROFILES = request("profiles")
POOLS = request("pools")
LOGON = request("logon")

_BOARD_FIELDS = tuple((f"chain_acn{n}", f"temp_pcb{n}") for n in range(1, 9))
"""Boards of an S9 sit on chains 6, 7 and 8."""
_FAN_FIELDS = tuple(f"fan{n}" for n in range(1, 9))

HASHES_PER_GIGAHASH = 1e9
HASHES_PER_TERAHASH = 1e12

STANDBY_W = 25.0
"""Curtailed draw that the vendor states (DEVICES.md section 6)."""

DOWN_S, UP_S, TRIM_S = 5.0, 60.0, 30.0
"""Vendor: under 5 s down; a normal wake goes like a boot, 60 s by the model (DEVICES.md section 6)."""


@dataclass(slots=True)
class Stats:
    """The answer to stats: H/s, s, °C, rpm; NaN is unknown. Not frozen: each poll makes one."""

    hash_rate_hs: float
    uptime_s: float
    boards_c: tuple[float, ...]
    hottest_c: float
    fans_rpm: tuple[float, ...]
    boards: int | None


@dataclass(slots=True)
class Config:
    """What the answer to config tells a poll."""

    is_curtailed: bool | None
    profile: str
    profile_step: int | None
    """0 is the vendor's default, below it the miner is throttled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameplate:
    """What the answer to config tells once."""

    hash_rate_hs: float
    mac: str
    serial: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The answer to version."""

    firmware: str
    model: str


def parse_stats(reply: Mapping[str, Any]) -> Stats | None:
    """Read stats; None where the reply holds none."""
    # The first row is the version.
    fields = next((found for found in rows(reply, "STATS") if "GHS 5s" in found or "Elapsed" in found), None)
    if fields is None:
        return None
    boards = number(fields.get("miner_count"))
    return Stats(
        hashes(fields.get("GHS 5s"), HASHES_PER_GIGAHASH),
        seconds(fields.get("Elapsed")),
        tuple([_hottest(fields.get(heat)) for chips, heat in _BOARD_FIELDS if fields.get(chips)]),
        degrees(fields.get("temp_max")),
        tuple([rpm(fields.get(name)) for name in _FAN_FIELDS if name in fields]),
        whole(boards),
    )


def parse_power_w(reply: Mapping[str, Any]) -> float:
    """Draw that the firmware measures or models, W; NaN unknown."""
    return watts(row(reply, "POWER").get("Watts"))


def parse_config(reply: Mapping[str, Any]) -> Config | None:
    """Read config; None where the reply holds none."""
    fields = row(reply, "CONFIG")
    if not fields:
        return None
    step = number(fields.get("ProfileStep"))
    return Config(
        _curtailed(fields.get("CurtailMode")),
        text(fields.get("Profile")),
        whole(step),
    )


def parse_nameplate(reply: Mapping[str, Any]) -> Nameplate:
    """Read who the miner is and what it promises; empty and NaN where the reply does not tell."""
    fields = row(reply, "CONFIG")
    return Nameplate(
        hash_rate_hs=hashes(fields.get("NameplateTHS"), HASHES_PER_TERAHASH),
        mac=mac(fields.get("MACAddr")),
        serial=text(fields.get("SerialNumber")),
        model=text(fields.get("Model")),
    )


def parse_limit_c(reply: Mapping[str, Any]) -> float:
    """Heat of a board at which LuxOS shuts it down, the `Dangerous` of tempctrl, °C; NaN where it says none."""
    return degrees(row(reply, "TEMPCTRL").get("Dangerous"))


def parse_version(reply: Mapping[str, Any]) -> Version | None:
    """Read version; None where not LUXminer answers (cgminer, BOSer, bmminer, a Whatsminer)."""
    fields = row(reply, "VERSION")
    said = next((value for name, value in fields.items() if name.lower() == "luxminer"), None)
    if said is None:
        return None
    return Version(firmware=text(fields.get("Miner")) or text(said), model=text(fields.get("Type")))


def parse_session(reply: Mapping[str, Any]) -> str:
    """Session id in the answer to logon; empty where it was refused."""
    return text(row(reply, "SESSION").get("SessionID"))


def speaks_of_session(reply: Mapping[str, Any]) -> bool:
    """Whether a refusal is about the session: expired, unknown, or somebody else's."""
    head = status(reply)
    return head.is_refusal and "session" in head.message.lower()


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


def parse_ladder(reply: Mapping[str, Any], highest_step: int) -> Ladder | None:
    """Make a ladder of profiles: sleep first, watts and hash rate strictly rising.

    Profiles above `highest_step` overclock the machine and are left out. None where no profile can be used.
    """
    points = sorted(
        (point for fields in rows(reply, "PROFILES") if (point := _point(fields, highest_step)) is not None),
        key=lambda point: (point.power_w, -point.hash_rate_hs),
    )
    rising = [OperatingPoint(kind=PointKind.SLEEP, power_w=STANDBY_W, hash_rate_hs=0.0, setting="sleep")]
    for point in points:
        if point.power_w > rising[-1].power_w and point.hash_rate_hs > rising[-1].hash_rate_hs:
            rising.append(point)
    if len(rising) == 1:
        return None
    top = rising[-1]
    rising[-1] = OperatingPoint(
        kind=PointKind.FULL, power_w=top.power_w, hash_rate_hs=top.hash_rate_hs, setting=top.setting
    )
    name = f"luxos:{text(status(reply).description)}:{top.power_w:.0f}W"
    return Ladder(name=name, points=tuple(rising), down_s=DOWN_S, up_s=UP_S, trim_s=TRIM_S)


def profile_at(reply: Mapping[str, Any], step: int) -> str:
    """Name of the profile at one step; empty where there is none."""
    for fields in rows(reply, "PROFILES"):
        if number(fields.get("Step")) == step:
            return text(fields.get("Profile Name"))
    return ""


def split(reply: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Take a joined reply apart; None where this firmware did not join."""
    parts = {command: row(reply, command) for command in POLL_COMMANDS}
    return parts if any(parts.values()) else None


def _point(fields: Mapping[str, Any], highest_step: int) -> OperatingPoint | None:
    power_w, rate_hs = watts(fields.get("Watts")), hashes(fields.get("Hashrate"), HASHES_PER_TERAHASH)
    name, step = text(fields.get("Profile Name")), number(fields.get("Step"))
    if not name or not power_w > 0 or not rate_hs > 0 or step > highest_step:
        return None
    return OperatingPoint(
        kind=PointKind.THROTTLE,
        power_w=power_w,
        hash_rate_hs=rate_hs,
        setting=f"profile:{name}",
    )


def _curtailed(mode: object) -> bool | None:
    """CurtailMode is "None" awake and "Sleep" curtailed; a boolean in case firmware makes it one."""
    if not isinstance(mode, str):
        return flag(mode)
    return mode.strip().lower() not in ("", "none", "wakeup")


def _hottest(corners: object) -> float:
    """Highest of "47-34-34-47", the four corners of a board."""
    try:
        return degrees(max(map(float, text(corners).split("-"))))
    except ValueError:
        return nan
