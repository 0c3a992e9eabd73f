"""What ePIC's PowerPlay says, field by field; no sockets and no decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from drivers._wire.fields import MOST_W, degrees, flag, hashes, mac, number, rpm, seconds, text, watts, whole, within
from drivers._wire.rest import Request
from farmctl.core.model import Ladder, OperatingPoint, PointKind
from farmctl.ports.devices import Pool

SUMMARY = Request(method="GET", path="/summary")
CAPABILITIES = Request(method="GET", path="/capabilities")
NETWORK = Request(method="GET", path="/network")

HASHES_PER_MEGAHASH = 1e6
HASHES_PER_TERAHASH = 1e12
MOST_THS = 1e5
POWER_TUNE = "PowerTune"
"""The one algorithm whose target is watts; the others aim at TH/s (OpenAPI of PowerPlay 1.38.3)."""
DEFAULT_TUNE = "VoltageOptimizer"
STANDBY_W = 45.0
"""Control board and fans at idle speed; DEVICES.md section 6 gives 25-60 W for sleeping machines."""
DOWN_S, UP_S, TRIM_S = 60.0, 600.0, 300.0
"""No published times: the defaults for stock boards of DEVICES.md section 6; a new target is tuned for minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tune:
    """Where perpetual tune aims."""

    algorithm: str
    target: int
    """TH/s, or W with POWER_TUNE."""
    min_throttle: int | None = None
    throttle_step: int | None = None

    @property
    def setting(self) -> str:
        """The same in the grammar of `OperatingPoint.setting`."""
        return f"watts:{self.target}" if self.algorithm == POWER_TUNE else f"profile:{self.target}TH"


@dataclass(slots=True)
class Summary:
    """The answer to /summary: W, H/s, °C, s, rpm; NaN is unknown. Not frozen: each poll makes one."""

    operating: str
    """Mining, Idling, Initializing, Stopping and so on; empty: not told."""
    last_command: str
    power_w: float
    hash_rate_hs: float
    """Sum over the boards; NaN where it has none to sum."""
    board_temperature_c: float
    boards_c: tuple[float, ...]
    uptime_s: float
    fans_rpm: tuple[float, ...]
    tune: Tune | None
    is_tuning: bool | None
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The answer to /capabilities."""

    model: str
    serial: str
    boards: int | None
    default_ths: float
    ranges: Mapping[str, tuple[float, float]]
    """Algorithm -> lowest and highest target."""
    presets: tuple[tuple[float, float], ...]
    """(W, TH/s) of the vendor's presets, lowest watts first."""


def parse_summary(reply: object) -> Summary | None:
    """Read a summary; None where no PowerPlay answers."""
    if not isinstance(reply, dict) or not isinstance(reply.get("Status"), dict):
        return None
    state, supply, boards = reply["Status"], _section(reply, "Power Supply Stats"), _rows(reply.get("HBs"))
    heat = tuple([degrees(board.get("Temperature")) for board in boards])
    operating = text(state.get("Operating State"))
    return Summary(
        operating,
        text(state.get("Last Command")).lower(),
        watts(supply.get("Input Power")),
        _sum([hashes(_first(board.get("Hashrate")), HASHES_PER_MEGAHASH) for board in boards]),
        max((each for each in heat if each > 0), default=nan),
        heat,
        seconds(_section(reply, "Session").get("Uptime")),
        _fans(_section(reply, "Fans Rpm")),
        _tune(_section(reply, "PerpetualTune")),
        flag(_section(reply, "PerpetualTune").get("Running")),
        _errors(state.get("Last Error")),
    )


def parse_limit_c(reply: object) -> float:
    """Heat of a board at which a miner shuts down, °C, of its summary; NaN where it says none."""
    return degrees(_section(reply, "Misc").get("Shutdown Temp")) if isinstance(reply, dict) else nan


def parse_capabilities(reply: object) -> Capabilities | None:
    """Read capabilities; None where no PowerPlay answers."""
    if not isinstance(reply, dict) or not isinstance(reply.get("Model"), str):
        return None
    if "PerpetualTune" not in reply and "Control Board Version" not in reply:
        return None
    count = number(reply.get("Max HBs"))
    options = _rows(reply.get("PerpetualTune"))
    presets = [
        (watts(row.get("power")), within(row.get("hashrate"), 0.0, MOST_THS))
        for row in _rows(reply.get("Tune Presets"))
    ]
    return Capabilities(
        model=text(reply["Model"]),
        serial=text(reply.get("Miner Serial Number"))
        or text(_section(reply, "Control Board Version").get("cpuSerial")),
        boards=whole(count) if count > 0 else None,
        default_ths=within(reply.get("Default Hashrate"), 0.0, MOST_THS),
        ranges={text(row.get("algorithm")): (number(row.get("min")), number(row.get("max"))) for row in options},
        presets=tuple(sorted(pair for pair in presets if pair[0] > 0 and pair[1] > 0)),
    )


def parse_mac(reply: object) -> str:
    """MAC in the answer to /network, under `dhcp` or `static`; empty where it is not told."""
    sections = [_section(reply, name) for name in ("dhcp", "static")] if isinstance(reply, dict) else []
    return next((found for section in sections if (found := mac(section.get("mac_address")))), "")


def parse_software(reply: object) -> str:
    """Firmware as a summary says it: "PowerPlay-BMS v1.5.13"."""
    return text(reply.get("Software")) if isinstance(reply, dict) else ""


def parse_pools(reply: object) -> tuple[Pool, ...]:
    """Read the pools; only the one in use tells whether it is connected. Passwords are in the reply and stay there."""
    if not isinstance(reply, dict):
        return ()
    stratum = _section(reply, "Stratum")
    current = number(stratum.get("Config Id"))
    return tuple(
        Pool(
            url=text(row.get("pool")),
            user=text(row.get("login")),
            alive=flag(stratum.get("IsPoolConnected")) if place == current else None,
        )
        for place, row in enumerate(_rows(reply.get("StratumConfigs")))
        if row.get("pool")
    )


def make_ladder(found: Capabilities, name: str, highest_ths: float) -> Ladder | None:
    """Make a ladder of the presets up to a target: sleep first, watts and hash rate strictly rising; None without."""
    rising = [OperatingPoint(kind=PointKind.SLEEP, power_w=STANDBY_W, hash_rate_hs=0.0, setting="sleep")]
    for power_w, ths in found.presets:
        if ths <= highest_ths and ths * HASHES_PER_TERAHASH > rising[-1].hash_rate_hs:
            rising.append(_point(PointKind.THROTTLE, power_w, ths, f"profile:{round(ths)}TH"))
    if len(rising) == 1:
        return None
    top = rising[-1]
    rising[-1] = _point(PointKind.FULL, top.power_w, top.hash_rate_hs / HASHES_PER_TERAHASH, "full")
    return Ladder(name=f"epic:{name}:{top.power_w:.0f}W", points=tuple(rising), down_s=DOWN_S, up_s=UP_S, trim_s=TRIM_S)


def said_yes(reply: object) -> bool:
    """Whether a command was taken: HTTP 200 says nothing, `result` does; older firmware says `success`."""
    return isinstance(reply, dict) and (reply.get("result") is True or reply.get("success") is True)


def refusal(reply: object) -> str:
    """Why a command was not taken, in the device's words."""
    error = reply.get("error") if isinstance(reply, dict) else reply
    if isinstance(error, dict):
        return ", ".join(f"{key}: {value}" for key, value in error.items())
    return text(error) or f"{reply!r}"


def _point(kind: PointKind, power_w: float, ths: float, setting: str) -> OperatingPoint:
    return OperatingPoint(kind=kind, power_w=power_w, hash_rate_hs=ths * HASHES_PER_TERAHASH, setting=setting)


def _tune(fields: Mapping[str, Any]) -> Tune | None:
    """The algorithm in force; 1.5.13 lists it alone, later firmware names it beside all of them."""
    listed = fields.get("Algorithm") or fields.get("Algorithms")
    if not isinstance(listed, dict) or not listed:
        return None
    name = text(fields.get("Current Algorithm"))
    name = name if name in listed else next(iter(listed))
    stats = listed[name]
    target = within(stats.get("Target"), 0.0, MOST_W) if isinstance(stats, dict) else nan
    if not target > 0:
        return None
    return Tune(
        algorithm=name,
        target=round(target),
        min_throttle=_whole(stats.get("Min Throttle Target")),
        throttle_step=_whole(stats.get("Throttle Step")),
    )


def _fans(fields: Mapping[str, Any]) -> tuple[float, ...]:
    """Speeds in the order of their numbers; null is a socket without a fan."""
    found = [(name.rpartition(" ")[2], value) for name, value in fields.items() if value is not None]
    return tuple(rpm(value) for _, value in sorted(found, key=lambda pair: pair[0].zfill(3)))


def _errors(error: object) -> tuple[str, ...]:
    """`NoSolutions`, or `{"ShutdownTempReached": [...]}`: the name is the code."""
    if isinstance(error, dict):
        return tuple(error)
    return (text(error),) if text(error) else ()


def _section(reply: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = reply.get(name)
    return found if isinstance(found, dict) else {}


def _rows(found: object) -> list[dict[str, Any]]:
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _first(values: object) -> float:
    return number(values[0]) if isinstance(values, list) and values else nan


def _sum(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]  # noqa: PLR0124 - NaN is unequal to itself
    return sum(known) if known else nan


def _whole(value: object) -> int | None:
    return whole(number(value))
