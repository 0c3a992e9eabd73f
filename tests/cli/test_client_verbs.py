"""The verbs that ask a controller: what they print, what they refuse, and the exit codes that scripts rely on."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farmctl.cli.asking import EXIT_OF_STATUS
from farmctl.cli.exits import Exit
from farmctl.control.identity import Role
from farmctl.core.reasons import HELP, ORDER
from farmctl.engine.clock import SystemClock
from farmctl.engine.desk import Desk
from farmctl.ports.store import RecordKind
from farmctl.store.sqlite import open_sqlite
from tests.cli.shell import Shell, dead_site, on_a_terminal
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm

HEAVY = ("aiohttp", "numpy", "pydantic", "textual", "orjson", "structlog", "uvloop")


async def test_status_shows_the_site_on_one_screen(house: Glasshouse, shell: Shell) -> None:
    house.day.event("evening", setpoint_w=0.3 * house.day.rated_w)
    house.run(40)
    said = await shell("status")
    assert said.code == Exit.OK
    for words in ("FOLLOWING", "decided by the grid", "evening TARGET REACHED", "curtailed", "P1 0", "meter OK"):
        assert words in said.out
    assert "\x1b" not in said.out
    assert (await shell("status", "-o", "json")).data["event"]["id"] == "evening"


async def test_status_watches_in_plain_lines_without_a_terminal(shell: Shell) -> None:
    said = await shell("status", "-w", "--every", "0.01s", "--times", "3")
    lines = said.out.splitlines()
    assert len(lines) == 3
    assert all("power" in line and "alarms: none" in line for line in lines)


async def test_a_watch_outlives_its_controller(house: Glasshouse, folder: Path) -> None:
    shell = Shell(folder / "late.sock")
    watching = asyncio.create_task(shell("status", "-w", "--every", "0.2s", "--times", "4", "-o", "json"))
    await asyncio.sleep(0.3)
    async with house.server(folder / "late.sock").listening():
        said = await watching
    assert said.code == Exit.OK
    assert "trying again" in said.err


async def test_check_speaks_nagios(house: Glasshouse, shell: Shell) -> None:
    well = await shell("check")
    assert (well.code, well.out.split(" -")[0]) == (0, "FARMCTL OK")
    assert "power=" in well.out
    house.day.event("low", setpoint_w=0.3 * house.day.rated_w)
    house.run(1)
    assert (await shell("check")).code == 1
    house.day.grid_falls_silent()
    house.run(70)
    lost = await shell("check")
    assert (lost.code, "signal_stale" in lost.out) == (2, True)
    house.clock.ahead_ms = 60_000
    assert "no decision for 60 s" in (await shell("check")).out
    house.blind = True
    assert (await shell("check")).code == 2


async def test_miners_come_as_table_csv_json_and_names(house: Glasshouse, shell: Shell) -> None:
    ids = house.day.table.miner_id.tolist()
    assert (await shell("miners", "list", "-o", "name")).out.split() == ids
    found = await shell("miners", "list", "-l", "cont=C000", "-l", "model~s21", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(found.out)))
    assert [row["id"] for row in rows] == [ids[n] for n in (0, 3, 6, 9)]
    assert rows[0]["model"] == "Antminer S21"
    wide = (await shell("miners", "list", "--sort-by=-id", "--limit", "2", "-o", "wide")).out.splitlines()
    assert len(wide) == 3
    assert wide[1].startswith(ids[-1])
    assert "FW" in wide[0]
    assert len((await shell("miners", "list", "-o", "json")).data["rows"]) == 60
    assert "CONT" in (await shell("miners", "list")).out


async def test_a_bad_filter_is_a_usage_error(shell: Shell) -> None:
    said = await shell("miners", "list", "-l", "stat=fault")
    assert said.code == Exit.USAGE
    assert "did you mean state?" in said.err
    assert said.out == ""


async def test_one_miner_and_why(house: Glasshouse, shell: Shell) -> None:
    miner = str(house.day.table.miner_id[1])
    reason = ORDER[int(house.day.decision.reasons[1])]
    assert "wanted" in (await shell("miners", "get", miner)).out
    assert (await shell("miners", "get", miner, "-o", "json")).data["id"] == miner
    told = await shell("why", miner)
    assert f"{reason.value}: {HELP[reason]}" in told.out
    assert "shed" in told.out
    assert (await shell("why", miner, "-o", "json")).data["reason"] == reason.value
    assert (await shell("why", "nobody")).code == Exit.ERROR


async def test_a_plan_needs_units_and_sends_nothing(house: Glasshouse, shell: Shell) -> None:
    told = await shell("plan", "--to", "50%", "--dry-run")
    assert told.code == Exit.OK
    assert "lowered" in told.out
    assert "full -> percent:40" in told.out  # which miners, not only how many
    assert "more; -o json names them" in told.out
    assert (await shell("plan", "--by", "30%", "--exit-code", "-o", "json")).code == Exit.PENDING
    assert (await shell("plan", "--to", "100%", "--exit-code")).code == Exit.OK
    for words in (["--to", "20"], ["--to", "20 potatoes"], [], ["--to", "1MW", "--by", "1MW"]):
        assert (await shell("plan", *words)).code == Exit.USAGE
    house.run(10)
    assert house.day.share > 0.95
    assert await house.store.head() is None


async def test_stop_all_and_resume(house: Glasshouse, shell: Shell) -> None:
    stopped = await shell("stop-all", "--reason", "smoke", "--yes", "-o", "json")
    assert stopped.code == Exit.OK
    assert stopped.data["direct"] is False
    house.run(20)
    assert house.day.power_w <= 60 * 40.0
    assert "STOPPED" in (await shell("status")).out
    assert "60 woken" in (await shell("resume", "--reason", "over", "--dry-run")).out
    resumed = await shell("resume", "--reason", "over", "--yes")
    assert resumed.code == Exit.OK
    house.run(60)
    assert house.day.share > 0.9


async def test_orders_without_a_terminal_need_yes_and_always_a_reason(house: Glasshouse, shell: Shell) -> None:
    for words in (
        ["stop-all", "--reason", "x"],
        ["hold", "--reason", "x"],
        ["stop-all", "--yes"],
        ["override", "set", "--to", "100kW", "--for", "1h", "--reason", "x"],
        ["override", "set", "--to", "100kW", "--for", "1h", "--yes"],
        ["override", "set", "--to", "100kW", "--reason", "x", "--yes"],
        ["override", "set", "--to", "100", "--for", "1h", "--reason", "x", "--yes"],
        ["override", "set", "--to", "1kW", "--for", "90", "--reason", "x", "--yes"],
        ["override", "set", "--to", "1kW", "--until", "2001-01-01T00:00", "--reason", "x", "--yes"],
    ):
        assert (await shell(*words)).code == Exit.USAGE
    assert await house.store.head() is None


async def test_an_override_is_set_listed_and_released(house: Glasshouse, shell: Shell) -> None:
    dry = await shell("override", "set", "--power", "40%", "--until", "18:00", "--reason", "pump", "--dry-run")
    assert "Asia/Karachi" in dry.out
    assert house.desk.overrides == ()
    words = ["override", "set", "--to", "40%", "--for", "90m", "--reason", "pump", "--yes", "-o", "json"]
    made = (await shell(*words)).data
    house.run(30)
    assert house.day.share == pytest.approx(0.4, abs=0.02)
    assert (await shell("override", "list", "-o", "name")).out.split() == [made["override"]]
    assert (await shell("jobs", "get", made["job"], "-o", "json")).data["job"]["state"] == "done"
    dry = await shell("override", "release", made["override"], "--reason", "x", "--dry-run", "-o", "json")
    assert dry.data["plan"]["raised"] > 0
    assert (await shell("override", "release", made["override"], "--reason", "done", "--yes")).code == Exit.OK
    assert (await shell("override", "release", made["override"], "--reason", "done", "--yes")).code == Exit.CONFLICT


async def test_a_large_override_must_name_the_site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.scenarios.day.START_MS", int(time.time()) * 1000)
    house = Glasshouse(farm(20), confirm_fraction=0.1).run(5)
    words = ["override", "set", "--to", "10%", "--for", "1h", "--reason", "x", "--yes"]
    async with house.server(folder / "s").listening():
        shell = Shell(folder / "s")
        refused = await shell(*words)
        assert refused.code == Exit.USAGE
        assert "--confirm demo" in refused.err
        assert (await shell(*words, "--confirm", "demo")).code == Exit.OK


async def test_a_job_is_waited_for_until_it_is_measured(house: Glasshouse, shell: Shell) -> None:
    job = (await shell("stop-all", "--reason", "x", "--yes", "-o", "json")).data["job"]
    late = await shell("jobs", "wait", job, "--timeout", "0.1s")
    assert late.code == Exit.TIMEOUT
    waiting = asyncio.create_task(shell("jobs", "wait", job, "--timeout", "30s"))
    await asyncio.sleep(0.2)
    house.run(20)
    said = await waiting
    assert said.code == Exit.OK
    assert "60 of 60 miners" in said.out


async def test_an_order_may_wait_for_its_own_end(house: Glasshouse, shell: Shell) -> None:
    words = ["override", "set", "--to", "40%", "--for", "1h", "--reason", "x", "--yes"]
    assert (await shell(*words, "--wait")).code == Exit.USAGE
    assert (await shell(*words, "--timeout", "1s")).code == Exit.USAGE
    waiting = asyncio.create_task(shell(*words, "--wait", "--timeout", "30s", "-o", "json"))
    await house.desk._wake.wait()
    house.run(30)
    said = await waiting
    assert (said.code, said.data["job"]["state"]) == (Exit.OK, "done")


async def test_deaf_miners_are_exit_5(house: Glasshouse, shell: Shell) -> None:
    house.day.farm.deaf[:3] = True
    job = (await shell("stop-all", "--reason", "x", "--yes", "-o", "json")).data["job"]
    house.run(120)
    assert (await shell("jobs", "wait", job, "--timeout", "5s")).code == Exit.PARTIAL


async def test_a_viewer_is_exit_4(house: Glasshouse, shell: Shell) -> None:
    house.badge.role = Role.VIEWER
    assert (await shell("status")).code == Exit.OK
    said = await shell("stop-all", "--reason", "x", "--yes")
    assert said.code == Exit.DENIED
    assert "straight to the miners" not in said.err


def test_no_controller_is_exit_3(folder: Path) -> None:
    shell = Shell(folder / "nobody.sock")
    for words in (["status"], ["miners", "list"], ["why", "x"], ["plan", "--to", "1MW"], ["override", "list"]):
        assert shell.now(*words).code == Exit.UNREACHABLE
    assert shell.now("check").code == 2


def test_every_status_of_the_api_has_its_exit_code() -> None:
    documented = {400: 2, 401: 4, 403: 4, 404: 1, 409: 6, 412: 6, 503: 3}
    assert {status: int(code) for status, code in EXIT_OF_STATUS.items()} == documented


@pytest.mark.parametrize(("miners", "code"), [(2, Exit.PARTIAL), (0, Exit.ERROR)])
async def test_stop_all_goes_to_the_miners_when_the_controller_is_dead(folder: Path, miners: int, code: Exit) -> None:
    config = await dead_site(folder, miners)
    words = [
        sys.executable,
        "-m",
        "farmctl",
        "stop-all",
        "--reason",
        "x",
        "--yes",
        "--config",
        str(config),
        "-o",
        "json",
    ]
    ended = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == code, ended.stderr
    assert "does not answer" in ended.stderr
    assert "straight to the miners" in ended.stderr
    told = json.loads(ended.stdout)
    assert (told["direct"], told["total"], told["ok"], len(told["failed"])) == (True, miners, 0, miners)
    store = await open_sqlite(folder / "journal.db")
    desk = Desk(store, SystemClock(), asyncio.Event(), armed=True)
    await desk.restore()
    noted = [r.record.body async for r in store.records(kinds=frozenset({RecordKind.OPERATOR}))]
    await store.close()
    assert desk.stop_all
    assert [(body["verb"], body["reason"]) for body in noted] == [("stop_all", "x"), ("stop_all_direct", "x")]


async def test_stop_all_does_not_trust_a_controller_that_decides_nothing(
    house: Glasshouse, shell: Shell, folder: Path
) -> None:
    config = await dead_site(folder, 1)
    house.clock.ahead_ms = 60_000
    said = await shell("stop-all", "--reason", "x", "--yes", "--config", str(config))
    assert said.code == Exit.PARTIAL
    assert "makes no decisions" in said.err
    assert house.desk.stop_all


@pytest.mark.parametrize(
    "verb",
    [
        "status",
        "miners list",
        "why x",
        "plan --to 1MW",
        "override list",
        "jobs get x",
        "check",
        "containers list",
        "curtail --to 1MW --for 1h --reason x --yes",
        "events show x",
        "audit",
        "lease show",
        "alarms stats",
    ],
)
def test_a_client_verb_starts_without_the_heavy_libraries(folder: Path, verb: str) -> None:
    program = (
        "import sys; from farmctl.cli import main; sys.argv = ['farmctl', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], int(code))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *verb.split()], capture_output=True, text=True, check=True, timeout=30,
        env={"FARMCTL_SOCKET": str(folder / "nobody.sock")}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    expected = 2 if verb == "check" else int(Exit.UNREACHABLE)
    assert ended.stdout.splitlines()[-1] == f"[] {expected}"


async def test_the_program_itself_prints_json_and_its_exit_code(shell: Shell) -> None:
    words = [sys.executable, "-m", "farmctl", "status", "-o", "json", "--socket", str(shell.socket_path)]
    ended = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["site"] == "demo"


async def test_a_terminal_gets_a_live_screen_and_colour_only_where_something_is_wrong(
    house: Glasshouse, shell: Shell
) -> None:
    words = ["status", "-w", "--every", "0.01s", "--times", "2", "--socket", str(shell.socket_path)]
    code, screen = await asyncio.to_thread(on_a_terminal, *words, NO_COLOR="")
    assert code == Exit.OK
    assert screen.count("\x1b[H\x1b[J") == 2
    assert "\x1b[3" not in screen
    house.day.grid_falls_silent()
    house.run(70)
    assert "\x1b[31m" in (await asyncio.to_thread(on_a_terminal, *words, NO_COLOR=""))[1]
    assert "\x1b[31m" not in (await asyncio.to_thread(on_a_terminal, *words, NO_COLOR="1"))[1]


async def test_a_no_at_the_question_orders_nothing(house: Glasshouse, shell: Shell) -> None:
    words = ["stop-all", "--reason", "x", "--socket", str(shell.socket_path)]
    code, screen = await asyncio.to_thread(on_a_terminal, *words, typed="n\n")
    assert "every miner of the site" in screen
    assert code == Exit.INTERRUPTED
    assert not house.desk.stop_all
    assert (await asyncio.to_thread(on_a_terminal, *words, typed="y\n"))[0] == Exit.OK
    assert house.desk.stop_all
