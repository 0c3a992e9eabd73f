"""What headquarters shows of its sites: the figure, every share with its reason, and how each link is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from farmctl.alarms.watches.programme import ProgrammeWatch
from farmctl.cli.why import site_described
from farmctl.control.client import ControllerRefusedError
from farmctl.control.sites import WHY
from farmctl.core.grid import SiteMode
from farmctl.core.model import Quality
from farmctl.core.programme.governor import Wanted
from farmctl.core.programme.sites import Site, bounds
from farmctl.core.programme.sites import Terms as SiteTerms
from farmctl.core.programme.split import Rule, split
from farmctl.ports.programme import LinkView, ProgrammePicture, SiteReport, UnitView
from tests.control.glasshouse import Asker, Glasshouse
from tests.core.test_programme import site

REPORT = SiteReport(
    at_ms=0, power_w=50e3, min_w=0.0, max_w=100e3, ramp_up_w_per_s=1e3, ramp_down_w_per_s=1e3,
    up_available_w=50e3, down_available_w=50e3, hash_rate_hs=2e15, mode=SiteMode.FOLLOWING, quality=Quality.OK,
    on=14, throttled=1, sleep=0, offline=0,
)  # fmt: skip


def programme(now_ms: int) -> ProgrammePicture:
    """Two sites: one that follows, one that was never heard."""
    sites = (
        replace(site("near", price=5e10, full_w=100e3, drawn_w=50e3), up_w_per_s=1e4),
        replace(site("quiet", full_w=40e3, drawn_w=0.0), age_s=math.inf, granted_w=40e3),
    )
    told = split(sites, {each.name: bounds(each, SiteTerms()) for each in sites}, 110e3, Rule.COST)
    heard = {"near": replace(REPORT, at_ms=now_ms - 2_000), "quiet": None}

    def unit(each: Site, place: int) -> UnitView:
        link = LinkView(connected=each.name == "near", asked_w=None, acked_w=None, refused="")
        return UnitView(
            name=each.name, rated_w=each.max_w, share=told.shares[place], site=each, report=heard[each.name], link=link
        )

    return ProgrammePicture(
        at_ms=now_ms,
        wanted=Wanted(figure_w=110e3, event="evening"),
        split=told,
        units=tuple(unit(each, place) for place, each in enumerate(sites)),
    )


async def test_headquarters_lists_its_sites_with_share_reason_and_age(house: Glasshouse, ask: Asker) -> None:
    house.programme = programme(house.clock.now_ms())
    told = await ask.get("/v1/sites")
    assert (told["figure_kw"], told["event"], told["rule"]) == (110.0, "evening", "cost")
    near, quiet = told["rows"]
    assert (near["share_kw"], near["why"], near["deviation_kw"]) == (70.0, "cost", -20.0)
    assert (near["mode"], near["link_age_s"], near["marginal_jth"]) == ("FOLLOWING", 2.0, 20.0)
    assert (quiet["share_kw"], quiet["why"], quiet["mode"], quiet["power_kw"]) == (40.0, "stale", "UNKNOWN", None)
    assert quiet["help"] == WHY["stale"]
    text = site_described({**quiet, "programme": told})
    assert "never heard, NOT connected to its broker" in text
    assert "it counts at its worst" in text


async def test_a_controller_with_miners_of_its_own_says_that_it_has_no_sites(house: Glasshouse, ask: Asker) -> None:
    assert house.programme is None
    with pytest.raises(ControllerRefusedError, match="no programme here"):
        await ask.get("/v1/sites")


async def test_the_strip_of_headquarters_tells_the_miners_of_its_sites_that_are_heard(
    house: Glasshouse, ask: Asker
) -> None:
    assert (await ask.get("/v1/state"))["miners"]["total"] > 15
    house.programme = programme(house.clock.now_ms())
    told = await ask.get("/v1/state")
    assert told["miners"] == {"total": 15, "hashing": 14, "throttled": 1, "curtailed": 0, "offline": 0}
    assert told["hash_rate_ths"] == 2_000.0


def test_a_site_that_is_silent_is_an_alarm_with_its_name_and_what_it_counts_at() -> None:
    watch = ProgrammeWatch(shown=lambda: programme(0), stale_s=30.0)
    assert watch.look(0) == ()  # headquarters has only just begun to listen
    (found,) = watch.look(30_000)
    assert (found.alarm, found.where, found.detail) == ("site_silent", "quiet", "never heard, counts at 40 kW")
    assert ProgrammeWatch(shown=lambda: None, stale_s=30.0).look(0) == ()
