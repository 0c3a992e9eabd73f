"""A second controller of the same site is noticed by the first, by name; nobody can pretend to be one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from farmctl.alarms.watches.rivals import RivalWatch
from farmctl.signals.mqtt import MqttSource
from farmctl.signals.mqtt.rivals import Rivals
from farmctl.signals.uplink import Sender, encoded, status_json
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, config, listening, until
from tests.signals.test_mqtt_outbox import HandClock
from tests.signals.words import SEED, Ledger

TOPIC = "site/v1/site-07/status"
OURS = Sender(site="site-07", controller_id="ctl-a", seed=SEED)


def said(name: str, at_ms: int, status: Any = "ONLINE", *, seed: bytes = SEED) -> bytes:
    sender = Sender(site="site-07", controller_id=name, seed=seed)
    return encoded(status_json(status, sender, at_ms), topic=TOPIC, sender=sender)


def test_only_a_fresh_signed_word_of_another_counts_and_not_for_ever() -> None:
    clock = HandClock()
    rivals = Rivals(TOPIC, OURS, clock)
    own = said("ctl-a", clock.at_ms + 5_000)
    rivals.said(own)
    before = said("ctl-b", clock.at_ms - 9_000)
    forged = said("ctl-b", clock.at_ms + 9_000, seed=bytes(32))
    for payload in (own, before, forged, b"", b"[]", json.dumps({"ts": 5}).encode()):
        rivals.hear(payload)
        assert rivals.now() == ""
    rivals.hear(said("ctl-b", clock.at_ms + 9_000))
    assert rivals.now() == "ctl-b"
    rivals.hear(said("ctl-c", clock.at_ms + 9_500, "OFFLINE"))
    assert rivals.now() == "ctl-b"
    rivals.hear(said("ctl-b", clock.at_ms + 9_900, "OFFLINE"))
    assert rivals.now() == ""
    rivals.hear(said("ctl-a", clock.at_ms + 10_000))  # a twin with our own name: we did not say this
    assert rivals.now() == "ctl-a"
    clock.at_ms += 200_000
    assert rivals.now() == ""


@pytest.mark.peer
async def test_two_controllers_of_one_site_see_each_other_on_a_real_broker(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    clock = HandClock()
    clock.at_ms = CLOCK.now_ms()
    one, two = (
        MqttSource(config(mosquitto.port, controller_id=name), clock, pace=QUICK) for name in ("ctl-a", "ctl-b")
    )
    watch = RivalWatch(rivals=lambda: [("grid", one.rival)])
    async with listening(one, ledger := Ledger()):
        await until(lambda: ledger.status is not None and ledger.status.connected)
        clock.at_ms += 5_000
        assert watch.look(0) == ()
        async with listening(two, Ledger()):
            await until(lambda: one.rival == "ctl-b")
            (found,) = watch.look(0)
            assert (found.alarm, found.priority) == ("two_leaders", 1)
            assert "ctl-b says ONLINE for this site on the broker of grid" in found.detail
        await until(lambda: one.rival == "")
    assert one.strays == 0
