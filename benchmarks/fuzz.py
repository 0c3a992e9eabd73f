"""Breaks what recorded devices said and gives it to their drivers: nothing but a reading or a named fault may come out.

An input is one meeting with a device whose replies are whole, changed or torn: identify, poll, facts, ladder and the
power commands. `python -m benchmarks.fuzz --inputs 200000` is the run that `drivers/README.md` names.
"""

from __future__ import annotations

import json
import math
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any

import click
import uvloop

from benchmarks._fuzz_doors import Recorded, grpc_bytes, instead_of_sockets
from benchmarks._host import StealWatch
from drivers.braiins.schemas import CALLS
from farmctl.core.model import Ladder, MinerState, OperatingPoint, PointKind
from farmctl.errors import FarmError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Driver, Endpoint, Facts, Reading, ReadsLadder
from farmctl.wiring.drivers import load_drivers

CASES = Path(__file__).resolve().parents[1] / "../shared/cases"
SETTINGS = ("sleep", "full", "percent:70", "watts:2000", "mode:low", "profile:x", "percent:", "watts:-1", "")
SHOWN = 5
TARGETS = {
    "antminer": ("antminer", "antminer_s19pro_49.0.1.3"),
    "auradine": ("auradine", "auradine_v1"),
    "avalon": ("avalon", "avalon_a1246_21072802"),
    "bitaxe": ("bitaxe", "bitaxe_supra_bm1368"),
    "braiins_rest": ("braiins", "braiins_25.11"),
    "braiins_grpc": ("braiins", "braiins_25.11"),
    "braiins_graphql": ("braiins", "braiins_24.09"),
    "epic": ("epic", "epic_v1"),
    "luxos": ("luxos", "luxos_s19kpro_2025.4.8"),
    "vnish": ("vnish", "vnish_s21pro_1.2.7"),
    "whatsminer": ("whatsminer", "whatsminer_m21s_fw20210322_errors"),
    "whatsminer_v3": ("whatsminer_v3", "whatsminer_m60s_v3_fw20251209"),
}
EXTRA_PAGES: dict[str, Any] = {
    "POST /api/v1/auth/login": {"token": "t"},
    "POST /token": {"Token": [{"Token": "t"}]},
    "GET /api/v1/configuration/constraints": {"tuner_constraints": {"power_target": {"default": {"watt": 3000}}}},
    "GET /api/v1/performance/target-profiles": {"power_target_profiles": [{"target": {"watt": 3000}}]},
    "GET /api/system/asic": {"defaultFrequency": 490, "frequencyOptions": [400, 425, 490]},
    "GET /cgi-bin/get_adjustment_params.cgi": {"hashrate_percent_min": "65", "hashrate_percent_max": 100},
}


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of the inputs to one target."""

    inputs: int = 0
    readings: int = 0
    named: Counter[str] = field(default_factory=Counter)
    uncaught: list[str] = field(default_factory=list)


class NonsenseError(AssertionError):
    """A reading that no machine can have."""


@click.command()
@click.option("--inputs", type=click.IntRange(min=1), default=20_000, show_default=True, help="Of each target.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--target", "targets", multiple=True, type=click.Choice(sorted(TARGETS)), help="All, if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(inputs: int, seed: int, targets: tuple[str, ...], *, as_json: bool) -> None:
    """Fuzz the drivers' parsers; exits with 1 where anything uncaught came out."""
    steal, started_s = StealWatch(), time.perf_counter()
    found = {name: uvloop.run(fuzz(name, inputs, seed)) for name in targets or TARGETS}
    rows = {
        name: {"inputs": out.inputs, "readings": out.readings, "named": dict(out.named), "uncaught": len(out.uncaught)}
        for name, out in found.items()
    }
    for name, outcome in found.items():
        for shown in outcome.uncaught[:SHOWN]:
            click.echo(f"{name}: {shown}", err=True)
    if not as_json:
        for name, row in rows.items():
            click.echo(f"{name:<16} {row}")
    uncaught = sum(len(outcome.uncaught) for outcome in found.values())
    wall_s = round(time.perf_counter() - started_s, 1)
    total = sum(outcome.inputs for outcome in found.values())
    result = {"inputs": total, "uncaught": uncaught, "seed": seed, "wall_s": wall_s, "targets": rows}
    click.echo(json.dumps({**result, "steal_pct": steal.steal_pct()}))
    if uncaught:
        raise SystemExit(1)


async def fuzz(target: str, inputs: int, seed: int) -> Outcome:
    """Meet one recorded device so often, its replies broken differently each time."""
    name, case = TARGETS[target]
    dice = Random(f"{target}:{seed}")  # noqa: S311 - repeatable, not secret
    recorded = _recorded(json.loads((CASES / f"{case}.json").read_text())["raw"], target, dice)
    driver = load_drivers([name])[name]
    outcome = Outcome()
    with instead_of_sockets(recorded):
        for _ in range(inputs):
            outcome.inputs += 1
            await _meet(driver, recorded, outcome, dice)
    return outcome


async def _meet(driver: Driver, recorded: Recorded, outcome: Outcome, dice: Random) -> None:
    endpoint = Endpoint(host="127.0.0.1", ports={})
    device = driver.device(endpoint, Credentials())
    # A device that has read well before must bear nonsense as well as a fresh one.
    recorded.breaks = False
    if dice.random() < 0.2:  # noqa: PLR2004 - one in five
        await _try(device.poll, outcome)
    recorded.breaks = True
    reading = await _try(device.poll, outcome)
    if reading is not None:
        outcome.readings += 1
    match dice.randrange(8):
        case 0:
            await _try(lambda: driver.identify(endpoint, Credentials()), outcome)
        case 1:
            await _try(device.facts, outcome)
        case 2 if isinstance(device, ReadsLadder):
            await _try(device.ladder, outcome)
        case 3 if isinstance(device, AppliesPoint):
            point = OperatingPoint(kind=PointKind.SLEEP, power_w=0.0, hash_rate_hs=0.0, setting=dice.choice(SETTINGS))
            await _try(lambda: device.apply(point), outcome)
    await _close(device)


async def _try(call: Callable[[], Awaitable[Any]], outcome: Outcome) -> Any:
    try:
        found = await call()
        _judge(found)
    except FarmError as fault:
        outcome.named[type(fault).__name__] += 1
    except Exception:  # noqa: BLE001 - the very thing that is looked for
        outcome.uncaught.append(traceback.format_exc())
    else:
        return found
    return None


def _judge(found: object) -> None:
    """Raises NonsenseError where a figure is infinite or negative, or a field has another type than it promises."""
    if isinstance(found, Reading):
        if found.state not in MinerState or not (found.setting is None or isinstance(found.setting, str)):
            raise NonsenseError(repr(found))
        figures = [found.power_w, found.hash_rate_hs, found.uptime_s, found.power_limit_w, *found.fans_rpm]
        _figures(found, [*figures, found.temperature_c, *found.board_temperatures_c], above=figures)
        if not all(isinstance(error, str) for error in found.errors):
            raise NonsenseError(repr(found))
    elif isinstance(found, Facts):
        figures = [found.nominal_hash_rate_hs, found.nominal_power_w]
        _figures(found, figures, above=figures)
        if not all(isinstance(getattr(pool, part.name), str) for pool in found.pools for part in fields(pool)[:2]):
            raise NonsenseError(repr(found))
    elif isinstance(found, Ladder):
        figures = [value for point in found.points for value in (point.power_w, point.hash_rate_hs)]
        _figures(found, figures, above=figures)
        if any(math.isnan(value) for value in figures):
            raise NonsenseError(repr(found))


def _figures(found: object, values: list[float], *, above: list[float]) -> None:
    for value in values:
        if type(value) is not float or math.isinf(value):
            raise NonsenseError(f"{value!r} in {found!r}")
    for value in above:
        if value < 0:
            raise NonsenseError(f"{value!r} in {found!r}")


async def _close(device: Device) -> None:
    await device.close()


def _recorded(raw: dict[str, Any], target: str, dice: Random) -> Recorded:
    pages = {**EXTRA_PAGES, **raw.get("http", {}), **raw.get("http8080", {})}
    for name, reply in raw.get("asic_rs", {}).items():
        path = name.replace("miner_hw_hash", "miner/hw/hash").replace(
            "performance_tuner_state", "performance/tuner-state"
        )
        pages[f"GET /api/v1/{path.replace('_', '/', 1)}"] = reply
    if target == "braiins_graphql":
        everything: dict[str, Any] = {}
        for name, reply in raw["asic_rs"].items():
            if name.startswith("gql_"):
                _merge(everything, reply)
        pages = {
            "POST /graphql": everything,
            "GET /cgi-bin/luci/admin/network/iface_status/lan": raw["asic_rs"]["web_net_conf"],
        }
    if target == "braiins_grpc":
        pages = {
            f"GRPC {call.method.rpartition('/')[2]}": grpc_bytes(reply, call.reply)
            for page, call in CALLS.items()
            if isinstance(reply := pages.get(f"GET /api/v1/{page}"), dict)
        }
    framed = dict(raw.get("tcp4433", {}))
    parts = [reply["msg"] for name, reply in framed.items() if name.startswith("get.miner.status:")]
    framed["get.miner.status:summary+pools+edevs"] = {
        "code": 0,
        "msg": {k: v for part in parts for k, v in part.items()},
    }
    api = raw.get("tcp4028", {})
    return Recorded(
        api={**api, "get_token": {"Msg": {"time": "1", "salt": "a", "newsalt": "b"}}} if api else api,
        pages=pages,
        framed=framed,
        joins=not raw.get("no_multi"),
        dice=dice,
        has_rest=target not in ("braiins_grpc", "braiins_graphql"),
    )


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into.setdefault(key, value)


if __name__ == "__main__":
    main()
