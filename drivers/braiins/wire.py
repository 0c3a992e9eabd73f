"""What Braiins OS says, over either door, field by field; no sockets and no decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import isfinite, nan

from drivers._wire.fields import degrees, flag, hashes, mac, number, rows, rpm, seconds, table, text, watts
from farmctl.core.model import Ladder, OperatingPoint, PointKind
from farmctl.ports.devices import Pool

HASHES_PER_GIGAHASH = 1e9

STANDBY_W = 60.0
"""Paused, fans as configured; not published, learned from telemetry."""
DOWN_S, UP_S, TRIM_S = 5.0, 300.0, 60.0
"""Model defaults (DEVICES.md section 6): a wake may stabilise the temperature for minutes first."""

_HASHES = ("last_5s", "last_15s", "last_30s", "last_1m")
"""Freshest first: a confirmation must not wait for an average."""


class Status(IntEnum):
    """`MinerStatus` of the API."""

    UNSPECIFIED = 0
    NOT_STARTED = 1
    NORMAL = 2
    PAUSED = 3
    SUSPENDED = 4
    RESTRICTED = 5


@dataclass(slots=True)
class Stats:
    """Hash rate, H/s, and draw, W. Not frozen: each poll makes one."""

    hash_rate_hs: float
    power_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Who it is and what it does."""

    status: Status
    uptime_s: float
    """Of the mining process, else of the system."""
    model: str
    firmware: str
    mac: str
    serial: str
    sticker_hs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """Hottest sensor, °C, and fans, rpm."""

    hottest_c: float
    fans_rpm: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the tuner follows, W."""

    current_w: float
    """Dynamic power scaling moves it below what is configured."""
    configured_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Range of the power target, W; NaN unknown."""

    default_w: float
    low_w: float
    high_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A target that the tuner has measured."""

    target_w: float
    power_w: float
    hash_rate_hs: float


def parse_stats(reply: object) -> Stats | None:
    """Read miner/stats; None where it has neither rate nor power."""
    real = table(reply, "miner_stats", "real_hashrate")
    power = table(reply, "power_stats", "approximated_consumption")
    if not real and not power:
        return None
    rates = (hashes(table(real, name).get("gigahash_per_second"), HASHES_PER_GIGAHASH) for name in _HASHES)
    return Stats(next((rate for rate in rates if isfinite(rate)), nan), watts(power.get("watt")))


def parse_details(reply: object) -> Details | None:
    """Read miner/details; None where it has no identity."""
    identity = table(reply, "miner_identity")
    if not isinstance(reply, dict) or not identity:
        return None
    status = number(reply.get("status"))
    uptimes = (seconds(reply.get(name)) for name in ("bosminer_uptime_s", "system_uptime_s", "system_uptime"))
    return Details(
        status=Status(int(status)) if status in list(Status) else Status.UNSPECIFIED,
        uptime_s=next((uptime for uptime in uptimes if isfinite(uptime)), nan),
        model=text(identity.get("miner_model")) or text(identity.get("name")),
        firmware=text(table(reply, "bos_version").get("current")),
        mac=mac(reply.get("mac_address")),
        serial=text(reply.get("serial_number")),
        sticker_hs=hashes(table(reply, "sticker_hashrate").get("gigahash_per_second"), HASHES_PER_GIGAHASH),
    )


def parse_cooling(reply: object) -> Cooling:
    """Read cooling/state."""
    return Cooling(
        hottest_c=degrees(table(reply, "highest_temperature", "temperature").get("degree_c")),
        fans_rpm=tuple(rpm(fan.get("rpm")) for fan in rows(table(reply), "fans")),
    )


def parse_boards(reply: object) -> tuple[float, ...]:
    """Temperatures of the boards of miner/hw/hashboards, °C."""
    boards = rows(table(reply), "hashboards")
    return tuple(degrees(table(board, "board_temp").get("degree_c")) for board in boards)


def parse_target(tuner: object, configured: object) -> Target | None:
    """Read performance/tuner-state and configuration/miner; None where neither knows a power target.

    The configuration is the judge of what is set: the tuner's profile is the nearest one that it has measured.
    """
    state = table(tuner, "mode_state", "powertargetmodestate") or table(tuner, "powertargetmodestate")
    over_rest = watts(table(configured, "tuner", "power_target").get("watt"))
    over_grpc = watts(table(configured, "tuner_mode", "power_target", "power_target").get("watt"))
    of_profile = watts(table(state, "profile", "target").get("watt"))
    known = [target_w for target_w in (over_rest, over_grpc, of_profile) if isfinite(target_w)]
    if not known:
        return None
    current_w = watts(table(state, "current_target").get("watt"))
    return Target(current_w=current_w if isfinite(current_w) else known[0], configured_w=known[0])


def parse_limits(reply: object) -> Limits:
    """Read configuration/constraints."""
    power = table(reply, "tuner_constraints", "power_target")
    low, default, high = (watts(table(power, name).get("watt")) for name in ("min", "default", "max"))
    return Limits(default_w=default, low_w=low, high_w=high)


def parse_profiles(reply: object) -> tuple[Profile, ...]:
    """Read performance/target-profiles, lowest draw first; those without figures are left out."""
    made = (
        Profile(
            target_w=watts(table(row, "target").get("watt")),
            power_w=watts(table(row, "estimated_power_consumption").get("watt")),
            hash_rate_hs=hashes(table(row, "measured_hashrate").get("gigahash_per_second"), HASHES_PER_GIGAHASH),
        )
        for row in rows(table(reply), "power_target_profiles")
    )
    whole = (each for each in made if each.target_w > 0 and each.power_w > 0 and each.hash_rate_hs > 0)
    return tuple(sorted(whole, key=lambda each: each.power_w))


def parse_pools(reply: object) -> tuple[Pool, ...]:
    """Read pools of all groups; REST answers the list of groups alone."""
    groups = rows({"groups": reply}, "groups") if isinstance(reply, list) else rows(table(reply), "pool_groups")
    return tuple(
        Pool(
            url=text(pool.get("url")),
            user=text(pool.get("user")),
            alive=flag(pool.get("alive")),
            accepted=number(table(pool, "stats").get("accepted_shares")),
            rejected=number(table(pool, "stats").get("rejected_shares")),
            stale=number(table(pool, "stats").get("stale_shares")),
        )
        for group in groups
        for pool in rows(group, "pools")
        if text(pool.get("url"))
    )


def make_ladder(profiles: tuple[Profile, ...], full_w: float, firmware: str) -> Ladder | None:
    """The tuner's own measured targets up to full; None below two of them: a table knows better then.

    A target without a profile is tuned for hours, so nothing is made up between them.
    """
    rising: list[Profile] = []
    for each in profiles:
        fits = not each.target_w > full_w
        if fits and (not rising or (each.power_w > rising[-1].power_w and each.hash_rate_hs > rising[-1].hash_rate_hs)):
            rising.append(each)
    if len(rising) < 2:  # noqa: PLR2004 - one step is no ladder
        return None
    points = [OperatingPoint(kind=PointKind.SLEEP, power_w=STANDBY_W, hash_rate_hs=0.0, setting="sleep")]
    points += [
        OperatingPoint(
            kind=PointKind.FULL if each is rising[-1] else PointKind.THROTTLE,
            power_w=each.power_w,
            hash_rate_hs=each.hash_rate_hs,
            setting=f"watts:{each.target_w:.0f}",
        )
        for each in rising
    ]
    name = f"braiins:{firmware}:{'-'.join(f'{each.target_w:.0f}' for each in rising)}W"
    return Ladder(name=name, points=tuple(points), down_s=DOWN_S, up_s=UP_S, trim_s=TRIM_S)
