"""`farmctl scan` against simulated miners: what it prints, what it writes, what it refuses to write."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from farmctl.cli import main
from farmctl.cli.exits import Exit
from farmctl.cli.scan_report import bar
from farmctl.config.write import first_config
from farmctl.engine.scan import Progress
from farmctl.inventory.csv import read_miners
from farmctl.ports.store import InventoryRow
from farmctl.store.owner import Ownership
from farmctl.store.reader import open_reader
from simulators.faults import Fault
from simulators.plan import read_plan
from simulators.world import World

Scan = Callable[..., Awaitable[tuple[int, str, str]]]

NET = f"127.{160 + os.getpid() % 50}.{os.getpid() // 50 % 200}"
"""A network per test process."""
RANGE = f"{NET}.0-40"
PORTS = "api=14028,http=18080"
FARM = f"""
[farm]
seed = 9
[[group]]
name = "m50"
model = "m50"
count = 6
address = "{NET}.1"
ports = {{ api = 14028, http = 18080 }}
[[group]]
name = "lux"
model = "luxos-s21"
count = 4
address = "{NET}.21"
ports = {{ api = 14028, http = 18080 }}
"""


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Scan:
    """Run `farmctl scan` beside the simulators: exit code, stdout, stderr."""
    for name in [name for name in os.environ if name.startswith("FARMCTL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)

    def run() -> int:
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        return code

    async def scanned(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["farmctl", "scan", *args, "--ports", PORTS, "--rate", "5000"])
        capsys.readouterr()
        code = await asyncio.to_thread(run)
        out = capsys.readouterr()
        return code, out.out, out.err

    return scanned


@asynccontextmanager
async def farm() -> AsyncIterator[World]:
    world = World(read_plan(FARM))
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


@asynccontextmanager
async def stranger(host: str) -> AsyncIterator[None]:
    """Something that accepts and hangs up, such as a printer."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, host, 14028)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def site(folder: Path, *, containers: int = 0) -> Path:
    """Configure a site with its store in the same folder, and circuits under the first."""
    text = first_config(name="north-1", rated_kw=100) + '\n[store]\ndir = "state"\n'
    for number in range(containers):
        text += f'\n[[circuit]]\nname = "C{number + 1}"\nparent = "site"\nrating_kw = 40.0\n'
    (folder / "farm.toml").write_text(text, encoding="utf-8")
    return folder / "state" / "journal.db"


def parsed(text: str) -> dict[str, Any]:
    told = json.loads(text)
    assert isinstance(told, dict)
    assert told.pop("schema") == "farmctl/v1"
    return told


async def stored(journal: Path) -> dict[str, InventoryRow]:
    reader = await open_reader(journal)
    try:
        return {row.miner_id: row for row in await reader.inventory()}
    finally:
        await reader.close()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def mac(world: World, row: int) -> str:
    return world.miners[row].identity.mac.lower()


async def test_a_scan_needs_no_configuration_and_writes_nothing(scan: Scan, tmp_path: Path) -> None:
    async with farm() as world:
        code, out, err = await scan(RANGE, "-o", "json")
        told = parsed(out)
        assert {f["miner_id"]: f["host"] for f in told["found"]} == {
            mac(world, row): world.miners[row].endpoint.host for row in range(10)
        }
    assert code == Exit.OK
    assert set(told) == {"addresses", "wall_s", "found", "unknown", "diff", "written"}
    assert set(told["found"][0]) == {"miner_id", "host", "ports", "driver", "model", "firmware", "mac", "serial"}
    assert (told["addresses"], told["unknown"], told["diff"], told["written"]) == (41, [], None, None)
    assert "100 %, 41 of 41 addresses, 10 miners" in err
    assert "nothing was written" in err
    assert files_in(tmp_path) == []


async def test_a_table_and_a_csv_have_a_line_per_miner(scan: Scan) -> None:
    async with farm():
        _, table, _ = await scan(RANGE)
        _, text, _ = await scan(RANGE, "-o", "csv")
    assert table.splitlines()[0].split() == ["MINER", "ID", "HOST", "DRIVER", "MODEL", "FIRMWARE", "SERIAL"]
    assert len(table.splitlines()) == 11
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 10
    assert rows[0]["driver"] == "whatsminer"


async def test_write_takes_the_miners_in_and_a_second_scan_finds_no_difference(scan: Scan, tmp_path: Path) -> None:
    journal = site(tmp_path)
    async with farm() as world:
        code, out, _ = await scan(RANGE, "--write", "-o", "json")
        assert code == Exit.OK
        assert len(parsed(out)["written"]["added"]) == 10
        rows = await stored(journal)
        assert {row.circuit for row in rows.values()} == {"site"}
        assert dict(rows[mac(world, 0)].ports) == {"api": 14028, "http": 18080}
        code, out, _ = await scan(RANGE, "--diff", "--exit-code", "-o", "json")
    assert code == Exit.OK
    assert parsed(out)["diff"] == {
        "new": [],
        "moved": [],
        "swapped": [],
        "missing": [],
        "doubled": [],
        "unchanged": 10,
    }


async def test_diff_names_swapped_missing_and_unknown_devices_and_changes_nothing(scan: Scan, tmp_path: Path) -> None:
    journal = site(tmp_path)
    async with farm() as world:
        await scan(RANGE, "--write")
        before = await stored(journal)
        await world.swap(1, 2)
        world.put_fault([3], Fault.UNPLUGGED)
        await world.advance(1.0)
        async with stranger(f"{NET}.40"):
            code, out, err = await scan(RANGE, "--diff", "--exit-code", "-o", "json")
        told = parsed(out)
        assert await stored(journal) == before
        assert code == Exit.PENDING
        assert {(s["miner_id"], s["to"], s["place_of"]) for s in told["diff"]["swapped"]} == {
            (mac(world, 1), f"{NET}.3", mac(world, 2)),
            (mac(world, 2), f"{NET}.2", mac(world, 1)),
        }
        assert {m["miner_id"] for m in told["diff"]["missing"]} == {mac(world, 3)}
        assert [(u["host"], u["listening"]) for u in told["unknown"]] == [(f"{NET}.40", ["api"])]
        assert f"unknown: {NET}.40 listens on api" in err
        code, _, _ = await scan(RANGE, "--write")
        assert code == Exit.OK
        after = await stored(journal)
        assert (after[mac(world, 1)].host, after[mac(world, 2)].host) == (f"{NET}.3", f"{NET}.2")
        assert len(after) == 10


async def test_new_miners_of_a_site_with_several_circuits_wait_for_a_circuit(scan: Scan, tmp_path: Path) -> None:
    journal = site(tmp_path, containers=2)
    async with farm():
        code, _, err = await scan(RANGE, "--write")
        assert code == Exit.PARTIAL
        assert "name one with --circuit" in err
        assert await stored(journal) == {}
        code, _, err = await scan(RANGE, "--write", "--circuit", "C3")
        assert code == Exit.USAGE
        assert "expected a circuit of the configuration: site, C1, C2" in err
        code, _, _ = await scan(RANGE, "--write", "--circuit", "C2")
        assert code == Exit.OK
        assert {row.circuit for row in (await stored(journal)).values()} == {"C2"}


async def test_write_is_refused_before_the_search_while_a_controller_runs(scan: Scan, tmp_path: Path) -> None:
    journal = site(tmp_path)
    journal.parent.mkdir()
    owner = Ownership.take(journal)
    try:
        code, out, err = await scan(RANGE, "--write")
    finally:
        owner.release()
    assert (code, out) == (Exit.CONFLICT, "")
    assert f"is being written by process {os.getpid()}" in err
    assert "--out FILE.csv" in err


async def test_out_writes_a_csv_and_keeps_what_people_wrote_in_it(scan: Scan, tmp_path: Path) -> None:
    file = tmp_path / "miners.csv"
    async with farm() as world:
        code, out, _ = await scan(RANGE, "--out", "miners.csv", "-o", "json")
        assert code == Exit.OK
        assert len(parsed(out)["written"]["added"]) == 10
        rows = read_miners(file.read_text(encoding="utf-8")).rows
        assert len(rows) == 10
        assert {row.circuit for row in rows} == {""}
        first = file.read_text(encoding="utf-8").splitlines()[1]
        host = first.split(",")[1]
        named = file.read_text(encoding="utf-8").replace(first, first.replace("false,,", "false,hot;old,"))
        file.write_text(named, encoding="utf-8")
        await world.swap(0, 5)
        code, _, _ = await scan(RANGE, "--out", "miners.csv")
        assert code == Exit.OK
    again = {row.miner_id: row for row in read_miners(file.read_text(encoding="utf-8")).rows}
    (tagged,) = [row for row in again.values() if row.tags]
    assert tagged.tags == ("hot", "old")
    assert tagged.host != host
    assert len(again) == 10


async def test_write_and_diff_need_a_configuration(scan: Scan) -> None:
    for flag in ("--write", "--diff"):
        code, _, err = await scan(RANGE, flag)
        assert code == Exit.USAGE
        assert "farmctl init" in err


async def test_a_bad_range_or_port_is_a_usage_error(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = await scan("10.1.0.0/33")
    assert (code, out) == (Exit.USAGE, "")
    assert "10.1.0.0/33: expected 10.1.0.0/16" in err
    monkeypatch.setattr(sys.modules[__name__], "PORTS", "api=many")
    code, _, err = await scan(RANGE)
    assert code == Exit.USAGE
    assert "expected ports such as api=4028" in err


def test_the_bar_has_three_segments() -> None:
    drawn = bar(Progress(done=10, started=20, total=30, found=1, eta_s=None))
    assert drawn == "[" + "=" * 10 + ">" * 10 + "." * 10 + "]"
