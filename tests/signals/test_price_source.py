from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from farmctl.core.grid import MARKET_PRIORITY, EventClass, OnExpiry
from farmctl.errors import ConfigError
from farmctl.signals._intake.duration import rfc3339, time_ms_of
from farmctl.signals.price import (
    CsvFeed,
    HttpFeed,
    ModelGroup,
    PriceConfig,
    PriceSource,
    StrikeRule,
    SurplusRule,
)
from tests.signals.notebook import HandClock, Notebook

T0 = time_ms_of("2026-11-24T10:00:00Z")
MINUTE = 60_000
OLD = ModelGroup(name="old", j_per_th=34.0, power_w=4e6)
NEW = ModelGroup(name="new", j_per_th=17.0, power_w=10e6)
EXAMPLE = Path(__file__).parents[2] / "configs" / "prices" / "day-ahead.example.csv"


def table(*prices: float, step_min: int = 5) -> str:
    rows = [f"{rfc3339(T0 + k * step_min * MINUTE)},{price}" for k, price in enumerate(prices)]
    return "\n".join(["start,price", *rows, ""])


def save(path: Path, text: str) -> None:
    path.write_text(text)


class Market:
    """A price source with its table and its clock."""

    def __init__(self, path: Path, notebook: Notebook, at_ms: int, **changes: Any) -> None:
        self.path = path
        self.notebook = notebook
        self.clock = HandClock(at_ms)
        self.groups: Sequence[ModelGroup] = (OLD, NEW)
        plain: dict[str, Any] = {
            "name": "spot",
            "feeds": (CsvFeed(path=path, step_s=300.0, read_s=5.0),),
            "rule": StrikeRule(hash_price=0.05),
        }
        self.source = PriceSource(PriceConfig(**{**plain, **changes}), self.clock, lambda: self.groups)
        self.task: asyncio.Task[None] | None = None

    async def until(self, minute: float) -> None:
        """Let time pass, a minute per turn."""
        assert self.task is not None
        while self.clock.at_ms < T0 + minute * MINUTE:
            await self.clock.turn(self.task, by_ms=MINUTE)

    @property
    def said(self) -> list[tuple[float, float | None]]:
        """(minute, set-point in MW) of every statement."""
        put = self.notebook.put
        return [((e.created_ms - T0) / MINUTE, e.intervals[0].setpoint_w) for e in put]


@contextlib.asynccontextmanager
async def opened(
    path: Path, notebook: Notebook | None = None, at_ms: int = T0 - 5 * MINUTE, **changes: Any
) -> AsyncIterator[Market]:
    market = Market(path, notebook or Notebook(), at_ms, **changes)
    market.task = asyncio.create_task(market.source.run(market.notebook))
    try:
        await market.clock.first(market.task)
        yield market
    finally:
        market.task.cancel()
        await asyncio.gather(market.task, return_exceptions=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices.csv"


async def test_the_old_models_stop_after_two_windows_and_run_again_after_four(path: Path) -> None:
    save(path, table(0.05, 0.07, 0.07, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05))
    async with opened(path) as market:
        await market.until(14)
        assert market.notebook.put == []
        await market.until(34)
        assert market.said == [(minute, 10e6) for minute in (15, 20, 25, 30)]
        [first, *_] = market.notebook.put
        assert first.event_class is EventClass.ECONOMIC
        assert (first.on_expiry, first.priority) == (OnExpiry.RELEASE, MARKET_PRIORITY)
        assert first.expires_ms == T0 + (20 + 15) * MINUTE
        assert first.intervals[0].limit_w is None
        assert market.notebook.deleted == []
        await market.until(36)
        assert market.notebook.deleted == ["spot"]
        assert market.notebook.status is None


async def test_a_price_spike_trips_everything_at_once(path: Path) -> None:
    save(path, table(0.05, 0.30, 0.05))
    async with opened(path) as market:
        await market.until(5)
        assert market.said == [(5, 0.0)]


async def test_a_stale_price_says_nothing_new_and_is_never_cheap(path: Path) -> None:
    save(path, table(0.07, 0.07, 0.07))
    async with opened(path) as market:
        await market.until(12)
        assert market.said == [(10, 10e6)]
        await market.until(90)
        assert market.source.price is None
        assert market.said == [(10, 10e6)]
        assert market.notebook.deleted == []
        assert market.source.gates["old"].curtailed


async def test_a_gap_in_the_prices_does_not_count_as_a_window(path: Path) -> None:
    text = table(0.07, 0.07, 0.07)
    save(path, "\n".join(line for number, line in enumerate(text.splitlines()) if number != 2) + "\n")
    async with opened(path) as market:
        await market.until(14)
        assert market.said == []
        await market.until(16)
        assert not market.said


async def test_a_feed_that_breaks_keeps_what_it_said(path: Path) -> None:
    save(path, table(0.07, 0.07, 0.07, 0.07))
    async with opened(path) as market:
        await market.until(1)
        save(path, "start,price\nrubbish,1\n")
        await market.until(15)
        assert market.said == [(10, 10e6), (15, 10e6)]


async def test_the_first_feed_that_knows_the_present_counts(path: Path, tmp_path: Path) -> None:
    ahead = tmp_path / "ahead.csv"
    save(ahead, table(0.05, step_min=60))
    save(path, table(0.30))
    feeds = (CsvFeed(path=path, step_s=300.0, read_s=5.0), CsvFeed(path=ahead, read_s=5.0))
    async with opened(path, feeds=feeds) as market:
        await market.until(1)
        assert market.source.price == 0.30
        await market.until(6)
        assert market.source.price == 0.05


async def test_a_restart_goes_on_with_the_windows_it_had_counted(path: Path) -> None:
    save(path, table(0.07, 0.07, 0.07, 0.07, 0.07))
    async with opened(path) as market:
        await market.until(6)
        states = market.notebook.states
    again = Notebook()
    again.states.update(states)
    async with opened(path, again, at_ms=T0 + 9 * MINUTE) as market:
        assert market.source.gates["old"].above == 1
        await market.until(15)
        assert market.said == [(15, 10e6)]


async def test_a_fleet_that_grows_is_stated_anew(path: Path) -> None:
    save(path, table(0.07, 0.07, 0.07, 0.07))
    async with opened(path) as market:
        await market.until(11)
        market.groups = (OLD, NEW, ModelGroup(name="newest", j_per_th=15.0, power_w=5e6))
        await market.until(12)
        assert market.said == [(10, 10e6), (12, 15e6)]


async def test_surplus_is_taken_on_top_of_the_baseline(path: Path) -> None:
    save(path, table(2_000, 5_000, -20_000))
    async with opened(path, rule=SurplusRule(baseline_w=8e6)) as market:
        await market.until(11)
        assert market.said == [(0, 10e6), (5, 13e6), (10, 0.0)]


async def test_a_limit_is_stated_where_the_configuration_says_so(path: Path) -> None:
    save(path, table(0.30))
    async with opened(path, states="limit") as market:
        await market.until(1)
        [event] = market.notebook.put
        assert (event.intervals[0].limit_w, event.intervals[0].setpoint_w) == (0.0, None)


async def test_a_json_feed_is_read_over_http_with_its_token(path: Path) -> None:
    asked: list[str | None] = []

    async def prices(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response({"rows": [{"from": rfc3339(T0), "eur": 300}]})

    app = web.Application()
    app.router.add_get("/prices", prices)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/prices"
    feed = HttpFeed(url=url, items="rows", start="from", value="eur", scale=0.001, read_s=5.0, bearer="of-mine")
    try:
        async with opened(path, feeds=(feed,)) as market:
            await market.until(1)
            assert market.source.price == 0.3
            assert asked[0] == "Bearer of-mine"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"feeds": ()}, "feeds"),
        ({"feeds": (HttpFeed(url="http://market.example"),)}, "https"),
        ({"rule": StrikeRule(hash_price=0.0)}, "hash_price"),
        ({"rule": SurplusRule(baseline_w=-1.0)}, "baseline_w"),
        ({"holds_s": -1.0}, "holds_s"),
    ],
)
def test_a_faulty_configuration_is_refused(path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Market(path, Notebook(), T0, **changes)


async def test_the_shipped_example_is_a_day_of_prices(path: Path) -> None:
    feed = CsvFeed(path=EXAMPLE, value="price_usd_mwh", scale=0.001, timezone="Asia/Karachi", read_s=5.0)
    async with opened(path, feeds=(feed,), at_ms=time_ms_of("2026-12-01T14:30:00Z")) as market:
        assert market.source.price == pytest.approx(0.118)
