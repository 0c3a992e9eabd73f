"""What AxeOS says, field by field; no sockets and no decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from drivers._wire.fields import degrees, first_number, flag, hashes, mac, number, rpm, seconds, text, watts, within
from farmctl.core.model import Ladder, OperatingPoint, PointKind
from farmctl.ports.devices import Pool, PoolLogin

INFO = "/api/system/info"
ASIC = "/api/system/asic"
SYSTEM = "/api/system"
RESTART = "/api/system/restart"
RESUME = "/api/system/resume"
"""Since 2.14, with `pause` and `miningPaused` beside it."""

HASHES_PER_GIGAHASH = 1e9
HASHES_PER_MEGAHERTZ = 1e6
"""A small core tries one hash a clock: 1,276 cores at 490 MHz are the 0.62524 TH/s that both libraries expect."""

POOL_PREFIXES = ("stratum", "fallbackStratum")
LEAST_MHZ, MOST_MHZ = 1.0, 10_000.0
"""A clock below divides watts by nothing."""

NO_SENSOR_C = -1.0
"""What boards without a sensor say."""

TRIM_S = 30.0
"""The chip follows its clock at once; the reported rate is an average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """The answer to system/info: W, H/s, MHz, s, °C, rpm; NaN is unknown."""

    model: str
    firmware: str
    mac: str
    power_w: float
    hash_rate_hs: float
    frequency_mhz: float
    hashes_per_mhz: float
    """H/s a megahertz should give: by the firmware itself since 2.9, else from cores and chips."""
    chip_c: float
    regulator_c: float
    """Voltage regulator: what stands for the board."""
    fans_rpm: tuple[float, ...]
    uptime_s: float
    is_overheated: bool
    is_paused: bool
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The answer to system/asic: frequencies that the maker offers at default voltage and below, MHz."""

    default_mhz: int
    steps_mhz: tuple[int, ...]
    """Rising, the default last: above it the maker calls it overclocking, and it wants more voltage."""


def parse_info(reply: object) -> Info | None:
    """None where it is no AxeOS."""
    if not isinstance(reply, dict) or not text(reply.get("ASICModel")) or "coreVoltage" not in reply:
        return None
    frequency_mhz = within(reply.get("frequency"), LEAST_MHZ, MOST_MHZ)
    return Info(
        model=text(reply.get("ASICModel")),
        firmware=text(reply.get("version")),
        mac=mac(reply.get("macAddr")),
        power_w=watts(reply.get("power")),
        hash_rate_hs=hashes(reply.get("hashRate"), HASHES_PER_GIGAHASH),
        frequency_mhz=frequency_mhz,
        hashes_per_mhz=_hashes_per_mhz(reply, frequency_mhz),
        chip_c=_heat(reply.get("temp")),
        regulator_c=_heat(reply.get("vrTemp")),
        fans_rpm=_fans(reply),
        uptime_s=seconds(reply.get("uptimeSeconds")),
        is_overheated=number(reply.get("overheat_mode")) > 0 or flag(reply.get("overheat_mode")) is True,
        is_paused=flag(reply.get("miningPaused")) is True,
        pools=tuple(pool for prefix in POOL_PREFIXES if (pool := _pool(reply, prefix)) is not None),
    )


def pool_keys(pools: Sequence[PoolLogin]) -> dict[str, str | int]:
    """Keys of a PATCH; host and port are two of them."""
    keys: dict[str, str | int] = {}
    for prefix, pool in zip(POOL_PREFIXES, pools, strict=False):
        host, _, port = pool.url.rpartition("://")[2].rpartition(":")
        keys |= {f"{prefix}URL": host or port, f"{prefix}User": pool.user, f"{prefix}Password": pool.password}
        if host and port.isdecimal():
            keys[f"{prefix}Port"] = int(port)
    return keys


def parse_clocks(reply: object) -> Clocks | None:
    """None where the page offers nothing below a default."""
    if not isinstance(reply, dict):
        return None
    default = within(reply.get("defaultFrequency"), LEAST_MHZ, MOST_MHZ)
    offered = reply.get("frequencyOptions")
    if not (isfinite(default) and default > 0 and isinstance(offered, list)):
        return None
    found = {int(step) for step in map(number, offered) if isfinite(step) and 0 < step <= default}
    return Clocks(default_mhz=int(default), steps_mhz=tuple(sorted(found | {int(default)})))


def make_ladder(info: Info, clocks: Clocks) -> Ladder | None:
    """Steps of frequency at the voltage in force; watts go with the clock from what is drawn now.

    There is no sleep: step 0 asks for the lowest clock and promises its watts, so nobody counts on more than that.
    None while the draw or the clock is unknown.
    """
    watts_per_mhz = info.power_w / info.frequency_mhz if info.frequency_mhz > 0 else nan
    full_w = watts(watts_per_mhz * clocks.default_mhz)
    if not (full_w > 0 and info.hashes_per_mhz > 0 and len(clocks.steps_mhz) > 1):
        return None
    points = tuple(
        OperatingPoint(
            kind=PointKind.FULL if step == clocks.default_mhz else PointKind.THROTTLE,
            power_w=watts_per_mhz * step,
            hash_rate_hs=info.hashes_per_mhz * step,
            setting="full" if step == clocks.default_mhz else f"profile:{step}MHz",
        )
        for step in clocks.steps_mhz
    )
    lowest = points[0]
    deepest = OperatingPoint(kind=PointKind.SLEEP, power_w=lowest.power_w, hash_rate_hs=0.0, setting=lowest.setting)
    name = f"bitaxe:{info.model}:{info.firmware}:{clocks.default_mhz}MHz"
    return Ladder(name=name, points=(deepest, *points), down_s=TRIM_S, up_s=TRIM_S, trim_s=TRIM_S)


def _hashes_per_mhz(reply: dict[str, object], frequency_mhz: float) -> float:
    expected_hs = hashes(reply.get("expectedHashrate"), HASHES_PER_GIGAHASH)
    if expected_hs > 0:
        return expected_hs / frequency_mhz
    chips, cores = number(reply.get("asicCount")), number(reply.get("smallCoreCount"))
    return hashes(cores * (chips if isfinite(chips) else 1.0), HASHES_PER_MEGAHERTZ)


def _heat(value: object) -> float:
    return nan if number(value) == NO_SENSOR_C else degrees(value)


def _fans(reply: dict[str, object]) -> tuple[float, ...]:
    """One, and a second where it turns: boards with one socket say 0 for the other. NerdOS has the 2 at the end."""
    first, second = rpm(reply.get("fanrpm")), rpm(first_number(reply, "fan2rpm", "fanrpm2"))
    return tuple(speed for speed in (first, second if second > 0 else nan) if isfinite(speed))


def _pool(reply: dict[str, object], prefix: str) -> Pool | None:
    host = text(reply.get(f"{prefix}URL"))
    if not host:
        return None
    port = text(reply.get(f"{prefix}Port"))
    # It tells which one it uses and not whether either answers.
    return Pool(url=f"stratum+tcp://{host}:{port}", user=text(reply.get(f"{prefix}User")), alive=None)
