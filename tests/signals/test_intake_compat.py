"""On/off messages: what lowers at once, what restores late, and what counts as silence."""

from __future__ import annotations

import json
from dataclasses import replace

import aiomqtt
import pytest

from farmctl.core.grid import EventDelete, EventPut
from farmctl.core.reasons import Reason
from farmctl.errors import ConfigError
from farmctl.signals._intake import compat
from farmctl.signals._intake.compat import CompatBody, Switch
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.mqtt import CompatConfig, CompatSource
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, listening, until
from tests.signals.words import NOW_MS, Ledger

NOW_S = NOW_MS // 1000


def body(target: int, timestamp: int = NOW_S) -> CompatBody:
    return CompatBody(target=target, timestamp=timestamp)


def settle(switch: Switch, now_ms: int) -> tuple[Switch, EventPut | EventDelete | None]:
    found = compat.due(switch, source="fleet", off_w=1e5, now_ms=now_ms)
    return (switch, None) if found is None else (compat.said(switch, found[0]), found[1])


def off(now_ms: int = NOW_MS) -> Switch:
    switch, message = settle(compat.heard(Switch(since_ms=now_ms), body(0), broker=0, now_ms=now_ms), now_ms)
    assert isinstance(message, EventPut)
    assert message.event.intervals[0].limit_w == 1e5
    assert not message.replaces_source
    return switch


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"target":50,"timestamp":1795428240}',
        b'{"target":"0","timestamp":1795428240}',
        b'{"target":false,"timestamp":1795428240}',
        b'{"target":0,"timestamp":1795428240.5}',
        b'{"target":0,"timestamp":-1}',
        b'{"target":0,"timestamp":1795328240}',
        b'{"target":0,"timestamp":1795528240}',
        b'{"target":NaN,"timestamp":1795428240}',
        b'{"target":0,"timestamp":1795428240,"x":"' + b"x" * 1024 + b'"}',
    ],
)
def test_anything_but_on_and_off_within_a_day_is_refused(raw: bytes) -> None:
    with pytest.raises(NotAcceptedError):
        compat.read(raw, retained=False, now_ms=NOW_MS)


def test_retained_copies_are_refused() -> None:
    raw = json.dumps({"target": 100, "timestamp": NOW_S}).encode()
    assert compat.read(raw, retained=False, now_ms=NOW_MS) == body(100)
    with pytest.raises(NotAcceptedError) as caught:
        compat.read(raw, retained=True, now_ms=NOW_MS)
    assert caught.value.reason is Reason.RETAINED_NOT_ALLOWED


def test_off_lowers_at_once_and_on_restores_after_five_seconds() -> None:
    switch = off()
    switch = compat.heard(switch, body(100, NOW_S + 1), broker=0, now_ms=NOW_MS + 1_000)
    switch = compat.heard(switch, body(100, NOW_S + 3), broker=0, now_ms=NOW_MS + 3_000)
    assert settle(switch, NOW_MS + 5_999)[1] is None
    switch, message = settle(switch, NOW_MS + 6_000)
    assert isinstance(message, EventDelete)
    assert (switch.off_id, settle(switch, NOW_MS + 6_001)[1]) == ("", None)


def test_an_off_within_the_five_seconds_keeps_the_site_down() -> None:
    switch = compat.heard(off(), body(100, NOW_S + 1), broker=0, now_ms=NOW_MS + 1_000)
    switch = compat.heard(switch, body(0, NOW_S + 2), broker=0, now_ms=NOW_MS + 2_000)
    assert settle(switch, NOW_MS + 30_000) == (switch, None)


def test_on_alone_says_nothing() -> None:
    switch = compat.heard(Switch(since_ms=NOW_MS), body(100), broker=0, now_ms=NOW_MS)
    assert settle(switch, NOW_MS + 60_000)[1] is None


def test_ninety_seconds_of_silence_are_an_off_until_the_publisher_is_back() -> None:
    switch = compat.heard(Switch(since_ms=NOW_MS), body(100), broker=0, now_ms=NOW_MS)
    assert settle(switch, NOW_MS + 89_999)[1] is None
    switch, message = settle(switch, NOW_MS + 90_000)
    assert isinstance(message, EventPut)
    switch = compat.heard(switch, body(100, NOW_S + 100), broker=0, now_ms=NOW_MS + 100_000)
    assert settle(switch, NOW_MS + 104_999)[1] is None
    assert isinstance(settle(switch, NOW_MS + 105_000)[1], EventDelete)
    assert isinstance(settle(Switch(since_ms=0), 90_000)[1], EventPut)


def test_older_and_contradictory_timestamps_are_refused() -> None:
    switch = off()
    for wrong in (body(100, NOW_S - 1), body(100, NOW_S)):
        with pytest.raises(NotAcceptedError):
            compat.heard(switch, wrong, broker=0, now_ms=NOW_MS)
    assert compat.heard(switch, body(0), broker=0, now_ms=NOW_MS + 1).since_ms == NOW_MS + 1


def test_two_brokers_that_contradict_each_other_mean_off() -> None:
    switch = compat.heard(Switch(since_ms=NOW_MS), body(100), broker=0, now_ms=NOW_MS)
    switch = compat.heard(switch, body(0), broker=1, now_ms=NOW_MS)
    assert switch.target == 0
    assert compat.heard(switch, body(100), broker=0, now_ms=NOW_MS).target == 0
    assert compat.heard(switch, body(100, NOW_S + 1), broker=0, now_ms=NOW_MS).target == 100


def test_an_off_is_renewed_before_its_authority_ends_and_survives_a_restart() -> None:
    switch = compat.from_bytes(compat.to_bytes(off()), NOW_MS)
    assert switch.off_id
    late = replace(switch, since_ms=switch.off_until_ms - 1_000)
    again, message = settle(late, switch.off_until_ms - 1_000)
    assert isinstance(message, EventPut)
    assert again.off_id == switch.off_id
    assert compat.from_bytes(b"rubbish", 5) == Switch(since_ms=5)


def test_unsigned_messages_from_afar_need_mutual_tls() -> None:
    for broker in ("10.0.0.1", "broker.example"):
        with pytest.raises(ConfigError, match="loopback"):
            CompatSource(CompatConfig(name="f", brokers=((broker, 1883),), topic="maestro/target", off_w=0.0), CLOCK)
    with pytest.raises(ConfigError, match="topic"):
        CompatSource(CompatConfig(name="f", brokers=(("127.0.0.1", 1883),), topic="maestro/#", off_w=0.0), CLOCK)


@pytest.mark.peer
async def test_on_and_off_arrive_over_a_real_broker(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    brokers = (("127.0.0.1", mosquitto.port), ("127.0.0.1", mosquitto.port))
    source = CompatSource(
        CompatConfig(name="fleet", brokers=brokers, topic="maestro/target", off_w=1e5), CLOCK, pace=QUICK
    )
    async with listening(source, ledger), aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await until(lambda: ledger.status is not None and ledger.status.connected)
        await client.publish("maestro/target", b"rubbish", qos=1)
        await until(lambda: bool(ledger.refusals))
        message = json.dumps({"target": 0, "timestamp": CLOCK.now_ms() // 1000})
        while not ledger.receipts:
            await client.publish("maestro/target", message, qos=1)
        await until(lambda: ledger.status is not None and ledger.status.confirmed)
    (receipt,) = ledger.receipts
    assert isinstance(receipt.message, EventPut)
    assert "signals.fleet.switch" in ledger.states
