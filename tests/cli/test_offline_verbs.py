"""The verbs that need no controller: init, config, inventory, journal."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from farmctl.cli import places
from farmctl.cli.exits import Exit
from farmctl.config.schema.farm import schema_text
from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.sqlite import open_sqlite
from farmctl.wiring.stores import JOURNAL
from tests.cli.conftest import Verb

TWO_MINERS = """miner_id,host,driver,circuit,rack
02:00:00:00:00:01,10.0.0.1,whatsminer,site,R1
02:00:00:00:00:02,10.0.0.2,luxos,site,R1
"""


def journalled(site: Path, count: int) -> Path:
    """Fill the site's journal: a start, then decisions with a command every tenth."""
    path = site / "state" / "journal.db"

    async def fill() -> None:
        path.parent.mkdir(exist_ok=True)
        store = await open_sqlite(path)
        kinds = [RecordKind.COMMAND if n % 10 == 9 else RecordKind.DECISION for n in range(count - 1)]
        records = [JournalRecord(kind=kind, at_ms=1_000 * n, body={"n": n}) for n, kind in enumerate(kinds)]
        await store.append([JournalRecord(kind=RecordKind.START, at_ms=0, body={"version": "x"}), *records])
        await store.close()

    asyncio.run(fill())
    return path


def parsed(text: str) -> dict[str, Any]:
    """The one JSON object on stdout."""
    told = json.loads(text)
    assert isinstance(told, dict)
    assert told.pop("schema") == "farmctl/v1"
    return told


class TestInit:
    def test_init_writes_a_configuration_that_loads_and_only_observes(self, verb: Verb, tmp_path: Path) -> None:
        code, out, err = verb("init", "--name", "north-1", "--rated-kw", "20000", "-o", "json")
        assert code == Exit.OK
        assert parsed(out) == {"written": "farm.toml", "site": "north-1", "rated_kw": 20000.0}
        assert "farmctl scan" in err
        assert "observe = true" in (tmp_path / "farm.toml").read_text(encoding="utf-8")
        assert verb("config", "validate")[0] == Exit.OK

    def test_init_takes_meter_broker_and_key(self, verb: Verb, tmp_path: Path) -> None:
        answers = ["--meter", "10.0.0.5:502", "--broker", "127.0.0.1:1883", "--timezone", "Asia/Karachi"]
        assert verb("init", "a.toml", "--name", "n", "--rated-kw", "5", *answers)[0] == Exit.OK
        text = (tmp_path / "a.toml").read_text(encoding="utf-8")
        assert 'host = "10.0.0.5"' in text
        assert 'brokers = ["127.0.0.1:1883"]' in text
        assert 'timezone = "Asia/Karachi"' in text

    def test_init_never_overwrites(self, verb: Verb, tmp_path: Path) -> None:
        (tmp_path / "farm.toml").write_text("mine", encoding="utf-8")
        code, out, err = verb("init", "--name", "n", "--rated-kw", "5")
        assert (code, out) == (Exit.DENIED, "")
        assert "farm.toml is there already" in err
        assert (tmp_path / "farm.toml").read_text(encoding="utf-8") == "mine"

    def test_init_asks_nothing_without_a_terminal(self, verb: Verb, tmp_path: Path) -> None:
        code, _, err = verb("init", "--name", "n")
        assert code == Exit.USAGE
        assert "--rated-kw" in err
        assert not (tmp_path / "farm.toml").exists()

    @pytest.mark.parametrize(
        ("answer", "named"),
        [
            (["--name", "No Capitals"], "site.name"),
            (["--name", "n", "--timezone", "Mars/Base"], "site.timezone"),
            (["--name", "n", "--meter", "10.0.0.5"], "--meter"),
            (["--name", "n", "--issuer-key", "grid:k1"], "--issuer-key"),
            (["--name", "n", "--broker", "far.example:8883"], "signal"),
        ],
    )
    def test_an_answer_that_is_no_good_is_named(
        self, verb: Verb, tmp_path: Path, answer: list[str], named: str
    ) -> None:
        code, _, err = verb("init", "--rated-kw", "5", *answer)
        assert code == Exit.USAGE
        assert named in err
        assert list(tmp_path.iterdir()) == []


class TestConfig:
    def test_a_good_configuration_has_no_fault(self, verb: Verb, site: Path) -> None:
        code, out, _ = verb("config", "validate", "-o", "json")
        assert code == Exit.OK
        assert parsed(out) == {
            "ok": True, "files": [str(site / "farm.toml")], "faults": [], "sites_without_key": [],
        }  # fmt: skip

    def test_sites_that_nobody_proves_are_named(self, verb: Verb, site: Path) -> None:
        unit = '[[programme.site]]\nname = "north"\nbroker = "127.0.0.1:1883"\nop = "hq"\nrated_kw = 9.0\n'
        file = site / "farm.toml"
        file.write_text(file.read_text(encoding="utf-8") + f"\n[programme]\nstep_kw = 5.0\n{unit}", encoding="utf-8")
        assert parsed(verb("config", "validate", "-o", "json")[1])["sites_without_key"] == ["north"]
        assert "site north: no key, so it is believed unsigned" in verb("config", "validate")[2]

    def test_every_fault_is_listed_with_file_line_key_and_expectation(self, verb: Verb, site: Path) -> None:
        file = site / "farm.toml"
        text = file.read_text(encoding="utf-8").replace("rated_kw = 100.0", "rated_kw = -1", 1)
        file.write_text(text + "\n[poll]\nintervall_s = 5\n", encoding="utf-8")
        code, out, _ = verb("config", "validate", "-o", "json")
        assert code == Exit.USAGE
        told = parsed(out)
        assert told["ok"] is False
        assert {fault["key"] for fault in told["faults"]} >= {"site.rated_kw", "poll.intervall_s"}
        assert all(fault["file"] == str(file) and fault["line"] > 0 for fault in told["faults"])
        code, out, err = verb("config", "validate")
        assert (code, out) == (Exit.USAGE, "")
        assert "interval_s" in err

    def test_an_unknown_driver_or_policy_is_a_fault(self, verb: Verb, site: Path) -> None:
        verb("config", "validate")
        text = (site / "farm.toml").read_text(encoding="utf-8")
        text = text.replace("observe = true", 'policy = "eficiency_first"\nobserve = true')
        (site / "farm.toml").write_text(text, encoding="utf-8")
        code, _, err = verb("config", "validate")
        assert code == Exit.USAGE
        assert "control.policy" in err
        assert "efficiency_first" in err

    def test_where_no_file_is_the_message_says_where_it_was_looked_for(self, verb: Verb, tmp_path: Path) -> None:
        code, _, err = verb("config", "view")
        assert code == Exit.USAGE
        assert str(tmp_path / "farm.toml") in err
        assert "farmctl init" in err

    def test_view_shows_who_set_each_key(self, verb: Verb, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FARMCTL_POLL__INTERVAL_S", "7.0")
        code, out, _ = verb("config", "view", "--show-origin", "-o", "json")
        assert code == Exit.OK
        rows = {row["key"]: (row["value"], row["origin"]) for row in parsed(out)["rows"]}
        assert rows["site.name"][0] == "north-1"
        assert rows["site.name"][1].startswith(str(site / "farm.toml") + ":")
        assert rows["poll.interval_s"] == ("7.0", "env FARMCTL_POLL__INTERVAL_S")
        assert rows["poll.connect_s"] == ("2.0", "default")
        assert "ORIGIN" not in verb("config", "view")[1]

    def test_schema_is_the_pinned_one(self, verb: Verb) -> None:
        assert verb("config", "schema")[:2] == (Exit.OK, schema_text())


class TestInventory:
    def test_import_and_export_are_inverses(self, verb: Verb, site: Path) -> None:
        (site / "miners.csv").write_text(TWO_MINERS, encoding="utf-8")
        code, out, _ = verb("inventory", "import", "miners.csv", "-o", "json")
        assert code == Exit.OK
        assert parsed(out) == {
            "file": "miners.csv",
            "dry_run": False,
            "rows": 2,
            "miners": 2,
            "added": ["02:00:00:00:00:01", "02:00:00:00:00:02"],
            "changed": [],
            "moved": [],
        }
        code, exported, _ = verb("inventory", "export")
        assert code == Exit.OK
        assert verb("inventory", "export", "out.csv")[0] == Exit.OK
        assert (site / "out.csv").read_text(encoding="utf-8") == exported
        told = parsed(verb("inventory", "import", "out.csv", "-o", "json")[1])
        assert (told["added"], told["changed"], told["miners"]) == ([], [], 2)

    def test_an_import_is_on_record(self, verb: Verb, site: Path) -> None:
        (site / "miners.csv").write_text(TWO_MINERS, encoding="utf-8")
        verb("inventory", "import", "miners.csv")
        (record,) = parsed(verb("journal", "list", "-o", "json")[1])["rows"]
        assert record["kind"] == "config"
        assert record["body"]["added"] == ["02:00:00:00:00:01", "02:00:00:00:00:02"]

    def test_a_dry_run_writes_nothing_and_its_exit_code_says_what_is_pending(self, verb: Verb, site: Path) -> None:
        (site / "miners.csv").write_text(TWO_MINERS, encoding="utf-8")
        assert verb("inventory", "import", "miners.csv", "--dry-run")[0] == Exit.OK
        assert verb("inventory", "import", "miners.csv", "--dry-run", "--exit-code")[0] == Exit.PENDING
        assert not (site / "state").exists()
        verb("inventory", "import", "miners.csv")
        assert verb("inventory", "import", "miners.csv", "--dry-run", "--exit-code")[0] == Exit.OK

    def test_a_column_that_the_file_lacks_stays_as_it_is(self, verb: Verb, site: Path) -> None:
        (site / "miners.csv").write_text(TWO_MINERS, encoding="utf-8")
        verb("inventory", "import", "miners.csv")
        (site / "moved.csv").write_text(
            "miner_id,host,driver\n02:00:00:00:00:01,10.0.0.9,whatsminer\n", encoding="utf-8"
        )
        told = parsed(verb("inventory", "import", "moved.csv", "-o", "json")[1])
        assert told["moved"] == ["02:00:00:00:00:01"]
        assert "02:00:00:00:00:01,10.0.0.9,,whatsminer,,,,site,,R1" in verb("inventory", "export")[1]

    def test_a_faulty_file_is_refused_whole_with_every_line(self, verb: Verb, site: Path) -> None:
        bad = TWO_MINERS + "nonsense::,10.0.0.3,luxos,site,\n02:00:00:00:00:04,10.0.0.4,luxoss,sight,\n"
        (site / "miners.csv").write_text(bad, encoding="utf-8")
        code, out, err = verb("inventory", "import", "miners.csv")
        assert (code, out) == (Exit.USAGE, "")
        assert "miners.csv:4: miner_id" in err
        assert "miners.csv:5: driver" in err
        assert "did you mean luxos?" in err
        assert "miners.csv:5: circuit" in err
        assert not (site / "state").exists()

    def test_what_run_would_refuse_is_refused_here(self, verb: Verb, site: Path) -> None:
        lines = (
            "miner_id,host,driver,circuit\n02:00:00:00:00:01,10.0.0.1,luxos,\n02:00:00:00:00:02,10.0.0.1,luxos,site\n"
        )
        (site / "miners.csv").write_text(lines, encoding="utf-8")
        code, _, err = verb("inventory", "import", "miners.csv")
        assert code == Exit.USAGE
        assert "circuit: expected a known circuit, it has none" in err
        assert "expected an endpoint of its own" in err
        assert verb("inventory", "export")[1].count("\n") <= 1

    def test_a_file_that_is_not_there_is_a_usage_error(self, verb: Verb, site: Path) -> None:
        code, _, err = verb("inventory", "import", str(site / "none.csv"))
        assert code == Exit.USAGE
        assert "none.csv" in err

    def test_export_replaces_a_file_only_when_told_to(self, verb: Verb, site: Path) -> None:
        journalled(site, 1)
        (site / "out.csv").write_text("by hand", encoding="utf-8")
        assert verb("inventory", "export", "out.csv")[0] == Exit.DENIED
        assert (site / "out.csv").read_text(encoding="utf-8") == "by hand"
        assert verb("inventory", "export", "out.csv", "--force")[0] == Exit.OK
        assert (site / "out.csv").read_text(encoding="utf-8").startswith("miner_id,")

    def test_export_works_while_a_controller_writes(self, verb: Verb, site: Path) -> None:
        journalled(site, 1)
        with running(site / "state" / "journal.db"):
            code, out, _ = verb("inventory", "export")
            assert code == Exit.OK
            assert out.startswith("miner_id,")
            (site / "miners.csv").write_text(TWO_MINERS, encoding="utf-8")
            assert verb("inventory", "import", "miners.csv", "--dry-run")[0] == Exit.OK
            code, _, err = verb("inventory", "import", "miners.csv")
            assert code == Exit.CONFLICT
            assert "is being written by process" in err


class TestJournal:
    def test_list_shows_the_last_records_oldest_first(self, verb: Verb, site: Path) -> None:
        journalled(site, 60)
        code, out, _ = verb("journal", "list", "-n", "3", "-o", "json")
        assert code == Exit.OK
        rows = parsed(out)["rows"]
        assert [row["seq"] for row in rows] == [58, 59, 60]
        assert set(rows[0]) == {"seq", "at_ms", "at", "kind", "body", "blob_bytes", "prev_hash", "hash"}
        assert (rows[2]["body"], rows[2]["at"]) == ({"n": 58}, "1970-01-01T00:00:58.000Z")
        assert rows[2]["prev_hash"] == rows[1]["hash"]
        assert verb("journal", "list", "-n", "3")[1].splitlines()[0].split() == ["SEQ", "AT", "KIND", "BODY"]

    def test_the_last_of_a_kind_are_found_however_far_back(self, verb: Verb, site: Path) -> None:
        journalled(site, 2_000)
        rows = parsed(verb("journal", "list", "--kind", "start", "-o", "json")[1])["rows"]
        assert [row["seq"] for row in rows] == [1]
        rows = parsed(verb("journal", "list", "--kind", "command", "-n", "2", "-o", "json")[1])["rows"]
        assert [row["seq"] for row in rows] == [1981, 1991]

    def test_list_reads_on_from_a_record(self, verb: Verb, site: Path) -> None:
        journalled(site, 30)
        out = verb("journal", "list", "--after", "10", "-n", "2", "-o", "jsonl")[1]
        assert [json.loads(line)["seq"] for line in out.splitlines()] == [11, 12]

    def test_an_unknown_kind_is_a_usage_error_that_lists_the_kinds(self, verb: Verb, site: Path) -> None:
        journalled(site, 1)
        code, _, err = verb("journal", "list", "--kind", "comand")
        assert code == Exit.USAGE
        assert "command" in err

    def test_show_prints_one_record_whole(self, verb: Verb, site: Path) -> None:
        path = journalled(site, 5)
        code, out, _ = verb("journal", "show", "5", "--path", str(path), "-o", "json")
        assert code == Exit.OK
        assert parsed(out)["body"] == {"n": 3}
        assert "decision" in verb("journal", "show", "5")[1]
        code, _, err = verb("journal", "show", "6")
        assert code == Exit.ERROR
        assert "record 6 is not in the journal" in err

    def test_an_intact_journal_verifies(self, verb: Verb, site: Path) -> None:
        path = journalled(site, 200)
        code, out, _ = verb("journal", "verify", "-o", "json")
        told = parsed(out)
        head = parsed(verb("journal", "show", "200", "-o", "json")[1])["hash"]
        assert code == Exit.OK
        assert told == {"path": str(path), "ok": True, "records": 200, "head": head, "broken": None}

    @pytest.mark.parametrize(
        ("damage", "seq", "what"),
        [
            ("UPDATE journal SET body = '{\"n\":999}' WHERE seq = 17", 17, "hash"),
            ("DELETE FROM journal WHERE seq = 40", 40, "seq"),
            ("UPDATE journal SET prev_hash = zeroblob(32) WHERE seq = 90", 90, "prev_hash"),
        ],
    )
    def test_verify_names_the_first_broken_record(
        self, verb: Verb, site: Path, damage: str, seq: int, what: str
    ) -> None:
        path = journalled(site, 100)
        connection = sqlite3.connect(path)
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(damage)
        connection.commit()
        connection.close()
        code, out, _ = verb("journal", "verify", "-o", "json")
        told = parsed(out)
        assert code == Exit.ERROR
        assert told["ok"] is False
        assert (told["broken"]["seq"], told["broken"]["what"]) == (seq, what)
        code, out, _ = verb("journal", "verify")
        assert code == Exit.ERROR
        assert f"record {seq} is broken" in out

    def test_the_journal_is_read_and_verified_while_a_controller_writes(self, verb: Verb, site: Path) -> None:
        path = journalled(site, 50)
        with running(path):
            assert verb("journal", "verify")[0] == Exit.OK
            assert verb("journal", "list")[0] == Exit.OK

    def test_where_no_journal_is_the_path_is_named(self, verb: Verb, site: Path) -> None:
        code, _, err = verb("journal", "verify", "--path", str(site / "none.db"))
        assert code == Exit.ERROR
        assert "none.db: there is no journal here" in err


def test_the_journal_of_the_verbs_is_that_of_the_controller() -> None:
    assert places.JOURNAL == JOURNAL


def test_help_of_every_offline_verb_imports_nothing_heavy() -> None:
    program = (
        "import sys; from farmctl.cli import cli\n"
        "for verb in ('scan', 'init', 'inventory', 'journal', 'config'): cli.get_command(None, verb)\n"
        "heavy = {'numpy', 'pydantic', 'aiohttp', 'aiosqlite', 'uvloop', 'pyasic', 'structlog'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"


@contextmanager
def running(journal: Path) -> Iterator[None]:
    """Another process that owns a journal, as the controller does."""
    program = (
        "import sys; from pathlib import Path; from farmctl.store.owner import Ownership\n"
        "own = Ownership.take(Path(sys.argv[1])); print('owned', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(journal)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield
        process.communicate("", timeout=30)
