"""`farmctl alarms`: list, acknowledge, shelve and figures through the real socket."""

from __future__ import annotations

import json
import time

import pytest

from tests.cli.shell import Shell
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Glasshouse:
    """It began five minutes ago, so that what these stories play lies in the past of the verbs' clock."""
    monkeypatch.setattr("tests.scenarios.day.START_MS", int(time.time() - 300) * 1000)
    return Glasshouse(farm(60, feeders=2)).run(5)


async def test_an_alarm_is_listed_acknowledged_and_counted(house: Glasshouse, shell: Shell) -> None:
    house.day.grid_falls_silent()
    house.run(45)
    listed = await shell("alarms", "list")
    assert listed.code == 0
    assert "signal_stale@site" in listed.out
    assert "call the dispatcher" in listed.out
    acked = await shell("alarms", "ack", "signal_stale@site", "--reason", "called")
    assert (acked.code, acked.out.strip()) == (0, "signal_stale@site: ACK")
    assert (await shell("alarms", "ack", "signal_stale@site")).code == 6
    shelved = await shell("alarms", "shelve", "signal_stale@site", "--for", "15m", "--reason", "x")
    assert (shelved.code, "P1" in shelved.err) == (6, True)
    figures = json.loads((await shell("alarms", "stats", "-o", "json")).out)
    assert (figures["raised"], figures["ack_median_s"].keys()) == (1, {"p1"})
    assert "raised in a day" in (await shell("alarms", "stats")).out


async def test_a_shelved_alarm_is_listed_only_when_asked_for(house: Glasshouse, shell: Shell) -> None:
    house.day.farm.silent[:10] = True
    house.run(200)
    key = "container_offline@C000"
    assert (
        (await shell("alarms", "shelve", key, "--for", "1h", "--reason", "moved to C009"))
        .out.strip()
        .endswith("SHELVED")
    )
    assert key not in (await shell("alarms", "list")).out
    assert "moved to C009" in (await shell("alarms", "list", "--all")).out
    assert (await shell("alarms", "unshelve", key)).out.strip() == f"{key}: UNACK"
    assert (await shell("alarms", "unshelve", "nothing@site")).code == 1
