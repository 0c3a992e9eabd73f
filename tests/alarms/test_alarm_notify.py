"""Who is told of what: real receivers on loopback, an outbox that outlives a restart, quiet hours, limits, repeats."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import AuthResult
from typing_extensions import override

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.notify.channels.apprise import Chat
from farmctl.alarms.notify.channels.smtp import Mail
from farmctl.alarms.notify.channels.webhook import Webhook
from farmctl.alarms.notify.herald import Herald
from farmctl.alarms.notify.message import Message, text
from farmctl.alarms.notify.outbox import Outbox
from farmctl.alarms.notify.post import Channel, Post, Sends
from farmctl.alarms.notify.rules import ChannelRules, Sieve, quiet_of
from farmctl.alarms.watches.outbox import OutboxWatch
from farmctl.engine.clock import SystemClock
from farmctl.errors import CredentialError, FarmError
from tests.alarms.receiver import receiving
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm, ladder

SECRET = b"between us"
NIGHT_MS = 1_795_561_200_000
"""2026-11-24T23:00:00Z."""


def alarm(state: str = "raised", *, priority: int = 2, key: str = "pools_down@C001", at_ms: int = 0) -> Message:
    return Message(
        kind="alarm", key=key, state=state, at_ms=at_ms or int(time.time() * 1000), title="pools down at C001",
        priority=priority, where="C001", detail="20 of 20", response="check the pool", runbook="docs/runbooks/x.md",
    )  # fmt: skip


def channel(name: str, way: Sends, folder: Path, **rules: object) -> Channel:
    return Channel(
        name=name, way=way, sieve=Sieve(rules=ChannelRules(**rules)), outbox=Outbox(folder / name)  # type: ignore[arg-type]
    )  # fmt: skip


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.02)


async def test_a_webhook_is_signed_retried_and_delivered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmctl.alarms.notify.post.RETRY_S", (0.05,))
    async with receiving(503, 429) as receiver:
        way = Webhook(site="demo", url=receiver.url, clock=SystemClock(), secret=SECRET)
        post = Post([channel("oncall", way, tmp_path)], Herald(kinds=CATALOGUE), SystemClock())
        running = asyncio.create_task(post.run())
        post.tell(alarm())
        await until(lambda: len(receiver.got) == 3 and not list((tmp_path / "oncall").glob("*.json")))
        running.cancel()
    told, headers, data = receiver.got[-1]
    assert len({head["X-Farmctl-Delivery"] for _, head, _ in receiver.got}) == 1
    assert (told["schema"], told["site"], told["priority"], told["where"], told["response"]) == (
        "farmctl/v1", "demo", 2, "C001", "check the pool",
    )  # fmt: skip
    stamp, _, mac = headers["X-Farmctl-Signature"].partition(",v1=")
    signed = hmac.new(SECRET, stamp.removeprefix("t=").encode() + b"." + data, hashlib.sha256).hexdigest()
    assert mac == signed


async def test_what_could_not_be_sent_waits_on_disk_for_the_next_run(tmp_path: Path) -> None:
    async with receiving(500) as receiver:
        way = Webhook(site="demo", url=receiver.url, clock=SystemClock())
        first = Post([channel("oncall", way, tmp_path)], Herald(kinds=CATALOGUE), SystemClock())
        running = asyncio.create_task(first.run())
        first.tell(alarm(at_ms=int(time.time() * 1000) - 400_000))
        await until(lambda: any("500" in late.error for late in first.waiting()))
        running.cancel()
        late = OutboxWatch(waiting=first.waiting).look(int(time.time() * 1000))
        assert [(c.alarm, c.where, c.priority) for c in late] == [("outbox_backlog", "oncall", 3)]
        assert "status 500: said so" in late[0].detail
        again = Post([channel("oncall", way, tmp_path)], Herald(kinds=CATALOGUE), SystemClock())
        running = asyncio.create_task(again.run())
        await until(lambda: len(receiver.got) == 2 and not again.waiting())
        running.cancel()
    assert receiver.bodies[0]["id"] == receiver.bodies[1]["id"]


async def test_the_other_channels_hear_of_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmctl.alarms.notify.post.RETRY_S", (0.05,))
    async with receiving(*[500] * 3) as broken, receiving() as sound:
        ways = {name: Webhook(site="demo", url=r.url, clock=SystemClock()) for name, r in (("a", broken), ("b", sound))}
        post = Post([channel(n, w, tmp_path) for n, w in ways.items()], Herald(kinds=CATALOGUE), SystemClock())
        running = asyncio.create_task(post.run())
        post.tell(alarm())
        await until(lambda: len(sound.got) == 2)
        running.cancel()
    assert [body["kind"] for body in sound.bodies] == ["alarm", "channel"]
    assert sound.bodies[1]["title"] == "notifications by a do not get through"


@dataclass
class Inbox(MessageHandler):
    """What the mail server took."""

    def __post_init__(self) -> None:
        super().__init__()
        self.got: list[object] = []

    @override
    def handle_message(self, message: object) -> None:
        self.got.append(message)


def test_mail_arrives_with_subject_text_and_login() -> None:
    inbox = Inbox()

    def login(_server: object, _session: object, _envelope: object, _mechanism: str, said: object) -> AuthResult:
        return AuthResult(success=getattr(said, "password", b"") == b"let me in", handled=False)

    server = Controller(inbox, hostname="127.0.0.1", port=0, authenticator=login, auth_require_tls=False)
    server.port = _free_port()
    server.start()
    try:
        mail = Mail(
            site="demo", host="127.0.0.1", port=server.port, security="none", sender="farmctl@site.example",
            recipients=("op@site.example", "boss@site.example"), user="site", password="let me in",  # noqa: S106 - of a test's own server
        )  # fmt: skip
        asyncio.run(mail.send("d-1", alarm(priority=1)))
        (letter,) = inbox.got
        assert letter["Subject"] == "[farmctl demo] P1 pools down at C001"  # type: ignore[index]
        assert letter["To"] == "op@site.example, boss@site.example"  # type: ignore[index]
        words = letter.get_payload(decode=True).decode()  # type: ignore[attr-defined]
        assert "do        check the pool" in words
        assert "docs/runbooks/x.md" in words
        assert "let me in" not in words
        wrong = Mail(**{field: getattr(mail, field) for field in Mail.__dataclass_fields__} | {"password": "no"})
        with pytest.raises(CredentialError, match="refuses site"):
            asyncio.run(wrong.send("d-2", alarm()))
    finally:
        server.stop()
    with pytest.raises(FarmError, match=r"127\.0\.0\.1"):
        asyncio.run(mail.send("d-3", alarm()))


@pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")
async def test_apprise_carries_a_message_and_shows_no_address() -> None:
    pytest.importorskip("apprise")
    async with receiving() as receiver:
        chat = Chat(site="demo", urls=(receiver.url.replace("http://", "json://"),))
        await chat.send("d-1", alarm())
        assert receiver.bodies[0]["title"] == "[farmctl demo] P2 pools down at C001"
    with pytest.raises(FarmError, match="did not take"):
        await chat.send("d-2", alarm())
    assert "127.0.0.1" not in repr(chat)


def test_an_alarm_is_told_once_until_it_has_returned_and_rests_for_ten_minutes() -> None:
    sieve = Sieve(rules=ChannelRules())
    at_ms = NIGHT_MS
    assert sieve.take(alarm(at_ms=at_ms))
    assert sieve.take(alarm(at_ms=at_ms + 1_000)) is None
    assert sieve.take(alarm("returned", at_ms=at_ms + 2_000))
    assert sieve.take(alarm("returned", at_ms=at_ms + 3_000)) is None
    assert sieve.take(alarm(at_ms=at_ms + 60_000)) is None
    assert sieve.take(alarm(at_ms=at_ms + 700_000))
    assert sieve.take(alarm(priority=3, key="x@y", at_ms=at_ms)) is None


def test_quiet_hours_hold_back_all_but_a_p1() -> None:
    sieve = Sieve(rules=ChannelRules(quiet=quiet_of("22:00-06:00"), timezone="UTC"))
    taken = sieve.take(alarm(at_ms=NIGHT_MS))
    assert taken is not None
    assert taken[1] == NIGHT_MS + 7 * 3_600_000
    urgent = sieve.take(alarm(priority=1, key="life_safety@C1", at_ms=NIGHT_MS))
    assert urgent is not None
    assert urgent[1] == NIGHT_MS
    by_day = sieve.take(alarm(key="other@C1", at_ms=NIGHT_MS + 8 * 3_600_000))
    assert by_day is not None
    assert by_day[1] == NIGHT_MS + 8 * 3_600_000


def test_an_hour_has_its_limit_and_says_what_it_swallowed_but_never_a_p1() -> None:
    sieve = Sieve(rules=ChannelRules(per_hour=3))
    told = [sieve.take(alarm(key=f"a@{n}", at_ms=NIGHT_MS + n)) for n in range(10)]
    assert [one is not None for one in told] == [True] * 3 + [False] * 7
    assert sieve.take(alarm(priority=1, key="fire@C1", at_ms=NIGHT_MS + 20))
    after = sieve.take(alarm(key="a@99", at_ms=NIGHT_MS + 3_700_000))
    assert after is not None
    held = sieve.take(alarm(key="a@100", at_ms=NIGHT_MS + 3_700_001))
    assert held is not None
    assert (after[0].held_back, held[0].held_back) == (0, 0)


def test_a_day_is_told_as_it_happens() -> None:
    house = Glasshouse(farm(60, ladders=(ladder(),), feeders=2)).run(3)
    herald = Herald(kinds=CATALOGUE, runbooks="http://here/runbooks/", dashboard="https://grafana.example/d/site")
    told: list[tuple[str, str]] = []
    pages: set[str] = set()

    def play(seconds: int) -> None:
        for _ in range(seconds):
            house.run(1)
            news = herald.news(house.shown)
            told.extend((message.kind, message.state) for message in news)
            pages.update(message.runbook for message in news if message.kind == "alarm")
            assert all("dashboard https://grafana.example/d/site\n" in text("demo", message) for message in news)

    play(2)
    house.day.event("evening", setpoint_w=0.3 * house.day.rated_w, for_s=60)
    play(100)
    assert told == [("event", "started"), ("mode", "changed"), ("event", "reached"), ("event", "released"),
                    ("mode", "changed")]  # fmt: skip
    told.clear()
    house.day.grid_falls_silent()
    play(150)
    assert told == [("alarm", "raised"), ("mode", "failsafe_entered")]
    assert pages == {"http://here/runbooks/signal_stale"}
    house.day.grid_returns()
    play(60)
    assert told[2:] == [("mode", "failsafe_left"), ("alarm", "returned")] or told[2:] == [
        ("alarm", "returned"), ("mode", "failsafe_left"),
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
