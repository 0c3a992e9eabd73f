"""The site by hand: curtail, hold, mode, lease, maintenance, emergency, miners; parts, audit, jobs; formats."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from farmctl.cli import main
from farmctl.cli.exits import MEANING, Exit
from farmctl.control.identity import Role
from tests.cli.shell import Shell
from tests.control.glasshouse import Glasshouse

GUIDE = """
0 ok | 5 partial: some miners failed
1 error | 6 conflict: override active, lease held, if_rev changed, idempotency key reused
2 usage or config | 7 timeout: target not reached
3 controller unreachable | 8 changes pending (--dry-run --exit-code)
4 not permitted or read-only | 130 interrupted
"""
WHY = ("--reason", "works on the pump", "--yes")


async def test_curtail_takes_sizes_with_units_and_ends_by_itself(house: Glasshouse, shell: Shell) -> None:
    rated_kw = house.day.rated_w / 1e3
    said = await shell("curtail", "--to", f"{0.5 * rated_kw:.1f}kW", "--for", "90m", *WHY)
    assert said.code == Exit.OK, said.err
    assert "UTC)" in said.err
    (live,) = house.desk.overrides
    assert live.target_w == pytest.approx(0.5 * house.day.rated_w, rel=0.01)
    house.run(60)
    assert house.day.power_w / house.day.rated_w == pytest.approx(0.5, abs=0.03)
    assert (await shell("curtail", "--to", "50", "--for", "90m", *WHY)).code == Exit.USAGE
    assert (await shell("curtail", "--to", "50%", "--for", "1h", "--until", "18:00", *WHY)).code == Exit.USAGE
    assert (await shell("override", "set", "--to", "50%", *WHY)).code == Exit.USAGE
    usual = await shell("curtail", "--to", "50%", *WHY)
    assert usual.code == Exit.OK, usual.err
    assert 3_500_000 < house.desk.overrides[-1].expires_ms - house.clock.now_ms() < 3_700_000
    assert (await shell("curtail", "--by", "10%", "--mode", "off", "--for", "1h", *WHY)).code == Exit.USAGE
    assert (await shell("curtail", "--to", "50%", "--for", "1h", "--yes")).code == Exit.USAGE


async def test_a_rehearsal_says_by_its_exit_code_that_something_would_change(house: Glasshouse, shell: Shell) -> None:
    asked = ("curtail", "--by", "30%", "--for", "1h", "--reason", "x", "--dry-run", "--exit-code")
    said = await shell(*asked, "-o", "json")
    assert said.code == Exit.PENDING
    assert said.data["plan"]["lowered"] > 0
    assert house.desk.overrides == ()
    yaml = await shell(*asked, "-o", "yaml")
    assert 'schema: "farmctl/v1"' in yaml.out
    assert "  lowered:" in yaml.out
    assert (await shell("hold", "--for", "1h", "--reason", "x", "--exit-code")).code == Exit.USAGE


async def test_mode_manual_holds_the_lease_and_the_power_and_auto_gives_both_back(
    house: Glasshouse, shell: Shell
) -> None:
    assert (await shell("mode", "manual", "--for", "30m", *WHY)).code == Exit.OK
    assert house.desk.lease is not None
    assert len(house.desk.overrides) == 1
    assert "kim until" in (await shell("lease", "show")).out
    assert (await shell("mode", "auto", *WHY)).code == Exit.OK
    assert "nobody" in (await shell("lease", "show")).out
    assert "ov-" not in (await shell("override", "list")).out
    assert (await shell("lease", "release", "--reason", "x")).code == Exit.CONFLICT


async def test_a_lease_keeps_another_operator_out_with_exit_6(house: Glasshouse, shell: Shell) -> None:
    assert (await shell("lease", "take", "--for", "1h", "--reason", "mine")).code == Exit.OK
    house.identify = lambda uid: house.badge(uid + 1)
    lease = house.desk.lease
    assert lease is not None
    house.desk._in_force = type(house.desk._in_force)(
        lease=type(lease)(owner="ada", uid=4711, reason="x", taken_ms=lease.taken_ms, expires_ms=lease.expires_ms)
    )
    said = await shell("hold", "--for", "1h", *WHY)
    assert said.code == Exit.CONFLICT
    assert "held by ada" in said.err
    assert (await shell("stop-all", *WHY)).code == Exit.OK


async def test_maintenance_of_a_container_and_parts_of_the_site(house: Glasshouse, shell: Shell) -> None:
    assert (await shell("maintenance", "on", "--container", "C003", *WHY)).code == Exit.OK
    house.run(2)
    rows = (await shell("containers", "list", "C00*", "-o", "json")).data["rows"]
    assert [row["name"] for row in rows if row["maintenance"]] == ["C003"]
    assert (await shell("containers", "get", "C003", "-o", "json")).data["miners"] == 10
    assert (await shell("containers", "get", "C999")).code == Exit.ERROR
    assert "RATING KW" in (await shell("circuits", "list")).out
    assert (await shell("racks", "list", "-o", "name")).out.splitlines()[0] == "C000/R00"
    assert "site" in (await shell("meters", "list")).out
    assert (await shell("maintenance", "off", "--container", "C003", *WHY)).code == Exit.OK


async def test_miners_are_found_and_restarted_by_ids_ranges_stdin_and_filter(house: Glasshouse, shell: Shell) -> None:
    ids = (await shell("miners", "list", "-l", "cont=C001..C002", "-o", "name")).out.split()
    assert len(ids) == 20
    assert len((await shell("miners", "list", "-", "-o", "jsonl", typed="\n".join(ids[:3]))).out.splitlines()) == 3
    said = await shell("miners", "locate", "-l", "cont=C001", *WHY)
    assert said.code == Exit.OK, said.err
    assert {what for what, _ in house.hands.done} == {"light on"}
    assert (await shell("miners", "reboot", ids[0], *WHY)).code == Exit.DENIED
    house.badge.role = Role.ENGINEER
    house.hands.unable = {ids[0]}
    waited = await shell("miners", "reboot", "-", *WHY, "--wait", "--timeout", "20s", typed="\n".join(ids[:2]))
    assert waited.code == Exit.PARTIAL, waited.err
    assert (await shell("miners", "reboot", *WHY)).code == Exit.USAGE
    described = await shell("miners", "describe", ids[0])
    assert "step 0" in described.out
    assert "marginal" in described.out


async def test_miners_are_held_at_a_power_of_their_own_as_an_override_that_is_listed_and_released(
    house: Glasshouse, shell: Shell
) -> None:
    first, *_ = ids = (await shell("miners", "list", "-l", "cont=C001", "-o", "name")).out.split()
    asked = ("miners", "set-power", "-l", "cont=C001", "--to", "0W")
    for wrong in (("--to", "2500"), ("--to", "80%")):
        assert (await shell("miners", "set-power", first, *wrong, "--for", "1h", *WHY)).code == Exit.USAGE
    assert (await shell(*asked, *WHY)).code == Exit.USAGE, "an override always ends"
    rehearsed = await shell(*asked, "--for", "1h", "--reason", "x", "--dry-run", "--exit-code", "-o", "json")
    assert rehearsed.code == Exit.PENDING
    assert rehearsed.data["plan"]["selection"]["total"] == 10
    said = await shell(*asked, "--for", "1h", *WHY, "-o", "json")
    assert said.code == Exit.OK, said.err
    house.run(60)
    asleep = (await shell("miners", "list", "-l", "state=curtailed reason=OVERRIDE", "-o", "name")).out.split()
    assert asleep == ids
    assert (await shell("jobs", "get", said.data["job"], "-o", "json")).data["job"]["progress"]["ok"] == 10
    assert [row["miners"] for row in (await shell("override", "list", "-o", "json")).data["rows"]] == [10]
    assert (await shell("override", "release", said.data["override"], *WHY)).code == Exit.OK
    assert house.desk.overrides == ()
    house.badge.role = Role.VIEWER
    assert (await shell(*asked, "--for", "1h", *WHY)).code == Exit.DENIED


async def test_audit_and_jobs_tell_who_did_what(house: Glasshouse, shell: Shell) -> None:
    job = (await shell("hold", "--for", "1h", *WHY, "-o", "json")).data["job"]
    house.run(3)
    assert job in (await shell("jobs", "list")).out
    assert (await shell("jobs", "cancel", job, "--reason", "no need")).code == Exit.OK
    assert house.desk.overrides == ()
    rows = (await shell("audit", "-o", "json", "--owner", "kim")).data["rows"]
    assert {row["verb"] for row in rows} >= {"set", "release"}
    assert all(row["owner"] == "kim" for row in rows)


async def test_an_emergency_is_released_by_name_only(house: Glasshouse, shell: Shell) -> None:
    house.day.emergency("blackout")
    house.run(20)
    house.badge.role = Role.ENGINEER
    listed = await shell("events", "list")
    assert "EMERGENCY" in listed.out
    assert "limit_kw" in (await shell("events", "show", "blackout")).out
    assert (await shell("emergency", "release", *WHY)).code == Exit.USAGE
    assert (await shell("emergency", "release", *WHY, "--confirm", "other")).code == Exit.USAGE
    assert (await shell("emergency", "release", *WHY, "--confirm", "demo")).code == Exit.OK
    house.run(2)
    assert (await shell("status", "-o", "json")).data["mode"] != "EMERGENCY"


async def test_an_alarm_is_tried_through_the_whole_chain(house: Glasshouse, shell: Shell) -> None:
    async def time_passes() -> None:
        for _ in range(200):
            await asyncio.sleep(0.05)
            house.run(1)

    passing = asyncio.create_task(time_passes())
    said = await shell("alarms", "test", "--reason", "commissioning")
    passing.cancel()
    assert (said.code, said.out.strip()) == (Exit.OK, "raised, seen on the board, taken back")
    assert len((await shell("alarms", "catalogue", "-o", "name")).out.split()) == 49
    refused = await shell("alarms", "report", "store_failed", "--reason", "x")
    assert refused.code == Exit.CONFLICT


def test_the_exit_codes_are_those_of_the_operations_guide(tmp_path: Path) -> None:
    cells = [cell.strip() for line in GUIDE.strip().splitlines() for cell in line.split("|")]
    guide = {int(cell.split()[0]): cell.split(maxsplit=1)[1] for cell in cells}
    assert {int(code) for code in MEANING} == set(guide)
    told = Shell(tmp_path).now("help", "exit-codes").out
    for code, text in guide.items():
        first = re.split(r"[:,(]", text)[0].strip()
        assert re.search(rf"^ *{code}  {re.escape(first)}", told, re.MULTILINE), (code, told)


async def test_every_list_speaks_every_format(shell: Shell) -> None:
    lists = (("miners", "list"), ("containers", "list"), ("circuits", "list"), ("alarms", "catalogue"), ("audit",))
    for verb in lists:
        for output in ("table", "wide", "json", "jsonl", "csv", "yaml", "name"):
            said = await shell(*verb, "-o", output)
            assert said.code == Exit.OK, (verb, output, said.err)


async def test_a_site_declines_an_order_about_load_but_neither_a_limit_nor_an_emergency(
    house: Glasshouse, shell: Shell
) -> None:
    house.day.event("run", setpoint_w=0.6 * house.day.rated_w)
    house.day.event("cap", limit_w=0.9 * house.day.rated_w)
    house.run(20)
    words = ("--why", "mustRun", "--confirm", "demo", *WHY)
    refused = await shell("events", "opt-out", "cap", *words)
    assert refused.code == Exit.CONFLICT
    assert "cannot be declined" in refused.err
    assert (await shell("events", "opt-out", "nothing", *words)).code == Exit.CONFLICT
    assert (await shell("events", "opt-out", "run", "--dry-run", *words)).code == Exit.OK
    done = await shell("events", "opt-out", "run", *words)
    assert done.code == Exit.OK, done.err
    house.run(1)
    (ack,) = house.day.decision.acks
    assert (ack.event_id, ack.state.value, ack.reason) == ("run", "OPTED_OUT", "mustRun: works on the pump")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("lease take --for 99999999999d --reason x", Exit.USAGE, "at most 36500d"),
        ("alarms report backup_failed --for 99999999999d --reason x", Exit.USAGE, "at most 36500d"),
        ("override set F1 --to 50% --for 0s --reason x --yes", Exit.USAGE, "longer than nothing"),
        (f"override set F1 --to {'9' * 400}MW --for 1h --reason x --yes", Exit.USAGE, "at most 1000GW"),
        ("curtail --to 200% --reason x --yes", Exit.USAGE, "curtail only lowers"),
        ("circuits get F9", Exit.ERROR, "farmctl circuits list"),
        ("miners list nosuch", Exit.OK, "no miner fits"),
        ("why x --at yesterday", Exit.USAGE, "such as 2026-11-24T10:05"),
        ("statsu", Exit.USAGE, "Did you mean status?"),
        ("check --bogus", 3, "No such option"),
        ("context set north --url north.example", Exit.USAGE, "expected https://HOST:PORT"),
        ("grid certify --broker 127.0.0.1:1", Exit.USAGE, "expected --yes"),
        ("support-bundle --out /dev/null", Exit.USAGE, "is there already"),
        ("token make ada --role viewer --for 0s --reason x", Exit.USAGE, "longer than nothing"),
        ("grid send --broker 127.0.0.1:1 --limit-kw nan", Exit.USAGE, "finite number"),
        ("deadman --after nan", Exit.USAGE, "finite number"),
        ("report ev-1 --tariff inf", Exit.USAGE, "finite number"),
    ],
)
async def test_a_slip_of_the_hand_is_told_in_words(shell: Shell, words: str, code: int, told: str) -> None:
    said = await shell(*words.split())
    assert (said.code, told in said.err) == (code, True), said.err


async def test_who_finds_no_controller_is_told_so_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    socket = str(tmp_path / "none.sock")
    assert (await Shell(tmp_path / "none.sock")("status", "-w", "--times", "1")).code == Exit.UNREACHABLE
    for words, code, told in (
        (("status", "--socket", socket), Exit.UNREACHABLE, "farmctl doctor"),
        (("init", "/dev/null/farm.toml", "--name", "a", "--rated-kw", "5"), Exit.ERROR, "Not a directory"),
    ):
        monkeypatch.setattr(sys, "argv", ["farmctl", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code, told in capsys.readouterr().err) == (code, True)


async def test_a_controller_that_only_observes_says_so_when_it_takes_an_order(house: Glasshouse, shell: Shell) -> None:
    house.day.changes.update(armed=False)
    house.run(1)
    said = await shell("stop-all", *WHY)
    assert (said.code, "stop-all --direct" in said.err) == (Exit.OK, True)
    said = await shell("override", "set", "--to", "99%", "--for", "1h", *WHY)
    assert (said.code, "only OBSERVES" in said.err) == (Exit.OK, True)
