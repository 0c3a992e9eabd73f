"""The conformance run against a whole site on a real broker, in the site's own time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from farmctl.core.grid import EventClass
from farmctl.signals.kit import Console
from farmctl.signals.kit.certify.run import SCENARIOS, Certificate, Result, certify
from farmctl.signals.kit.certify.stage import Allowance
from tests.signals.conftest import Mosquitto
from tests.signals.two_ends import two_ends
from tests.signals.words import RULES

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

ALLOW = Allowance(received_s=60, judged_s=60, leaves_failsafe_s=120, telemetry_jitter_s=30)
"""Seconds of the story, which fly; what a second of the wall would allow is measured by `farmctl grid certify`."""


async def certified(console: Console, only: Collection[str] = ()) -> Certificate:
    return await certify(console, programme="surplus-dispatch", allow=ALLOW, only=only)


async def test_a_site_that_keeps_the_contract_is_certified_scenario_by_scenario(mosquitto: Mosquitto) -> None:
    async with two_ends(mosquitto) as ends:
        site, console = ends.site, ends.console
        paper = await certified(console)
        assert {row.scenario: row.detail for row in paper.rows if row.result is Result.FAIL} == {}
        assert [row.scenario for row in paper.rows] == [name for name, _, _ in SCENARIOS]
        assert paper.passed
        skipped = {row.scenario: row.detail for row in paper.rows if row.result is Result.SKIPPED}
        assert skipped == {"signed-acks": "no --site-key given: acks were not checked for the site's signature"}
        measured = {row.scenario: row.measured for row in paper.rows}
        assert 45 <= measured["silence"]["failsafe_s"] <= 75
        assert measured["limit"]["power_kw"] <= 1.01 * measured["limit"]["limit_kw"]
        assert not site.day.state_of("nothing of the run outlives it")
        assert console.book.live == {}


async def test_a_site_that_lets_its_operator_declare_no_emergency_fails_that_scenario_by_name(
    mosquitto: Mosquitto,
) -> None:
    tame = replace(RULES["issuer"], classes=frozenset(EventClass) - {EventClass.EMERGENCY})
    async with two_ends(mosquitto, issuer=tame) as ends:
        console = ends.console
        paper = await certified(console, only={"schedule", "emergency"})
    assert not paper.passed
    failed = {row.scenario: row.detail for row in paper.rows if row.result is Result.FAIL}
    assert list(failed) == ["emergency"]
    assert "REJECTED 252" in failed["emergency"]


async def test_a_site_that_knows_another_operator_s_key_fails_at_the_link_and_nothing_else_is_tried(
    mosquitto: Mosquitto,
) -> None:
    async with two_ends(mosquitto) as ends:
        console = ends.console
        console.voice = replace(console.voice, seed=bytes(32))
        console.silent = True  # its heartbeats count for nothing: the story does not wait for them
        paper = await certified(console, only={"limit"})
    assert [(row.scenario, row.result) for row in paper.rows] == [("link", Result.FAIL)]
    assert "no fail-safe" in paper.rows[0].detail
