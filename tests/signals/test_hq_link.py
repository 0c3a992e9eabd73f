"""Headquarters' link to a site: the contract of any grid operator, on a real broker, to a whole site."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from farmctl.core.grid import EventClass, SiteMode
from farmctl.core.reasons import Reason
from farmctl.ports.grid import Refusal
from farmctl.ports.programme import ShareOrder
from farmctl.signals.kit.unit import SiteUnit, UnitTerms
from tests.signals.conftest import Mosquitto
from tests.signals.two_ends import SITE_SEED, TwoEnds, gate_of, two_ends
from tests.signals.words import RULES

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

TERMS = UnitTerms(programme="surplus-dispatch", firm_w=9e6)


class Linked:
    """A site, and headquarters' end of it."""

    def __init__(self, ends: TwoEnds, unit: SiteUnit) -> None:
        self.ends, self.unit = ends, unit
        self.number = 0

    async def tells(self, share_w: float, *, emergency: bool = False) -> None:
        """Say a share, and let ten seconds pass."""
        self.number += 1
        self.unit.want(ShareOrder(number=self.number, share_w=share_w, emergency=emergency, holds_s=600))
        await self.ends.passes(10)

    @property
    def rated_w(self) -> float:
        return self.ends.site.day.rated_w


@contextlib.asynccontextmanager
async def linked(mosquitto: Mosquitto, **changes: Any) -> AsyncIterator[Linked]:
    refused: list[Refusal] = []

    async def refuse(refusal: Refusal) -> None:
        refused.append(refusal)

    async with two_ends(mosquitto, gate=gate_of(refuse), site_seed=SITE_SEED, **changes) as ends:
        unit = SiteUnit(TERMS, ends.console)
        await ends.console.speak()  # the block of two_ends has connected it
        task = asyncio.ensure_future(unit._send_for_ever())
        try:
            await ends.passes(30)
            yield Linked(ends, unit)
            assert {each.reason for each in refused} <= {Reason.EXPIRED}  # nothing, unless this machine is very slow
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_share_is_accepted_followed_and_known_to_be_granted(mosquitto: Mosquitto) -> None:
    async with linked(mosquitto) as there:
        unit, share_w = there.unit, 0.5 * there.rated_w
        await there.tells(share_w)
        await there.ends.passes(30)
        report = unit.report()
        assert report is not None
        assert report.mode is SiteMode.FOLLOWING
        assert share_w * 0.95 <= report.power_w <= share_w * 1.01
        assert unit.granted_w() == share_w
        assert (unit.view().asked_w, unit.view().acked_w, unit.view().refused) == (share_w, share_w, "")
        assert report.min_w < share_w < report.max_w
        assert report.own_limit_w == pytest.approx(there.rated_w), "our own limit is not the site's"
        assert report.curve_w, "the site tells what it makes of its watts"


async def test_a_new_share_replaces_the_old_one_and_an_emergency_is_released_by_the_next(mosquitto: Mosquitto) -> None:
    async with linked(mosquitto) as there:
        await there.tells(0.8 * there.rated_w)
        await there.tells(0.2 * there.rated_w, emergency=True)
        await there.ends.passes(20)
        report = there.unit.report()
        assert report is not None
        assert report.mode is SiteMode.EMERGENCY
        assert report.power_w <= 0.21 * there.rated_w
        await there.tells(0.6 * there.rated_w)
        await there.ends.passes(20)
        report = there.unit.report()
        assert report is not None
        assert report.mode is SiteMode.FOLLOWING
        assert there.unit.granted_w() == 0.6 * there.rated_w


async def test_a_share_that_the_site_refuses_is_not_taken_for_granted(mosquitto: Mosquitto) -> None:
    tame = replace(RULES["issuer"], classes=frozenset(EventClass) - {EventClass.EMERGENCY})
    async with linked(mosquitto, issuer=tame) as there:
        await there.tells(0.5 * there.rated_w)
        await there.tells(0.1 * there.rated_w, emergency=True)
        assert there.unit.view().refused
        assert there.unit.granted_w() == 0.5 * there.rated_w


async def test_before_it_was_told_anything_a_site_counts_at_its_firm_level_or_its_own_limit(
    mosquitto: Mosquitto,
) -> None:
    async with linked(mosquitto) as there:
        assert there.unit.granted_w() == pytest.approx(max(TERMS.firm_w, there.rated_w))
