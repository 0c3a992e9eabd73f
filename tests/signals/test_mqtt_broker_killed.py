"""An hour of signals in which the broker is killed ten times: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from farmctl.core.events import TERMINAL
from farmctl.signals.kit import Wish
from tests.signals.conftest import Mosquitto
from tests.signals.site_loop import Overheard, overhearing
from tests.signals.two_ends import TwoEnds, two_ends

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

KILLS = 10
EVERY_S = 360
"""Ten kills are an hour."""
DOWN_S = (20, 40, 90)
"""How long the broker stays away; the last is longer than a site waits for a heartbeat."""


def orders(number: int, full_kw: float) -> list[Wish]:
    """Of each kill: an event that runs through it, one that is said while the broker is away, one after it."""
    named = (("through", 0.6, 240), ("unheard", 0.5, 240), ("after", 0.7, 60))
    return [
        Wish(event_id=f"{name}-{number}", limit_kw=share * full_kw, for_s=for_s, respond_within_s=30)
        for name, share, for_s in named
    ]


async def one_kill(ends: TwoEnds, mosquitto: Mosquitto, number: int) -> Overheard:
    """What a reader heard who was there before and after."""
    site, console = ends.site, ends.console
    through, unheard, after = orders(number, site.rated_kw)
    down_s = DOWN_S[number % len(DOWN_S)]
    async with overhearing(mosquitto.port) as before:
        await console.create(through)
        await ends.passes(40)
        ends.cut = True
        site.clock.gate.clear()
        await mosquitto.kill()
    saying = asyncio.ensure_future(console.create(unheard))
    await ends.passes(down_s)
    ends.goes_on.clear()
    await mosquitto.start()
    async with overhearing(mosquitto.port) as heard:
        heard.messages[:0] = before.messages
        site.clock.gate.set()
        await saying
        await site.until(lambda: any(link.connected for link in site.inbox.links))
        await console.list_live()
        ends.cut = False
        ends.goes_on.set()
        await ends.passes(250)
        await console.create(after)
        await ends.passes(EVERY_S - 40 - down_s - 250)
        await ends.passes(70)
        await site.until(lambda: heard.states_of(after.event_id)[-1:] == ["COMPLETED"])
    return heard


async def test_ten_kills_of_the_broker_in_an_hour_lose_no_event_and_double_none(mosquitto: Mosquitto) -> None:
    heard: dict[int, Overheard] = {}
    async with two_ends(mosquitto) as ends:
        ends.site.stride_s, ends.site.day.poll_s = 5, 1.0
        await ends.console.speak()
        began_ms = ends.console.clock.now_ms()
        for number in range(KILLS):
            heard[number] = await one_kill(ends, mosquitto, number)
        assert ends.console.clock.now_ms() - began_ms >= KILLS * EVERY_S * 1_000
    wishes = [(n, wish.event_id) for n in range(KILLS) for wish in orders(n, 1.0)]
    applied = Counter(event_id for event_id, state in ends.site.day.acks if state.value == "ACCEPTED")
    assert applied == {event_id: 1 for _, event_id in wishes}
    ended = Counter(event_id for event_id, state in ends.site.day.acks if state in TERMINAL)
    assert ended == {event_id: 1 for _, event_id in wishes}
    for number, event_id in wishes:
        done = [state.value for told, state in ends.site.day.acks if told == event_id]
        said = heard[number].states_of(event_id)
        told = [
            (b["state"], b["reason"])
            for _, b in heard[number].messages
            if b.get("eventId") == event_id and "state" in b
        ]
        assert [state for state in said if state != "RECEIVED"] == done, (event_id, told)
        assert done[-1] == "COMPLETED", (event_id, done)
    assert ends.site.source._post.outbox.dropped == 0
