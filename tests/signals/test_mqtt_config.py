"""A source that is told nonsense says all of it at once and connects to nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from farmctl.errors import AskHumanError
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals.mqtt import Form, MqttSource, TlsFiles
from farmctl.signals.mqtt.pace import Pace
from farmctl.signals.mqtt.topics import topics_of
from tests.signals.dispatcher import CLOCK, config
from tests.signals.words import KID, PUBLIC

PINNED = Keyring(keys={KID: IssuerKey(public=PUBLIC)})


@pytest.mark.parametrize("host", ["10.0.0.1", "broker.example", "0.0.0.0", "128.0.0.1"])  # noqa: S104 - refused
def test_unsigned_messages_are_taken_from_loopback_only(host: str) -> None:
    with pytest.raises(AskHumanError, match="only for brokers on loopback"):
        MqttSource(config(brokers=(("127.0.0.1", 1883), (host, 1883))), CLOCK)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_has_several_names(host: str) -> None:
    MqttSource(config(brokers=((host, 1883),)), CLOCK)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"auth": "none"}, "auth"),
        ({"auth": "ed25519"}, "pinned key"),
        ({"brokers": ()}, "brokers"),
        ({"brokers": (("127.0.0.1", 0),)}, "port"),
        ({"op": "Grid/Op"}, "op"),
        ({"site": "+"}, "site"),
        ({"downlink_root": "grid/#"}, "downlink_root"),
        ({"programmes": frozenset()}, "programmes"),
        ({"forms": frozenset()}, "forms"),
        ({"loss_after_s": 5.0}, "loss_after_s"),
        ({"rating_w": float("nan")}, "rating_w"),
        ({"emergency_w": 26e6}, "emergency_w"),
        ({"simple_levels_w": (1.0,)}, "simple_levels_w"),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(AskHumanError, match=told) as caught:
        MqttSource(config(**{"brokers": (("127.0.0.1", 1883),), **changes}), CLOCK)
    assert "'grid'" in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(AskHumanError) as caught:
        MqttSource(config(brokers=(), site="#", loss_after_s=0.0), CLOCK)
    assert all(word in str(caught.value) for word in ("brokers", "site", "loss_after_s"))


def test_a_signed_source_may_be_anywhere() -> None:
    MqttSource(config(brokers=(("broker.example", 8883),), auth="ed25519", keys=PINNED), CLOCK)


def test_missing_tls_files_are_named() -> None:
    with pytest.raises(AskHumanError, match="nowhere"):
        MqttSource(config(1883, tls=TlsFiles(ca=Path("nowhere.pem"))), CLOCK)


def test_renamed_topics_are_heard_but_signed_under_their_canonical_name() -> None:
    topics = topics_of(config(1, downlink_root="bridge/eu", forms=frozenset(Form)))
    heard = topics.heard("bridge/eu/grid-op/site-07/simple")
    assert heard is not None
    assert (heard.route, heard.canonical) == (Route.SIMPLE, "grid/v1/grid-op/site-07/simple")
    assert topics.heard("grid/v1/grid-op/site-07/simple") is None
    assert len(topics.downlink) == 8


def test_waits_grow_to_a_cap_and_are_jittered() -> None:
    pace = Pace(first_s=1.0, most_s=8.0)
    dice = Random(7)  # noqa: S311 - a test
    waits = [[pace.wait_s(n, dice) for _ in range(50)] for n in (1, 2, 3, 4, 5, 10_000)]
    for step, found in zip((1.0, 2.0, 4.0, 8.0, 8.0, 8.0), waits, strict=True):
        assert step / 2 <= min(found) < max(found) <= step
