"""The dispatcher's console when a site follows somebody else or does not answer; the demo's seat for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farmctl.config.schema.signals import MqttTable
from farmctl.signals.kit import BrokerAddress, Console
from farmctl.signals.kit.book import Book, opened
from farmctl.signals.kit.voice import Voice
from farmctl.wiring.demo.seat import demo_keys
from farmctl.wiring.demo.site import configured, numbers
from tests.signals.dispatcher import CLOCK
from tests.signals.words import SEED

HERE = BrokerAddress(host="127.0.0.1", port=1)


def console(*, signed: bool = True, book: Book | None = None) -> Console:
    voice = Voice(op="grid-op", site="site-07", kid="grid-op-1", seed=SEED if signed else None)
    return Console(HERE, voice, book or Book(epoch=7, seq=10), CLOCK)


def hears(found: Console, channel: str, **body: Any) -> None:
    found.heard.take(f"site/v1/site-07/{channel}", json.dumps(body).encode(), retained=True, at_ms=CLOCK.now_ms())


@pytest.mark.parametrize(
    ("last", "by"), [((7, 10), None), ((7, 9), None), ((7, 11), (7, 11)), ((8, 1), (8, 1)), ((None, None), None)]
)
def test_a_site_that_has_heard_more_than_the_book_has_said_follows_another(last: Any, by: Any) -> None:
    found = console()
    assert found.overtaken_by() is None
    hears(found, "state", lastEpoch=last[0], lastSeq=last[1])
    assert found.overtaken_by() == by


def test_a_new_epoch_is_above_the_other_s_and_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    Book(epoch=7, seq=10, beats=3, file=file).rises_above(9, now_epoch=5)
    assert (opened(file, epoch=1).epoch, opened(file, epoch=1).seq) == (10, 0)


def test_a_console_that_was_killed_goes_on_above_its_last_heartbeat(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    book = Book(epoch=7, file=file)
    assert [book.next_seq(), book.next_beat(), book.next_beat()] == [1, 1, 2]
    assert opened(file, epoch=1).next_beat() == 3


def test_silence_is_explained_by_what_is_known() -> None:
    found = console()
    assert "nothing was heard" in found.why_silent()
    hears(found, "status", status="OFFLINE", ts="2026-11-24T10:00:00Z")
    assert "OFFLINE since 2026-11-24T10:00:00Z" in found.why_silent()
    hears(found, "status", status="ONLINE")
    assert "signed by grid-op-1" in found.why_silent()
    hears(found, "state", lastEpoch=8, lastSeq=1)
    assert "another dispatcher" in found.why_silent()
    unsigned = console(signed=False)
    hears(unsigned, "status", status="ONLINE")
    assert "--key" in unsigned.why_silent()


def test_an_address_knows_what_to_try_next(tmp_path: Path) -> None:
    secure = BrokerAddress(host="broker", port=8883, ca=tmp_path)
    assert "--ca" in HERE.hint("timed out")
    assert "--cert" in secure.hint("timed out")
    assert "does a broker listen" in secure.hint("[Errno 111] Connection refused")


def test_a_signed_demo_trusts_its_own_keys_only_and_keeps_them(tmp_path: Path) -> None:
    keys = demo_keys(tmp_path / "secrets")
    assert demo_keys(tmp_path / "secrets") == keys
    figures = numbers(3e6, ["c1"], 3e6)
    where = {"site": "demo", "broker": "127.0.0.1:1"}
    made = configured(tmp_path, figures, **where, meter_port=2, metrics_port=3, keys=keys).config
    (grid,) = [table for table in made.signal if isinstance(table, MqttTable)]
    assert (grid.auth, grid.signing_key_file) == ("ed25519", keys.site.file)
    assert [key.kid for issuer in grid.issuers for key in issuer.keys] == [keys.grid.kid]
    plain = configured(tmp_path, figures, **where, meter_port=2, metrics_port=3, keys=None).config
    assert [table.auth for table in plain.signal if isinstance(table, MqttTable)] == ["unsigned-demo"]
