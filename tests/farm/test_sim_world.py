"""A described farm comes up, tells the truth, takes faults, and goes down when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
from click.testing import CliRunner

from simulators.__main__ import LAZY, main
from simulators.control import control_api, truth
from simulators.faults import Fault
from simulators.fronts.door import is_served
from simulators.malform import MALFORMS
from simulators.personality import PERSONALITIES
from simulators.plan import FarmTable, GroupTable, PortsTable, read_plan, resized, write_plan
from simulators.world import World, inventory_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
PORT_BASE = 20_000 + os.getpid() % 300 * 40
"""One range of ports per test process."""

DESCRIPTION = f"""
[farm]
seed = 5
port_base = {PORT_BASE}
ports_mode = "ports"
[[group]]
name = "a"
model = "m50"
count = 4
address = "127.0.0.1"
per_container = 2
per_rack = 1
[[group]]
name = "b"
model = "luxos-s21"
count = 2
address = "127.0.0.1"
first_container = 3
start = "asleep"
faults = [{{ fault = "silent", at_s = 10, for_s = 30, fraction = 0.5 }}]
"""


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    farm = World(read_plan(DESCRIPTION))
    await farm.start()
    yield farm
    await farm.stop()


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[str]:
    async with control_api(world, "127.0.0.1", 0, asyncio.Event()) as where:
        yield f"http://{where}"


async def _call(where: str, path: str, body: object = None) -> tuple[int, Any]:
    async with asyncio.timeout(5), aiohttp.ClientSession() as session:
        method = "GET" if body is None else "POST"
        async with session.request(method, where + path, json=body) as reply:
            return reply.status, await reply.json()


async def test_truth_has_one_entry_per_miner_in_every_column(world: World, api: str) -> None:
    status, columns = await _call(api, "/truth")
    assert status == 200
    assert {len(column) for column in columns.values()} == {6}
    assert columns["state"] == ["mining"] * 4 + ["asleep"] * 2
    _, total = await _call(api, "/total")
    assert total["power_w"] == pytest.approx(sum(columns["power_w"]), rel=0.01)
    assert total["power_w"] == pytest.approx(world.total_power_w(), rel=0.01)


async def test_the_inventory_names_drivers_places_and_ports(world: World, api: str) -> None:
    _, rows = await _call(api, "/inventory")
    assert rows == inventory_rows(world)
    assert [row["container"] for row in rows] == ["C001", "C001", "C002", "C002", "C003", "C003"]
    assert rows[1]["rack"] == "C001-R02"
    assert {row["family"] for row in rows} == {"whatsminer", "luxos"}
    assert set(rows[5]["ports"]) == {"api", "http"}
    assert len({row["id"] for row in rows}) == 6


async def test_faults_are_switched_on_and_off_by_the_api(world: World, api: str) -> None:
    order = {"select": {"container": "C001"}, "fault": "silent", "for_s": 60}
    status, answer = await _call(api, "/faults", order)
    assert status == 200
    assert answer["miners"] == [miner.identity.mac for miner in world.miners[:2]]
    assert truth(world)["faults"][:3] == [["silent"], ["silent"], []]
    await _call(api, "/clear", {"ids": [world.miners[0].identity.mac]})
    assert truth(world)["faults"][:3] == [[], ["silent"], []]
    _, half = await _call(api, "/faults", {"fraction": 0.5, "fault": "lies_power"})
    assert len(half["miners"]) == 3


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({"fault": "haunted"}, "fault"),
        ({"fault": "silent", "select": {"colour": "red"}}, "colour"),
        ({"fault": "silent", "ids": ["nobody"]}, "nobody"),
        ({"fault": "malformed", "params": {"how": "oddly"}}, "oddly"),
        ({"fault": "silent", "fraction": 2}, "fraction"),
    ],
)
async def test_a_bad_order_is_explained(api: str, order: dict[str, Any], named: str) -> None:
    status, answer = await _call(api, "/faults", order)
    assert status == 400
    assert named in answer["errors"][0]


async def test_two_miners_swap_addresses_and_keep_their_names(world: World, api: str) -> None:
    one, other = world.miners[4], world.miners[5]
    places = one.endpoint, other.endpoint
    await _call(api, "/swap", {"ids": [one.identity.mac, other.identity.mac]})
    assert (one.endpoint, other.endpoint) == places[::-1]
    reader, writer = await asyncio.open_connection(places[0].host, places[0].api)
    writer.write(b'{"command":"config"}')
    async with asyncio.timeout(5):
        reply = json.loads((await reader.read()).rstrip(b"\0"))
    writer.close()
    await writer.wait_closed()
    assert reply["CONFIG"][0]["MACAddr"].upper() == other.identity.mac
    unlike = {"ids": [world.miners[0].identity.mac, other.identity.mac]}
    assert (await _call(api, "/swap", unlike))[0] == 400


async def test_scripted_faults_come_and_go(world: World) -> None:
    await world.advance(11)
    faulty = [row for row, miner in enumerate(world.miners) if Fault.SILENT in miner.faults]
    assert len(faulty) == 1
    assert faulty[0] in {4, 5}
    await world.advance(31)
    assert not any(miner.faults for miner in world.miners)


def test_the_same_seed_gives_the_same_farm() -> None:
    one, two = (World(read_plan(DESCRIPTION)) for _ in range(2))
    assert inventory_rows(one) == inventory_rows(two)
    assert one.total_power_w() == two.total_power_w()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[farm]\nseed = 'x'\n[[group]]\nname='a'\nmodel='m50'\ncount=1\naddress='127.0.0.1'", "farm.seed"),
        ("[[group]]\nname='a'\nmodel='m99'\ncount=1\naddress='127.0.0.1'", "m99"),
        ("[[group]]\nname='a'\nmodel='m50'\ncount=0\naddress='127.0.0.1'", "group.0.count"),
        ("[[group]]\nname='a'\nmodel='m50'\ncount=1\naddress='here'", "here"),
        ("[[group]]\nname='a'\nmodel='m50'\nfamily='luxos'\ncount=1\naddress='127.0.0.1'", "whatsminer"),
        ("[farm]\ncolour=1\n[[group]]\nname='a'\nmodel='m50'\ncount=1\naddress='127.0.0.1'", "farm.colour"),
        ("nonsense", "TOML"),
    ],
)
def test_a_bad_description_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_plan(text)


def test_a_written_description_reads_back_with_the_right_count() -> None:
    plan = read_plan(write_plan(997, dict.fromkeys(PERSONALITIES, 1)))
    assert plan.size == 997
    assert {group.model for group in plan.group} == set(PERSONALITIES)
    assert resized(plan, 50).size == 50


@pytest.mark.parametrize(
    ("peer", "served"),
    [
        ("127.0.0.1", True),
        ("127.44.3.2", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.7", False),
        ("::ffff:10.0.0.7", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_only_loopback_is_served_unless_allowed(peer: str, served: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_served(peer, allow_remote=False) is served
    assert is_served(peer, allow_remote=True)


def test_every_command_of_another_module_is_listed_and_found() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert {"run", "world", *LAZY} <= set(result.output.split())
    for name in LAZY:
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("world --miners 3 --mix m50=x", "expected a whole number"),
        ("world --miners 3 --http-port 99999", "65535"),
        (f"run {__file__} --control here", "expected HOST:PORT"),
        (f"run {__file__} --port-base 99999", "65000"),
        ("meter --control here", "expected http://HOST:PORT"),
    ],
)
def test_a_slip_of_the_hand_is_told_in_words(words: str, told: str) -> None:
    result = CliRunner().invoke(main, words.split())
    assert (result.exit_code, told in result.output) == (2, True), result.output


async def test_the_program_says_when_it_is_ready_and_stops_on_sigterm(tmp_path: Path) -> None:
    description = tmp_path / "world.toml"
    description.write_text(write_plan(30, {"m50": 1, "s21": 1}))
    command = ["-m", "simulators", "run", str(description), "--port-base", str(PORT_BASE)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--miners", "8", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ready = json.loads(await process.stdout.readline())
        assert (ready["ready"], ready["miners"]) == (True, 8)
        _, total = await _call(f"http://{ready['control']}", "/total")
        assert total["miners"] == 8
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            code = await process.wait()
    assert code == 0


async def test_shutdown_by_the_api_ends_the_program(tmp_path: Path) -> None:
    description = tmp_path / "world.toml"
    description.write_text(write_plan(2, {"m50": 1}))
    command = ["-m", "simulators", "run", str(description), "--port-base", str(PORT_BASE)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        ready = json.loads(await process.stdout.readline())
        status, _ = await _call(f"http://{ready['control']}", "/shutdown", {})
        assert status == 200
        assert await process.wait() == 0


def test_the_guide_names_every_model_fault_and_call() -> None:
    guide = (ROOT / "docs" / "farmsim.md").read_text(encoding="utf-8")
    routes = re.findall(r'web\.(get|post)\("(/\w+)"', (ROOT / "simulators" / "control.py").read_text(encoding="utf-8"))
    named = [*PERSONALITIES, *Fault, *MALFORMS, *(f"{method.upper()} {path}" for method, path in routes)]
    assert len(routes) >= 8
    assert not [name for name in named if f"`{name}`" not in guide and f"`{name}?" not in guide]
    keys = {*FarmTable.model_fields, *GroupTable.model_fields, *PortsTable.model_fields}
    assert not [key for key in keys if f"{key} = " not in guide]
