from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from farmctl.core.grid import Ack, EventClass, EventState, OnExpiry
from farmctl.errors import ConfigError
from farmctl.signals.openadr3 import OpenAdr3Source
from farmctl.signals.openadr3.config import Certificates, Login
from simulators.vtn import Vtn
from tests.signals.openadr_peer import BL, VEN, Site, config, event, until
from tests.signals.words import WallClock


@pytest.fixture
async def vtn() -> AsyncIterator[Vtn]:
    made = Vtn((BL, VEN))
    await made.start()
    yield made
    await made.stop()


def programme(vtn: Vtn, name: str = "surplus") -> str:
    return str(vtn.put("programs", {"programName": name})["id"])


async def test_a_plain_event_becomes_a_grid_event(vtn: Vtn) -> None:
    body = event(programme(vtn), ("IMPORT_CAPACITY_LIMIT", [20_000]), ("DISPATCH_SETPOINT", [18_500]), priority=3)
    made = vtn.put("events", body)
    async with Site(vtn) as site:
        await until(lambda: site.put)
        [got] = site.put
        assert got.event_id == made["id"]
        assert got.event_class is EventClass.LIMIT
        assert got.on_expiry is OnExpiry.SUBSCRIPTION
        assert got.priority == 3
        assert got.respond_within_s == 60.0
        assert got.expires_ms == got.intervals[-1].end_ms
        assert [(i.limit_w, i.setpoint_w) for i in got.intervals] == [(20e6, 18.5e6)]


async def test_events_without_a_limit_are_targets_and_prices_alone_are_economic(vtn: Vtn) -> None:
    own = programme(vtn)
    vtn.put("events", event(own, ("DISPATCH_SETPOINT", [18_500])))
    vtn.put("events", event(own, ("PRICE", [0.02, 0.04])))
    vtn.put("events", event(own, ("ALERT_GRID_EMERGENCY", ["shed now"])))
    async with Site(vtn) as site:
        await until(lambda: len(site.put) == 3)
        target, price, alert = site.put
        assert (target.event_class, target.on_expiry) == (EventClass.TARGET, OnExpiry.RELEASE)
        assert price.event_class is EventClass.ECONOMIC
        assert [i.price for i in price.intervals] == [0.02, 0.04]
        assert alert.event_class is EventClass.EMERGENCY
        assert alert.intervals[0].limit_w == 300e3


async def test_nothing_is_told_twice_and_a_change_is_told_once(vtn: Vtn) -> None:
    body = event(programme(vtn), ("DISPATCH_SETPOINT", [18_500]))
    made = vtn.put("events", body)
    async with Site(vtn) as site:
        await until(lambda: site.put)
        await site.polls(3)
        assert len(site.put) == 1
        vtn.change("events", made["id"], event(body["programID"], ("DISPATCH_SETPOINT", [9_000])))
        await site.polls(3)
        assert [e.intervals[0].setpoint_w for e in site.put] == [18.5e6, 9e6]
        assert site.put[0].seq < site.put[1].seq


async def test_an_event_that_vanishes_is_withdrawn_but_an_emergency_stays_latched(vtn: Vtn) -> None:
    own = programme(vtn)
    limit = vtn.put("events", event(own, ("IMPORT_CAPACITY_LIMIT", [20_000])))
    alert = vtn.put("events", event(own, ("SIMPLE", [3])))
    async with Site(vtn) as site:
        await until(lambda: len(site.put) == 2)
        vtn.remove("events", limit["id"])
        vtn.remove("events", alert["id"])
        await site.polls(3)
        assert site.deleted == [limit["id"]]


async def test_an_update_that_would_raise_a_latched_emergency_is_refused(vtn: Vtn) -> None:
    own = programme(vtn)
    alert = vtn.put("events", event(own, ("ALERT_GRID_EMERGENCY", ["shed now"])))
    async with Site(vtn) as site:
        await until(lambda: site.put)
        vtn.change("events", alert["id"], event(own, ("DISPATCH_SETPOINT", [20_000])))
        await site.polls(3)
        assert len(site.put) == 1
        assert [r.reason for r in site.ledger.refusals] == ["EMERGENCY_LATCHED"]


@pytest.mark.parametrize(
    ("payload", "changes", "reason"),
    [
        (("DISPATCH_SETPOINT_RELATIVE", [5]), {}, "UNSUPPORTED"),
        (("IMPORT_CAPACITY_LIMIT", [-1]), {}, "BAD_FIELD"),
        (("IMPORT_CAPACITY_LIMIT", ["much"]), {}, "BAD_FIELD"),
        (("DISPATCH_SETPOINT", [5]), {"intervalPeriod": {"duration": "PT1H"}}, "BAD_FIELD"),
        (("DISPATCH_SETPOINT", [5]), {"duration": "PT9H"}, "UNSUPPORTED"),
    ],
)
async def test_a_bad_event_is_refused_once_and_the_good_ones_stand(
    vtn: Vtn, payload: tuple[str, list[Any]], changes: dict[str, Any], reason: str
) -> None:
    own = programme(vtn)
    vtn.put("events", event(own, payload, **changes))
    vtn.put("events", event(own, ("DISPATCH_SETPOINT", [18_500])))
    async with Site(vtn) as site:
        await until(lambda: site.put)
        await site.polls(3)
        assert len(site.put) == 1
        assert [r.reason for r in site.ledger.refusals] == [reason]


async def test_events_of_other_programmes_and_targets_are_refused(vtn: Vtn) -> None:
    ours, theirs = programme(vtn), programme(vtn, "other")
    vtn.put("vens", {"objectType": "BL_VEN_REQUEST", "clientID": VEN.client_id, "venName": "ven-07", "targets": ["x"]})
    vtn.put("events", event(theirs, ("DISPATCH_SETPOINT", [1])))
    vtn.put("events", event(ours, ("DISPATCH_SETPOINT", [2]), targets=["x"]))
    vtn.put("events", event(ours, ("DISPATCH_SETPOINT", [3]), targets=["unseen"]))
    vtn.put("events", event(ours, ("DISPATCH_SETPOINT", [4]), targets=["ven-07"]))
    async with Site(vtn, programmes=frozenset({"surplus"})) as site:
        await until(lambda: site.put)
        await site.polls(2)
        assert [e.intervals[0].setpoint_w for e in site.put] == [4e3]
        assert [r.reason for r in site.ledger.refusals] == ["NOT_FOR_THIS_SITE", "NOT_FOR_THIS_SITE"]


async def test_a_restarted_ven_knows_what_it_had_taken(vtn: Vtn) -> None:
    own = programme(vtn)
    kept = vtn.put("events", event(own, ("DISPATCH_SETPOINT", [18_500])))
    gone = vtn.put("events", event(own, ("DISPATCH_SETPOINT", [9_000])))
    async with Site(vtn) as site:
        await until(lambda: len(site.put) == 2)
        states = site.ledger.states
    vtn.remove("events", gone["id"])
    again = Site(vtn)
    again.ledger.states.update(states)
    async with again:
        await again.polls(2)
        assert again.put == []
        assert again.deleted == [gone["id"]]
        assert kept["id"] not in again.deleted


async def test_the_link_is_confirmed_by_a_good_poll_and_lost_by_its_age(vtn: Vtn) -> None:
    async with Site(vtn, loss_after_s=0.5) as site:
        await site.polls(1)
        await until(lambda: site.ledger.status is not None and site.ledger.status.confirmed)
        vtn.down = True
        await until(lambda: site.ledger.status is not None and not site.ledger.status.confirmed)
        assert site.ledger.status is not None
        assert not site.ledger.status.connected
        vtn.down = False
        await until(lambda: site.ledger.status is not None and site.ledger.status.confirmed)


async def test_a_refused_token_is_renewed_and_a_wrong_secret_never_confirms(vtn: Vtn) -> None:
    async with Site(vtn) as site:
        await site.polls(1)
        vtn.tokens.forget()
        await site.polls(2)
        assert vtn.tokens.given == 2
    wrong = Login(client_id=VEN.client_id, client_secret=VEN.secret[:-1])
    async with Site(vtn, login=wrong) as site:
        await until(lambda: site.ledger.status is not None)
        assert site.ledger.status is not None
        assert not site.ledger.status.confirmed
        assert site.source.polls == 0


async def test_a_token_is_renewed_before_it_runs_out(vtn: Vtn) -> None:
    vtn.tokens._lasts_s = 1.0
    async with Site(vtn) as site:
        await until(lambda: vtn.tokens.given >= 3)
        assert site.source.polls > 3
        assert 401 not in {status for _, _, status in vtn.calls}


async def test_a_silent_vtn_costs_its_deadline_and_no_event(vtn: Vtn) -> None:
    vtn.put("events", event(programme(vtn), ("DISPATCH_SETPOINT", [18_500])))
    async with Site(vtn, deadline_s=0.3) as site:
        await until(lambda: site.put)
        vtn.delay_s = 5.0
        await until(lambda: site.ledger.status is not None and not site.ledger.status.connected)
        vtn.delay_s = 0.0
        await site.polls(1)
        assert len(site.put) == 1
        assert site.deleted == []


async def test_acks_become_operating_state_reports_and_wait_while_the_vtn_is_away(
    vtn: Vtn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.signals.openadr3.source.RETRY_S", 0.05)
    made = vtn.put("events", event(programme(vtn), ("DISPATCH_SETPOINT", [18_500])))
    reports = vtn.shelf.objects["reports"]
    async with Site(vtn) as site:
        await until(lambda: len(reports) == 1)
        vtn.down = True
        await site.source.ack(ack_of(made["id"], EventState.REACHED))
        await site.source.ack(ack_of(made["id"], EventState.COMPLETED, source="another"))
        await until(lambda: ("POST", "/reports", 503) in vtn.calls)
        vtn.down = False
        await until(lambda: len(reports) == 2)
    told = [report["resources"][0]["intervals"][0]["payloads"] for report in reports.values()]
    assert [payloads[0]["values"] for payloads in told] == [["NORMAL"], ["RUNNING_CURTAILED"]]
    assert [payloads[1]["values"][0] for payloads in told] == ["RECEIVED", "REACHED"]
    assert {report["eventID"] for report in reports.values()} == {made["id"]}


async def test_a_report_that_the_vtn_refuses_does_not_hold_up_the_next(vtn: Vtn) -> None:
    made = vtn.put("events", event(programme(vtn), ("DISPATCH_SETPOINT", [18_500])))
    reports = vtn.shelf.objects["reports"]
    async with Site(vtn) as site:
        await until(lambda: len(reports) == 1)
        await site.source.ack(ack_of("no-such-event", EventState.REACHED))
        await site.source.ack(ack_of(made["id"], EventState.REACHED))
        await until(lambda: len(reports) == 2)
        assert site.source.dropped == 1


def test_a_configuration_that_would_speak_in_the_clear_is_refused() -> None:
    with pytest.raises(ConfigError, match="https"):
        OpenAdr3Source(config("http://vtn.example/openadr"), WallClock())
    with pytest.raises(ConfigError, match="client credentials or a certificate"):
        OpenAdr3Source(config("https://vtn.example", login=None), WallClock())
    absent = config("https://vtn.example", login=None, certificates=Certificates(certificate=Path("absent.pem")))
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        OpenAdr3Source(absent, WallClock())


def ack_of(event_id: str, state: EventState, *, source: str = "utility") -> Ack:
    return Ack(
        source=source,
        event_id=event_id,
        msg_id="m",
        epoch=0,
        seq=1,
        state=state,
        code=2,
        reason="",
        at_ms=1_764_000_000_000,
        target_w=18.5e6,
        measured_w=18.4e6,
    )
