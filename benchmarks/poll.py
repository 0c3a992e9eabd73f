"""What a poll costs: the floor, ours, pyasic and pyasic_rs side by side on the same simulated miners, per family.

CPU is that of this process alone (all threads); the simulated farm answers from a process of its own. The floor is one
bare request of those that a poll needs, with orjson on uvloop (HTTP: on a kept connection, logged in before); ours is
poll, parse, normalise and store in the column, after a first poll that logs in and learns. Targets: N1 of the design.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import uvloop

from benchmarks._host import StealWatch
from benchmarks._poll_cost import Cost, cost
from benchmarks._poll_farm import farm_of
from benchmarks._poll_floor import Asking, Floor, Login
from benchmarks._poll_foreign import pyasic_ms, pyasic_rs_ms
from farmctl.config.shipped import shipped_profiles
from farmctl.core.model import MinerId
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.inventory.profiles import ladder_for, read_profiles
from farmctl.ports.devices import Credentials, Device, Endpoint
from farmctl.ports.store import InventoryRow
from farmctl.wiring.drivers import load_drivers

MAIN = "whatsminer"
"""The one whose figures stand at the top: a Whatsminer-size reply is N1's."""
OTHERS = 200
FOREIGN_SAMPLE = 40
FIRST_NET = 60
ROUNDS = 3

BRAIINS_LOGIN = Login(
    path="/api/v1/auth/login",
    payload={"username": "root", "password": "root"},
    header="Authorization",
    token=lambda reply: str(reply["token"]),
)
AURADINE_LOGIN = Login(
    path="/token",
    payload={"command": "token", "user": "admin", "password": "admin"},
    header="Token",
    token=lambda reply: str(reply["Token"][0]["Token"]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One way to poll: driver, simulated model, and the floor under it; None where there is no bare request."""

    driver: str
    model: str
    asking: Asking | None


def _tcp(request: bytes) -> Asking:
    return Asking(door="tcp", request=request)


def _http(path: str) -> Asking:
    return Asking(door="http", port="http", path=path)


V3_READ = b'{"cmd":"get.miner.status","param":"summary+pools+edevs"}'
FAMILIES = {
    MAIN: Family(driver="whatsminer", model="m50", asking=_tcp(b'{"cmd":"summary"}')),
    "whatsminer_v3": Family(
        driver="whatsminer_v3",
        model="m60s-v3",
        asking=Asking(door="framed", port="api3", request=len(V3_READ).to_bytes(4, "little") + V3_READ),
    ),
    "antminer": Family(driver="antminer", model="s21", asking=_tcp(b'{"command":"stats"}')),
    "luxos": Family(driver="luxos", model="luxos-s19kpro", asking=_tcp(b'{"command":"stats+power+config"}')),
    "avalon": Family(driver="avalon", model="a1246", asking=_tcp(b'{"command":"stats"}')),
    "vnish": Family(
        driver="vnish", model="vnish-s21pro", asking=Asking(door="http", port="http", path="/api/v1/summary")
    ),
    "braiins": Family(
        driver="braiins",
        model="braiins-s19xp",
        asking=Asking(door="http", port="http", path="/api/v1/miner/stats", login=BRAIINS_LOGIN),
    ),
    "braiins_grpc": Family(driver="braiins", model="braiins-s19jpro", asking=None),
    "epic": Family(driver="epic", model="epic-s19xp", asking=Asking(door="http", path="/summary")),
    "auradine": Family(
        driver="auradine",
        model="auradine-at2880",
        asking=Asking(door="http", port="http", path="/summary", login=AURADINE_LOGIN),
    ),
    "bitaxe": Family(driver="bitaxe", model="bitaxe-gamma", asking=_http("/api/system/info")),
}


@click.command()
@click.option("--miners", type=click.IntRange(min=10), default=2000, show_default=True)
@click.option("--family", "families", multiple=True, type=click.Choice(list(FAMILIES)), help="All, if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--foreign/--no-foreign", default=True, show_default=True, help="Measure pyasic and pyasic_rs too.")
def main(miners: int, families: tuple[str, ...], *, as_json: bool, foreign: bool) -> None:
    """Measure what a poll costs, for each family; MINERS of the main one, at most 200 of the others."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    result = uvloop.run(_measure(miners, families or tuple(FAMILIES), foreign=foreign))
    if not as_json:
        for family, row in result["families"].items():
            click.echo(f"{family:<14} {row}")
    click.echo(json.dumps(result))


async def _measure(miners: int, names: Sequence[str], *, foreign: bool) -> dict[str, Any]:
    steal = StealWatch()
    rows: dict[str, dict[str, float | None]] = {}
    for number, name in enumerate(names):
        many = miners if name == MAIN else min(miners, OTHERS)
        async with farm_of(many, FAMILIES[name].model, FIRST_NET + number) as places:
            rows[name] = await _family(FAMILIES[name], places, foreign=foreign)
    top = rows[MAIN] if MAIN in rows else rows[names[0]]
    return {**top, "miners": miners, "families": rows, "steal_pct": round(steal.steal_pct(), 2)}


async def _family(family: Family, places: Sequence[dict[str, Any]], *, foreign: bool) -> dict[str, float | None]:
    devices, keeper = _ours(family, places)
    places = sorted(places, key=lambda place: str(place["id"]))
    hosts = [place["host"] for place in places]

    async def ours(index: int) -> None:
        keeper.seen(index, await devices[index].poll(), 1)

    floor = Floor(family.asking, places) if family.asking is not None else None
    try:
        if floor is not None:
            await cost(floor.poll, len(places))
        await cost(ours, len(places))
        floor_ms, ours_cost = await _side_by_side(floor, ours, len(places))
    finally:
        for device in devices:
            await device.close()
        if floor is not None:
            floor.close()
    sample = hosts[: min(FOREIGN_SAMPLE, len(places))]
    theirs = (await pyasic_ms(sample)) if foreign else None
    rust = (await pyasic_rs_ms(sample)) if foreign else None
    return {
        "floor_cpu_ms": None if floor_ms is None else round(floor_ms, 4),
        "ours_cpu_ms": round(ours_cost.cpu_ms, 4),
        "pyasic_cpu_ms": theirs,
        "pyasic_rs_cpu_ms": rust,
        "ratio_to_floor": None if floor_ms is None else round(ours_cost.cpu_ms / floor_ms, 3),
        "ratio_pyasic_to_ours": None if theirs is None else round(theirs / ours_cost.cpu_ms, 1),
        "ratio_pyasic_rs_to_ours": None if rust is None else round(rust / ours_cost.cpu_ms, 1),
        "ours_per_s": round(ours_cost.per_s, 1),
        "ours_missed": ours_cost.missed,
    }


async def _side_by_side(floor: Floor | None, ours: Any, polls: int) -> tuple[float | None, Cost]:
    """Medians of some rounds, taken in turns: a neighbour who steals the processor steals from both."""
    floors: list[float] = []
    costs: list[Cost] = []
    for _ in range(ROUNDS):
        if floor is not None:
            floors.append((await cost(floor.poll, polls)).cpu_ms)
        costs.append(await cost(ours, polls))
    middle = sorted(costs, key=lambda each: each.cpu_ms)[ROUNDS // 2]
    return (sorted(floors)[ROUNDS // 2] if floors else None), middle


def _ours(family: Family, places: Sequence[dict[str, Any]]) -> tuple[list[Device], FleetKeeper]:
    name = family.driver
    driver = load_drivers([name])[name]
    profiles = read_profiles(shipped_profiles())
    keeper = FleetKeeper()
    rows = [
        InventoryRow(miner_id=MinerId(p["id"]), host=p["host"], ports=p["ports"], driver=name, model=p["model"])
        for p in sorted(places, key=lambda p: str(p["id"]))
    ]
    keeper.seat(
        [Seat(row=r, ladder=ladder_for(name, r.model, "", profiles), node=0, group=0, commandable=True) for r in rows]
    )
    return [driver.device(Endpoint(host=r.host, ports=r.ports), Credentials()) for r in rows], keeper


if __name__ == "__main__":
    main()
