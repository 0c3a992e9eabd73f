"""What VNish says over REST, field by field; no sockets and no decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from drivers._wire.fields import degrees, first_number, hashes, mac, number, rows, rpm, seconds, text, watts, whole
from farmctl.core.model import Ladder, OperatingPoint, PointKind
from farmctl.ports.devices import Pool, PoolLogin

API = "/api/v1/"
HASHES_PER_GIGAHASH = 1e9
"""`info` of 1.2.7 says `hr_measure: "GH/s"`, and `hr_realtime` is in it."""
HASHES_PER_TERAHASH = 1e12

STANDBY_W = 40.0
"""Control board and idle fans of a 19 or 21 series unit; not published, learned from telemetry."""
DOWN_S, UP_S = 10.0, 600.0
"""A stop cuts the boards; a start goes through the stock boot of 2-6 min (DEVICES.md section 6)."""
THROTTLE_TRIM_S, PRESET_TRIM_S = 60.0, 600.0
"""A throttle keeps mining, a preset restarts it."""

PERCENT_LOW, PERCENT_HIGH = 20, 100
"""Range of `mining/throttle` (1.3.3, seen on an S19 Pro Hydro)."""
PERCENT_STEP = 10
"""Ours: nine points are enough to follow a set-point with a row of miners."""

_PRETTY = re.compile(r"([\d.]+)\s*watt\s*~\s*([\d.]+)\s*TH", re.IGNORECASE)
_OWN_POOL = "UserPool"
"""The others are the firmware's: DevFee, Refund (OpenAPI of 1.2.6)."""
_POOL_STATES = {"active": True, "working": True, "offline": False, "rejecting": False, "disabled": False}
"""Unknown is the sixth."""
MOST_POOLS = 3


@dataclass(slots=True)
class Summary:
    """The answer to summary: W, H/s, s, °C, rpm; NaN is unknown. Not frozen: each poll makes one."""

    state: str
    percent: int | None
    """Throttle in force; None where this firmware has none."""
    power_w: float
    hash_rate_hs: float
    nominal_hs: float
    stock_hs: float
    state_s: float
    """`miner_state_time`, which counts as `Elapsed` of 4028 does."""
    hottest_c: float
    boards_c: tuple[float, ...]
    fans_rpm: tuple[float, ...]
    boards: int | None
    errors: tuple[str, ...]
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """Who answers."""

    model: str
    firmware: str
    mac: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One operating point of the firmware's autotuner."""

    name: str
    power_w: float
    hash_rate_hs: float
    is_tuned: bool


def parse_info(reply: object) -> Info | None:
    """Read who answers; None where it is not VNish."""
    if not isinstance(reply, dict) or text(reply.get("fw_name")).lower() != "vnish":
        return None
    network = _table(_table(reply, "system"), "network_status")
    serial = text(reply.get("serial"))
    return Info(
        model=text(reply.get("miner")) or text(reply.get("model")),
        firmware=text(reply.get("fw_version")),
        mac=mac(network.get("mac")),
        serial="" if serial == "N/A" else serial,  # 1.2.7 on an S21 Pro knows none
    )


def parse_summary(reply: object) -> Summary | None:
    """Read one poll; None where the reply has no miner in it."""
    found = _table(reply, "miner")
    if not found:
        return None
    status = _table(found, "miner_status")
    percent = first_number(status, "throttled") if "throttled" in status else number(found.get("throttled"))
    chains = rows(found, "chains")
    boards = tuple(degrees(_table(chain, "pcb_temp").get("max")) for chain in chains)
    chips = [degrees(_table(chain, "chip_temp").get("max")) for chain in chains]
    known = [hot for hot in (degrees(_table(found, "chip_temp").get("max")), *chips) if isfinite(hot)]
    return Summary(
        text(status.get("miner_state")).lower().replace("_", "-"),
        whole(percent),
        _power_w(found),
        _rate_hs(found),
        hashes(found.get("hr_nominal"), HASHES_PER_GIGAHASH),
        hashes(found.get("hr_stock"), HASHES_PER_GIGAHASH),
        seconds(status.get("miner_state_time")),
        max(known, default=max((board for board in boards if isfinite(board)), default=nan)),
        boards,
        _fans(_table(found, "cooling")),
        len(chains) or None,
        _errors(status, chains),
        tuple(
            Pool(
                url=text(pool.get("url")),
                user=text(pool.get("user")),
                alive=_POOL_STATES.get(text(pool.get("status")).lower()),
                accepted=number(pool.get("accepted")),
                rejected=number(pool.get("rejected")),
                stale=number(pool.get("stale")),
            )
            for pool in rows(found, "pools")
            if text(pool.get("url")) and text(pool.get("pool_type")) in {_OWN_POOL, ""}
        ),
    )


def parse_presets(reply: object) -> tuple[Preset, ...]:
    """Read autotune/presets that name their watts, lowest first; 1.3 wraps the list in an object."""
    found = {"presets": reply} if isinstance(reply, list) else reply
    made = (_preset(row) for row in rows(found, "presets")) if isinstance(found, dict) else ()
    return tuple(sorted((each for each in made if each is not None), key=lambda each: each.power_w))


def parse_current_preset(reply: object) -> str:
    """Name of the preset in force, from perf-summary; empty where none is."""
    return text(_table(reply, "current_preset").get("name"))


def pool_rows(pools: Sequence[PoolLogin]) -> list[dict[str, str]]:
    """All three places, for one that is left out keeps what it had."""
    rows = [{"url": pool.url, "user": pool.user, "pass": pool.password} for pool in pools]
    return [*rows, *[{"url": "", "user": "", "pass": ""}] * (MOST_POOLS - len(rows))]


def needs_restart(reply: object) -> bool:
    """Whether a write takes effect only after mining/restart."""
    return isinstance(reply, dict) and reply.get("restart_required") is True


def throttle_ladder(preset: Preset, firmware: str) -> Ladder:
    """Shares of the preset in force: sleep, 20 % to 90 %, full; watts and hash rate go with the share."""
    shares = range(PERCENT_LOW, PERCENT_HIGH, PERCENT_STEP)
    points = [_point(preset, PointKind.THROTTLE, f"percent:{share}", share / PERCENT_HIGH) for share in shares]
    points.append(_point(preset, PointKind.FULL, "full", 1.0))
    return _ladder(f"vnish:{firmware}:throttle:{preset.power_w:.0f}W", points, THROTTLE_TRIM_S)


def preset_ladder(presets: tuple[Preset, ...], current: str, stock_hs: float, firmware: str) -> Ladder | None:
    """Tuned presets up to what the machine was sold as, or to today's where an operator went above it.

    An untuned preset takes hours to tune and its watts are a label, so it is left out unless it is in force. None
    where no preset can be used.
    """
    today_w = next((each.power_w for each in presets if each.name == current), nan)
    usable = [
        each
        for each in presets
        if each.name == current or (each.is_tuned and (each.power_w <= today_w or each.hash_rate_hs <= stock_hs))
    ]
    rising: list[Preset] = []
    for each in usable:
        if not rising or (each.power_w > rising[-1].power_w and each.hash_rate_hs > rising[-1].hash_rate_hs):
            rising.append(each)
    if not rising:
        return None
    points = [_point(each, PointKind.THROTTLE, f"profile:{each.name}", 1.0) for each in rising[:-1]]
    points.append(_point(rising[-1], PointKind.FULL, f"profile:{rising[-1].name}", 1.0))
    return _ladder(f"vnish:{firmware}:presets:{rising[-1].power_w:.0f}W", points, PRESET_TRIM_S)


def _ladder(name: str, points: list[OperatingPoint], trim_s: float) -> Ladder:
    asleep = OperatingPoint(kind=PointKind.SLEEP, power_w=STANDBY_W, hash_rate_hs=0.0, setting="sleep")
    return Ladder(name=name, points=(asleep, *points), down_s=DOWN_S, up_s=UP_S, trim_s=trim_s)


def _point(preset: Preset, kind: PointKind, setting: str, share: float) -> OperatingPoint:
    return OperatingPoint(
        kind=kind, power_w=preset.power_w * share, hash_rate_hs=preset.hash_rate_hs * share, setting=setting
    )


def _preset(fields: Mapping[str, Any]) -> Preset | None:
    """One whose label names watts and TH ("2800 watt ~ 188 TH"); `disabled` names none."""
    label = _PRETTY.search(text(fields.get("pretty")))
    name = text(fields.get("name"))
    if label is None or not name or fields.get("modded_psu_required") is True:
        return None
    power_w, rate_hs = watts(label.group(1)), hashes(label.group(2), HASHES_PER_TERAHASH)
    if not (power_w > 0 and rate_hs > 0):
        return None
    return Preset(
        name=name,
        power_w=power_w,
        hash_rate_hs=rate_hs,
        is_tuned=text(fields.get("status")).lower() == "tuned",
    )


def _errors(status: Mapping[str, Any], chains: list[dict[str, Any]]) -> tuple[str, ...]:
    said = [text(status.get("failure_code")), text(status.get("description"))]
    for chain in chains:
        board = _table(chain, "status")
        if text(board.get("state")) == "failure":
            why = text(board.get("description")) or text(board.get("failure_message")) or "failure"
            said.append(f"chain {text(chain.get('id'))}: {why}")
    return tuple(word for word in said if word)


def _rate_hs(found: Mapping[str, Any]) -> float:
    """`hr_realtime`, or the same in TH/s."""
    rate_hs = hashes(found.get("hr_realtime"), HASHES_PER_GIGAHASH)
    return rate_hs if isfinite(rate_hs) else hashes(found.get("instant_hashrate"), HASHES_PER_TERAHASH)


def _fans(cooling: Mapping[str, Any]) -> tuple[float, ...]:
    """None in a liquid: an S21+ Hydro of 1.2.8 says one of 0 rpm, `ok`."""
    if text(_table(_table(cooling, "settings"), "mode").get("name")).startswith("immers"):
        return ()
    return tuple(rpm(fan.get("rpm")) for fan in rows(cooling, "fans"))


def _power_w(found: Mapping[str, Any]) -> float:
    """`power_consumption`; `power_usage` is watts too, but where there is a `power_efficiency` it may be J/TH.

    OpenAPI of 1.2.6: deprecated, the same as the efficiency; 29.5 was seen beside 3,250 W, and would count as asleep.
    """
    if "power_consumption" in found:
        return watts(found["power_consumption"])
    if "power_efficiency" not in found:
        return watts(found.get("power_usage"))
    boards = [watts(chain.get("power_consumption")) for chain in rows(found, "chains")]
    return sum(boards) if boards else nan  # 1.2.7 says 2,583 W beside boards of 861 each


def _table(found: object, key: str) -> Mapping[str, Any]:
    inner = found.get(key) if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {}
