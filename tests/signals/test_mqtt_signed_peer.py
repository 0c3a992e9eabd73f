"""A dispatcher that shares no code with the source: both read the contract, signed, over a real mosquitto."""

from __future__ import annotations

import base64

import pytest

from farmctl.core.grid import EventClass, EventDelete, EventPut, SnapshotPut
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals.mqtt import Form, MqttSource
from simulators.grid import Dispatcher, Order, Signer
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, config, listening, until
from tests.signals.words import KID, SEED, Ledger

pytestmark = pytest.mark.peer

SIGNER = Signer.from_seed(SEED, kid=KID)
PINNED = Keyring(keys={KID: IssuerKey(public=base64.b64decode(SIGNER.public_key))})


def confirmed(ledger: Ledger) -> bool:
    return ledger.status is not None and ledger.status.confirmed


def connected(ledger: Ledger) -> bool:
    return ledger.status is not None and ledger.status.connected


async def test_events_snapshots_and_heartbeats_of_a_stranger_are_understood(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    source = MqttSource(config(mosquitto.port, auth="ed25519", keys=PINNED), CLOCK, pace=QUICK)
    async with (
        listening(source, ledger),
        Dispatcher("127.0.0.1", mosquitto.port, op="grid-op", site="site-07", signer=SIGNER) as grid,
    ):
        await until(lambda: confirmed(ledger))
        sent = await grid.create_event(Order(target_kw=18_500, limit_kw=20_000, duration_s=60))
        await grid.wait_for(sent.order_id, {"RECEIVED"}, within_s=20)
        alarm = await grid.emergency(limit_kw=300)
        await grid.wait_for(alarm.order_id, {"RECEIVED"}, within_s=20)
        await grid.release(alarm.order_id)
        await until(lambda: any(isinstance(r.message, EventDelete) and r.message.release for r in ledger.receipts))
    assert not ledger.refusals
    puts = [r.message.event for r in ledger.receipts if isinstance(r.message, EventPut)]
    assert [e.event_class for e in puts] == [EventClass.LIMIT, EventClass.EMERGENCY]
    assert (puts[0].intervals[0].setpoint_w, puts[0].intervals[0].limit_w) == (18.5e6, 20e6)
    assert any(isinstance(r.message, SnapshotPut) for r in ledger.receipts)


async def test_simple_statements_of_a_stranger_are_understood(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    told = config(mosquitto.port, auth="ed25519", keys=PINNED, forms=frozenset({Form.SIMPLE}))
    peer = Dispatcher("127.0.0.1", mosquitto.port, op="grid-op", site="site-07", form="simple", signer=SIGNER)
    async with listening(MqttSource(told, CLOCK, pace=QUICK), ledger), peer as grid:
        await until(lambda: connected(ledger))
        await grid.create_event(Order(target_kw=900, limit_kw=1_000, duration_s=60))
        await until(lambda: confirmed(ledger))
    assert not ledger.refusals
    message = ledger.receipts[-1].message
    assert isinstance(message, EventPut)
    assert message.event.intervals[0].limit_w == 1e6
