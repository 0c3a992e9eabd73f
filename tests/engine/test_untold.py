"""A kill between a durable decision and the outbox loses no ack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farmctl.core.grid import Ack, EventState
from farmctl.engine.untold import Untold
from farmctl.errors import StoreError
from tests.dst.run import run_history

ACK = Ack(
    source="grid",
    event_id="ev-1",
    msg_id="m-1",
    epoch=3,
    seq=2,
    state=EventState.SUPERSEDED,
    code=7,
    reason="SUPERSEDED",
    at_ms=1_795_510_800_000,
    target_w=65_900.0,
)
LATER = replace(ACK, event_id="ev-2")


def test_acks_come_back_as_they_were() -> None:
    assert Untold(()).load(Untold(()).pack([ACK])) == (ACK,)
    assert Untold(()).load(None) == ()
    assert Untold(()).load(b"") == ()
    with pytest.raises(StoreError, match=r"control\.acks"):
        Untold(()).load(b"[{}]")


def test_what_is_not_durable_is_not_told_and_is_told_in_order_when_it_is() -> None:
    acks = Untold(())
    acks.pack([ACK])
    assert acks.due([ACK], durable=False) == ()
    data = acks.pack([LATER])
    assert acks.due([LATER], durable=True) == (ACK, LATER)
    assert Untold(()).load(data) == (ACK, LATER)
    assert Untold(()).load(acks.pack([LATER])) == (LATER,)


def test_a_kill_after_the_journal_and_before_the_outbox_is_told_after_all() -> None:
    assert run_history(262, minutes=12.0).broken == ()
