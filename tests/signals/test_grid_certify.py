"""The conformance run against a whole site on a real broker, in the site's own time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from farmctl.core.grid import EventClass
from farmctl.signals.kit import BrokerAddress, Console
from farmctl.signals.kit.book import Book
from farmctl.signals.kit.certify.run import SCENARIOS, Certificate, Result, certify
from farmctl.signals.kit.certify.stage import Allowance
from farmctl.signals.kit.voice import Voice
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import config
from tests.signals.site_loop import Site
from tests.signals.words import KID, RULES, SEED, WallClock

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

ALLOW = Allowance(received_s=60, judged_s=60, leaves_failsafe_s=120, telemetry_jitter_s=30)
"""Seconds of the story, which fly; what a second of the wall would allow is measured by `farmctl grid certify`."""


class StoryTime(WallClock):
    """The site's time, for the dispatcher."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @override
    def now_ms(self) -> int:
        return self.site.clock.at_ms

    @override
    async def sleep(self, seconds: float) -> None:
        end_ms = self.now_ms() + (round(seconds * 1_000) if seconds >= 1 else 0)
        await asyncio.sleep(0.001)
        while self.now_ms() < end_ms:  # noqa: ASYNC110 - a clock that somebody else moves
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def two_ends(mosquitto: Mosquitto, **changes: Any) -> AsyncIterator[tuple[Site, Console]]:
    """A site whose seconds pass as soon as everything said was heard, and a dispatcher."""
    await mosquitto.start()
    site = Site(config(mosquitto.port, **{"auth": "ed25519", "keys": RULES["pinned"], **changes}))
    voice = Voice(op="grid-op", site="site-07", kid=KID, seed=SEED)
    address = BrokerAddress(host=mosquitto.host, port=mosquitto.port)
    console = Console(address, voice, Book(epoch=7), StoryTime(site))

    def quiet() -> bool:
        beat = site.source._intake.hearing.beat
        heard = console.silent or not console.book.beats or beat == (7, console.book.beats)
        return heard and not len(site.source._post.outbox)

    async def seconds() -> None:
        while True:
            await site.cycle()
            await site.until(quiet)
            await asyncio.sleep(0.002)

    async with site.running(), console, asyncio.TaskGroup() as tasks:
        await site.until(lambda: any(link.connected for link in site.inbox.links))
        passing = tasks.create_task(seconds())
        yield site, console
        passing.cancel()


async def certified(console: Console, only: Collection[str] = ()) -> Certificate:
    return await certify(console, programme="surplus-dispatch", allow=ALLOW, only=only)


async def test_a_site_that_keeps_the_contract_is_certified_scenario_by_scenario(mosquitto: Mosquitto) -> None:
    async with two_ends(mosquitto) as (site, console):
        paper = await certified(console)
        assert {row.scenario: row.detail for row in paper.rows if row.result is Result.FAIL} == {}
        assert [row.scenario for row in paper.rows] == [name for name, _, _ in SCENARIOS]
        assert paper.passed
        skipped = {row.scenario: row.detail for row in paper.rows if row.result is Result.SKIPPED}
        assert skipped == {"signed-acks": "no --site-key given: acks were not checked for the site's signature"}
        measured = {row.scenario: row.measured for row in paper.rows}
        assert 59 <= measured["silence"]["failsafe_s"] <= 75
        assert measured["limit"]["power_kw"] <= 1.01 * measured["limit"]["limit_kw"]
        assert not site.day.state_of("nothing of the run outlives it")
        assert console.book.live == {}


async def test_a_site_that_lets_its_operator_declare_no_emergency_fails_that_scenario_by_name(
    mosquitto: Mosquitto,
) -> None:
    tame = replace(RULES["issuer"], classes=frozenset(EventClass) - {EventClass.EMERGENCY})
    async with two_ends(mosquitto, issuer=tame) as (_, console):
        paper = await certified(console, only={"schedule", "emergency"})
    assert not paper.passed
    failed = {row.scenario: row.detail for row in paper.rows if row.result is Result.FAIL}
    assert list(failed) == ["emergency"]
    assert "REJECTED 252" in failed["emergency"]


async def test_a_site_that_knows_another_operator_s_key_fails_at_the_link_and_nothing_else_is_tried(
    mosquitto: Mosquitto,
) -> None:
    async with two_ends(mosquitto) as (_, console):
        console.voice = replace(console.voice, seed=bytes(32))
        console.silent = True  # its heartbeats count for nothing: the story does not wait for them
        paper = await certified(console, only={"limit"})
    assert [(row.scenario, row.result) for row in paper.rows] == [("link", Result.FAIL)]
    assert "no fail-safe" in paper.rows[0].detail
