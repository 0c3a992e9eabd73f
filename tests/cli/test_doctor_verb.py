"""`farmctl doctor`, `support-bundle`, `token`, `context`, `notify test`: a host looked at, and nothing secret told."""

from __future__ import annotations

import asyncio
import json
import tarfile
import time
from pathlib import Path

import pytest

from farmctl.cli.doctor.host import lag_of
from farmctl.cli.exits import Exit
from farmctl.cli.redact import Redactor
from farmctl.control.tokens import TokenBook
from tests.alarms.receiver import receiving
from tests.cli.shell import Shell, dead_site
from tests.control.glasshouse import Glasshouse
from tests.control.remote import listener

SECRET = "correct-horse-battery"  # noqa: S105 - the one that must not be found
CHECKS = {
    "socket and role", "version skew", "meter", "signals", "subnets", "credentials", "config lint", "disk",
    "journal chain", "alert route", "unsigned mode", "open files", "conntrack", "ARP gc_thresh3", "NTP",
}  # fmt: skip


@pytest.fixture
def config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "oncall.hmac").write_text(SECRET)
    (folder / "oncall.hmac").chmod(0o600)
    file = folder / "farm.toml"
    file.write_text(
        f'[site]\nname = "demo"\nrated_kw = 100.0\n[store]\ndir = "{folder}"\n[api]\nsocket = "{folder}/farmctl.sock"\n'
        '[[notify]]\nname = "oncall"\nkind = "webhook"\nurl = "http://user:hunter22@127.0.0.1:9/x"\n'
        f'secret_file = "oncall.hmac"\n# pasted by mistake: password = "{SECRET}"\n'
    )
    monkeypatch.setenv("FARMCTL_CONFIG", str(file))
    return file


@pytest.mark.usefixtures("config")
async def test_the_doctor_makes_every_check_and_names_the_fix(house: Glasshouse, shell: Shell) -> None:
    house.run(5)
    said = await shell("doctor", "-o", "json")
    rows = {row["check"]: row for row in said.data["rows"]}
    assert CHECKS - rows.keys() <= {"NTP"}  # a container may not be asked about its clock
    assert rows["version skew"]["level"] == rows["config lint"]["level"] == "ok"
    assert rows["socket and role"]["found"] == "kim is operator"
    assert all(row["fix"] for row in rows.values() if row["level"] != "ok")


async def test_the_doctor_reads_the_configuration_of_the_controller_that_was_named(
    house: Glasshouse, shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FARMCTL_CONFIG")
    with await asyncio.to_thread(config.open, "a") as file:
        file.write("[nowhere]\n")
    house.run(5)
    rows = {row["check"]: row for row in (await shell("doctor", "--quick", "-o", "json")).data["rows"]}
    assert rows["config lint"]["level"] == "fail"
    assert "nowhere" in rows["config lint"]["found"]


@pytest.mark.usefixtures("config")
def test_the_doctor_says_what_to_do_where_nothing_runs(folder: Path) -> None:
    said = Shell(folder / "none.sock").now("doctor", "--quick", "-o", "json")
    rows = {row["check"]: row for row in said.data["rows"]}
    assert said.code == Exit.ERROR
    assert rows["socket and role"]["fix"].startswith("start it")
    assert rows["config lint"]["level"] == "ok"


def test_the_doctor_names_the_sites_of_a_programme_that_cannot_prove_what_they_say(folder: Path, config: Path) -> None:
    unit = '[[programme.site]]\nname = "{}"\nbroker = "127.0.0.1:1"\nop = "hq"\nrated_kw = 9.0\n{}'
    key = '[[programme.site.keys]]\nkid = "k"\npublic_key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="\n'
    over = key.replace("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    told = config.read_text() + "[programme]\nstep_kw = 5.0\n"

    def found(*units: str) -> list[tuple[str, str]]:
        config.write_text(told + "".join(units))
        rows = Shell(folder / "none.sock").now("doctor", "--quick", "-o", "json").data["rows"]
        return [(row["level"], row["found"]) for row in rows if row["check"] == "site keys"]

    proved, bare = unit.format("proved", key), unit.format("bare", f"signs_telemetry = false\n{key}")
    assert found(proved) == [("ok", "all 1 sites sign what they say")]
    assert found(bare)[0][0] == "warn"
    keyless, ended = found(
        proved, unit.format("open", ""), unit.format("late", f"{over}valid_until = 2020-01-01T00:00:00Z\n")
    )
    assert keyless == ("warn", "open: no key, so whoever can publish there speaks for it")
    assert ended == ("fail", "late: no key is valid now, nothing that it says counts")


async def test_the_doctor_counts_the_miners_that_have_the_password_that_everybody_knows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMCTL_CONFIG", str(await dead_site(folder, 3)))
    said = await Shell(folder / "none.sock")("doctor", "--quick", "-o", "json")
    (row,) = [row for row in said.data["rows"] if row["check"] == "factory passwords"]
    assert row["level"] == "warn"
    assert row["found"].startswith("3 of 3 miners; ")
    assert "[[credentials]]" in row["fix"]


def test_loop_lag_is_read_out_of_a_histogram() -> None:
    text = (
        b'farmctl_event_loop_lag_seconds_bucket{le="0.01",site="a"} 90.0\n'
        b'farmctl_event_loop_lag_seconds_bucket{le="0.05",site="a"} 99.0\n'
        b'farmctl_event_loop_lag_seconds_bucket{le="+Inf",site="a"} 100.0\n'
    )
    assert lag_of(text) == 0.05
    assert lag_of(b"") is None


@pytest.mark.usefixtures("config")
async def test_a_bundle_holds_everything_and_no_secret(house: Glasshouse, shell: Shell, folder: Path) -> None:
    token = listener(folder, house.clock.now_ms()).token("ada", "operator")
    log = folder / "controller.log"
    key = "-----{} PRIVATE KEY-----\nAAAA\n-----{} PRIVATE KEY-----".format("BEGIN", "END")
    log.write_text(f"started\nAuthorization: Bearer {token}\nsmtp password={SECRET}\n{key}\n")
    out = folder / "bundle.tgz"
    said = await shell("support-bundle", "--out", str(out), "--log", str(log), "-o", "json")
    assert said.code == Exit.OK, said.err
    with tarfile.open(out) as archive:
        members = {m.name.removeprefix("farmctl-support/"): archive.extractfile(m) for m in archive.getmembers()}
        texts = {name: file.read().decode() for name, file in members.items() if file is not None}
    assert {"doctor.json", "version.txt", "config/farm.toml", "api/state.json", "api/audit.json"} <= texts.keys()
    whole = "\n".join(texts.values())
    for secret in (SECRET, token, token.split("_", 2)[2], "hunter22", "AAAA"):
        assert secret not in whole, secret
    assert 'name = "demo"' in texts["config/farm.toml"]
    assert "started" in texts["logs/controller.log"]
    assert said.data["redacted"] >= 4
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "swordfish"}', "token=swordfish", "  secret: 'swordfish'", "Bearer swordfish99",
        "https://me:swordfish@host/x",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_taken_for_one(text: str) -> None:
    assert "swordfish" not in Redactor(()).clean(text)


@pytest.mark.usefixtures("config")
def test_tokens_are_made_listed_and_revoked(folder: Path) -> None:
    shell = Shell(folder / "x")
    made = shell.now("token", "make", "ada", "--role", "operator", "--for", "90d", "--reason", "desk", "-o", "json")
    text = made.data["token"]
    book = TokenBook(folder / "tokens.json")
    now_ms = int(time.time() * 1000)
    found = book.find(text, now_ms)
    assert found is not None
    assert found.name == "ada"
    assert text not in shell.now("token", "list", "-o", "json").out
    assert shell.now("token", "revoke", "ada", "--reason", "stolen").code == Exit.OK
    assert book.find(text, now_ms) is None
    assert shell.now("token", "list", "-o", "json").data["rows"][0]["state"] == "revoked"
    assert shell.now("token", "revoke", "ada", "--reason", "again").code != Exit.OK


async def test_a_context_names_a_controller_over_tls(
    house: Glasshouse, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = listener(tmp_path, house.clock.now_ms())
    token_file = tmp_path / "token"
    token_file.write_text(there.token("ada", "viewer"))
    token_file.chmod(0o600)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    shell = Shell(folder / "none.sock")
    named = ("--url", there.url, "--ca-file", str(there.ca_file), "--token-file", str(token_file))
    assert shell.now("context", "set", "north", *named).code == Exit.OK
    async with house.server(folder / "farmctl.sock", there.remote).listening():
        said = await shell("status", "--context", "north", "-o", "json")
        assert said.data["site"] == "demo"
        token_file.chmod(0o644)
        assert (await shell("status", "--context", "north")).code == Exit.USAGE
    assert "north" in shell.now("context", "list").out
    assert shell.now("context", "use", "north").code == Exit.OK
    assert json.loads(shell.now("context", "list", "-o", "json").out)["rows"][0]["current"] == "*"
    assert shell.now("context", "use", "south").code == Exit.USAGE


async def test_channels_are_tried_and_say_what_was_answered(folder: Path, config: Path) -> None:
    async with receiving(200, 403) as receiver:
        _replaced(config, "http://user:hunter22@127.0.0.1:9/x", receiver.url)
        shell = Shell(folder / "none.sock")
        first = await shell("notify", "test", "oncall", "-o", "json")
        assert (first.code, receiver.bodies[0]["kind"]) == (Exit.OK, "test")
        second = await asyncio.to_thread(shell.now, "notify", "test", "-o", "json")
        assert second.code == Exit.ERROR
        assert "403" in second.data["rows"][0]["detail"]
        assert (await shell("notify", "test", "nobody")).code == Exit.USAGE


def _replaced(file: Path, before: str, after: str) -> None:
    file.write_text(file.read_text().replace(before, after))
