from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest

from farmctl.core.grid import LOWEST_PRIORITY, Ack, EventClass, EventDelete, EventPut, EventState, GridEvent, SiteMode
from farmctl.core.model import Quality
from farmctl.errors import ConfigError
from farmctl.ports.grid import Telemetry
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals.openadr2 import OpenAdr2Config, OpenAdr2Source, source
from simulators.broker import free_port
from tests.signals.notebook import Notebook
from tests.signals.openadr_peer import until
from tests.signals.words import WallClock

openleadr: Any = pytest.importorskip("openleadr", reason="openleadr is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.AppKey")  # openleadr says so
VEN_ID = "VEN-07"


class Utility:
    """openleadr's own VTN, and what it heard from us."""

    def __init__(self) -> None:
        self.port = free_port()
        self.server = openleadr.OpenADRServer(
            vtn_id="VTN-1", http_port=self.port, requested_poll_freq=timedelta(seconds=1), ven_lookup=self._lookup
        )
        self.server.add_handler("on_create_party_registration", self._register)
        self.registered = 0
        self.known = True
        self.opts: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/OpenADR2/Simple/2.0b"

    def says(
        self, name: str, kind: str, *values: float, start_s: float = 0, unit: str | None = None, **event: Any
    ) -> str:
        """Add an event with one signal of five-minute intervals."""
        start = datetime.now(UTC) + timedelta(seconds=start_s)
        step = timedelta(minutes=5)
        rows = [{"dtstart": start + k * step, "duration": step, "signal_payload": v} for k, v in enumerate(values)]
        event_id = str(
            self.server.add_event(
                VEN_ID,
                name,
                kind,
                rows,
                callback=self._opted,
                market_context="http://utility.example/dispatch",
                **event,
            )
        )
        if unit is not None:
            base = importlib.import_module("openleadr.enums").MEASUREMENTS.POWER_REAL
            made = type(base)(**{**base.__dict__, "scale": unit})
            self.server.events[VEN_ID][-1].event_signals[0].measurement = made
        return event_id

    def descriptor(self) -> Any:
        return self.server.events[VEN_ID][-1].event_descriptor

    def _lookup(self, ven_id: str) -> dict[str, str] | None:
        return {"ven_id": ven_id, "registration_id": "reg-1", "fingerprint": ""} if self.known else None

    def _register(self, payload: dict[str, Any]) -> tuple[str, str]:
        assert payload["ven_name"] == "ven-07"
        self.registered += 1
        self.known = True
        return VEN_ID, "reg-1"

    def _opted(self, ven_id: str, event_id: str, opt_type: str) -> None:
        assert ven_id == VEN_ID
        self.opts.append((event_id, opt_type))


class Site:
    """Our VEN on its way."""

    def __init__(self, url: str, **changes: Any) -> None:
        self.ledger = Notebook()
        self.source = OpenAdr2Source(config(url, **changes), WallClock())
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.source.run(self.ledger))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def put(self) -> list[GridEvent]:
        messages = [receipt.message for receipt in self.ledger.receipts]
        return [message.event for message in messages if isinstance(message, EventPut)]

    @property
    def deleted(self) -> list[str]:
        messages = [receipt.message for receipt in self.ledger.receipts]
        return [message.event_id for message in messages if isinstance(message, EventDelete)]

    async def polls(self, more: int = 2) -> None:
        wanted = self.source.polls + more
        await until(lambda: self.source.polls >= wanted)


def config(url: str, **changes: Any) -> OpenAdr2Config:
    plain: dict[str, Any] = {
        "name": "utility-2",
        "url": url,
        "site": "site-07",
        "ven_name": "ven-07",
        "issuer": IssuerRule(name="utility"),
        "rating_w": 25e6,
        "emergency_w": 300e3,
        "simple_levels_w": (25e6, 15e6, 5e6),
        "poll_s": 0.05,
    }
    return OpenAdr2Config(**{**plain, **changes})


@pytest.fixture
async def utility(capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Utility]:
    made = Utility()
    await made.server.run()
    capsys.readouterr()
    yield made
    await made.server.stop()


@pytest.mark.parametrize(
    ("name", "kind", "unit", "values", "wanted"),
    [
        ("LOAD_DISPATCH", "setpoint", None, [18_500, 9_000], [18.5e6, 9e6]),
        ("LOAD_DISPATCH", "setpoint", "k", [18_500], [18.5e6]),
        ("LOAD_DISPATCH", "setpoint", "M", [18.5], [18.5e6]),
        ("LOAD_CONTROL", "x-loadControlCapacity", None, [0.4, 0.0], [10e6, 0.0]),
    ],
)
async def test_set_points_are_read_in_their_unit_and_opted_in(
    utility: Utility, name: str, kind: str, unit: str | None, values: list[float], wanted: list[float]
) -> None:
    event_id = utility.says(name, kind, *values, unit=unit)
    async with Site(utility.url) as site:
        await until(lambda: utility.opts)
        [got] = site.put
        assert (got.event_id, got.event_class) == (event_id, EventClass.TARGET)
        assert [i.setpoint_w for i in got.intervals] == pytest.approx(wanted)
        assert utility.opts == [(event_id, "optIn")]
        assert got.priority == LOWEST_PRIORITY


async def test_simple_levels_limit_and_prices_are_economic(utility: Utility) -> None:
    utility.says("SIMPLE", "level", 1, 2)
    utility.says("ELECTRICITY_PRICE", "price", 0.02, 0.08)
    async with Site(utility.url) as site:
        await until(lambda: len(site.put) == 2)
        by_class = {event.event_class: event for event in site.put}
        assert [i.limit_w for i in by_class[EventClass.LIMIT].intervals] == [15e6, 5e6]
        assert [i.price for i in by_class[EventClass.ECONOMIC].intervals] == [0.02, 0.08]


async def test_level_three_is_an_emergency_that_a_cancellation_does_not_end(utility: Utility) -> None:
    alert = utility.says("SIMPLE", "level", 3)
    limit = utility.says("SIMPLE", "level", 1)
    async with Site(utility.url) as site:
        await until(lambda: len(site.put) == 2)
        assert {e.event_class for e in site.put} == {EventClass.EMERGENCY, EventClass.LIMIT}
        utility.server.cancel_event(VEN_ID, alert)
        utility.server.cancel_event(VEN_ID, limit)
        await until(lambda: site.deleted)
        await site.polls(3)
        assert site.deleted == [limit]


async def test_a_test_event_never_actuates_whatever_it_says(utility: Utility) -> None:
    utility.says("SIMPLE", "level", 3)
    utility.descriptor().test_event = True
    async with Site(utility.url) as site:
        await until(lambda: site.put)
        assert site.put[0].event_class is EventClass.TEST


async def test_priority_one_is_the_highest_and_zero_is_none(utility: Utility) -> None:
    utility.says("LOAD_DISPATCH", "setpoint", 9_000)
    utility.descriptor().priority = 1
    async with Site(utility.url) as site:
        await until(lambda: site.put)
        assert site.put[0].priority == 1


async def test_a_delta_counts_from_the_load_at_its_start(utility: Utility) -> None:
    event_id = utility.says("LOAD_DISPATCH", "delta", -2_000)
    async with Site(utility.url) as site:
        await site.polls(3)
        assert site.put == []
        await site.source.telemetry(telemetry(10e6))
        await until(lambda: site.put)
        await site.source.telemetry(telemetry(8e6))
        await site.polls(3)
        assert [e.intervals[0].setpoint_w for e in site.put] == [8e6]
        await until(lambda: utility.opts == [(event_id, "optIn")])


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("LOAD_DISPATCH", "multiplier", 0.5),
        ("DEMAND_CHARGE", "price", 0.5),
        ("LOAD_DISPATCH", "setpoint", -5.0),
        ("LOAD_CONTROL", "x-loadControlCapacity", 1.5),
    ],
)
async def test_what_cannot_be_done_is_refused_and_opted_out(
    utility: Utility, name: str, kind: str, value: float
) -> None:
    bad = utility.says(name, kind, value)
    good = utility.says("LOAD_DISPATCH", "setpoint", 9_000)
    async with Site(utility.url) as site:
        await until(lambda: len(utility.opts) == 2)
        await site.polls(2)
        assert sorted(utility.opts) == sorted([(bad, "optOut"), (good, "optIn")])
        assert [e.event_id for e in site.put] == [good]
        assert len(site.ledger.refusals) == 1


async def test_a_foreign_market_context_is_refused(utility: Utility) -> None:
    utility.says("LOAD_DISPATCH", "setpoint", 9_000)
    async with Site(utility.url, market_contexts=frozenset({"http://utility.example/other"})) as site:
        await until(lambda: utility.opts)
        assert [r.reason for r in site.ledger.refusals] == ["NOT_FOR_THIS_SITE"]


async def test_a_modification_replaces_the_event_and_is_answered_anew(utility: Utility) -> None:
    event_id = utility.says("LOAD_DISPATCH", "setpoint", 9_000)
    async with Site(utility.url) as site:
        await until(lambda: utility.opts)
        event = utility.server.events[VEN_ID][-1]
        event.event_signals[0].intervals[0]["signal_payload"] = 7_000
        event.event_descriptor.modification_number = 1
        utility.server.event_callbacks[event_id] = (event, utility._opted)
        utility.server.events_updated[VEN_ID] = True
        await until(lambda: len(utility.opts) == 2)
        assert [e.intervals[0].setpoint_w for e in site.put] == [9e6, 7e6]


async def test_an_operator_who_opts_out_is_told_to_the_vtn(utility: Utility) -> None:
    event_id = utility.says("LOAD_DISPATCH", "setpoint", 9_000)
    async with Site(utility.url) as site:
        await until(lambda: utility.opts)
        utility.server.event_callbacks[event_id] = (utility.server.events[VEN_ID][-1], utility._opted)
        opted_out = Ack(
            source="utility-2",
            event_id=event_id,
            msg_id="m",
            epoch=0,
            seq=1,
            state=EventState.OPTED_OUT,
            code=4,
            reason="overrideStatus",
            at_ms=0,
        )
        await site.source.ack(opted_out)
        await until(lambda: (event_id, "optOut") in utility.opts)


async def test_a_vtn_that_forgot_us_is_registered_with_again(utility: Utility, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESYNC_S", 3_600.0)
    async with Site(utility.url) as site:
        await site.polls(2)
        utility.known = False
        await until(lambda: utility.registered == 2)
        utility.says("LOAD_DISPATCH", "setpoint", 9_000)
        await until(lambda: site.put)


async def test_the_link_is_confirmed_by_a_good_poll_and_lost_by_its_age(utility: Utility) -> None:
    async with Site(utility.url, loss_after_s=0.5) as site:
        await until(lambda: site.ledger.status is not None and site.ledger.status.confirmed)
        await utility.server.stop()
        await until(lambda: site.ledger.status is not None and not site.ledger.status.confirmed)
        await utility.server.run()
        await until(lambda: site.ledger.status is not None and site.ledger.status.confirmed)


def test_a_vtn_beyond_this_machine_needs_https_and_a_certificate() -> None:
    with pytest.raises(ConfigError, match=r"https.*certificate"):
        OpenAdr2Source(config("http://vtn.example/OpenADR2/Simple/2.0b"), WallClock())


def telemetry(power_w: float) -> Telemetry:
    return Telemetry(
        at_ms=WallClock().now_ms(),
        power_w=power_w,
        power_source="METER",
        quality=Quality.OK,
        setpoint_w=None,
        limit_w=None,
        min_w=0,
        max_w=0,
        up_available_w=0,
        down_available_w=0,
        ramp_up_w_per_s=0,
        ramp_down_w_per_s=0,
        hash_rate_hs=0,
        on=0,
        throttled=0,
        sleep=0,
        offline=0,
        mode=SiteMode.FOLLOWING,
        event_id="",
        epoch=0,
        seq=0,
    )
