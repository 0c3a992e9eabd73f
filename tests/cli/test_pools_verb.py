from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.cli.exits import Exit
from farmctl.cli.pools import SOON_S, is_live
from tests.cli.shell import Shell, dead_site
from tests.control.glasshouse import Glasshouse

SET = ("pools", "set", "--select", "*", "--pool", "stratum+tcp://p:1,u.w", "--yes", "-o", "json")


@pytest.mark.parametrize(
    ("state", "starts_in_s", "ends_in_s", "expected"),
    [
        ("ACTIVE", -60.0, 600.0, True),
        ("REACHED", -60.0, 600.0, True),
        ("SCHEDULED", SOON_S, 7200.0, True),
        ("SCHEDULED", SOON_S + 1, 7200.0, False),
        ("COMPLETED", -7200.0, -60.0, False),
        ("CANCELLED", -60.0, 600.0, False),
    ],
)
def test_an_event_is_live_from_shortly_before_it_until_its_end(
    state: str, starts_in_s: float, ends_in_s: float, *, expected: bool
) -> None:
    assert is_live({"state": state, "starts_in_s": starts_in_s, "ends_in_s": ends_in_s}) is expected


async def test_pools_are_not_set_while_an_event_is_live(shell: Shell, house: Glasshouse, folder: Path) -> None:
    config = str(await dead_site(folder, miners=2))
    house.day.event("low", setpoint_w=0.3 * house.day.rated_w)
    house.run(5)
    said = await shell(*SET, "--config", config)
    assert said.code == Exit.DENIED
    assert "event low is live" in said.err


async def test_nobody_to_ask_is_no_leave_and_a_dead_miner_is_named(folder: Path) -> None:
    config = str(await dead_site(folder, miners=2))
    shell = Shell(folder / "none.sock")
    refused = await shell(*SET, "--config", config)
    assert refused.code == Exit.DENIED
    assert "--no-controller" in refused.err
    tried = await shell(*SET, "--config", config, "--no-controller")
    assert tried.code == Exit.PARTIAL
    assert list(tried.data["failed"]) == ["02:00:00:00:00:00"]
    assert tried.data["untouched"] == ["02:00:00:00:00:01"]
    shown = await shell("pools", "show", "--config", config, "-o", "json")
    assert shown.code == Exit.PARTIAL
    assert shown.data["rows"] == []


async def test_a_selector_and_a_pool_that_make_no_sense_are_told(folder: Path) -> None:
    config = str(await dead_site(folder, miners=1))
    shell = Shell(folder / "none.sock")
    wrong = await shell("pools", "show", "--select", "colour=red", "--config", config)
    assert wrong.code == Exit.USAGE
    bad = await shell("pools", "set", "--select", "*", "--pool", "nothing", "--yes", "--no-controller")
    assert bad.code == Exit.USAGE
