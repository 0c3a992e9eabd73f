"""Every state of a grid event and every move between two, through a real broker, read by somebody else's client.

`TOLD` is the whole list: each event with the states that mosquitto_sub read, in order.  The last test fails when a
state or a move of SIGNALS section 5 is missing from it.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from farmctl.core.events import TRANSITIONS
from farmctl.core.grid import EventState, OptOut, OptReason
from farmctl.ports.grid import Receipt
from farmctl.signals._intake.desk import Route
from farmctl.signals.mqtt import Form
from tests.signals.conftest import Mosquitto
from tests.signals.site_loop import Grid, Site, on_stage

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

IN = "RECEIVED ACCEPTED"
UP = f"{IN} ACTIVE RAMPING"
TOLD = {
    # refused
    "refused": "REJECTED",
    "late": "REJECTED",
    # ended as asked
    "kept": f"{IN} SCHEDULED ACTIVE RAMPING REACHED COMPLETED",
    "wavers": f"{UP} REACHED DEVIATING REACHED COMPLETED",
    "within": f"{IN} ACTIVE REACHED COMPLETED",
    "price": f"{IN} ACTIVE REACHED COMPLETED",
    "rehearsal": f"{IN} ACTIVE COMPLETED",
    # missed
    "missed": f"{UP} DEVIATING FAILED",
    "too-short": f"{UP} FAILED",
    # over before it began
    "never": f"{IN} SCHEDULED EXPIRED",
    "gone-at-once": f"{IN} EXPIRED",
    # withdrawn by the grid, out of every state
    "cancelled-accepted": f"{IN} CANCELLED",
    "cancelled-scheduled": f"{IN} SCHEDULED CANCELLED",
    "cancelled-active": f"{IN} ACTIVE CANCELLED",
    "cancelled-ramping": f"{UP} CANCELLED",
    "cancelled-reached": f"{UP} REACHED CANCELLED",
    "cancelled-deviating": f"{UP} DEVIATING CANCELLED",
    # declined by the site, out of every state
    "declined-accepted": f"{IN} OPTED_OUT",
    "declined-scheduled": f"{IN} SCHEDULED OPTED_OUT",
    "declined-active": f"{IN} ACTIVE OPTED_OUT",
    "declined-ramping": f"{UP} OPTED_OUT",
    "declined-reached": f"{UP} REACHED OPTED_OUT",
    "declined-deviating": f"{UP} DEVIATING OPTED_OUT",
    # beaten by a better set-point, or replaced by the next statement of the simple form
    "beaten-ramping": f"{UP} SUPERSEDED",
    "beaten-reached": f"{UP} REACHED SUPERSEDED",
    "beaten-deviating": f"{UP} DEVIATING SUPERSEDED",
    "replaced-scheduled": f"{IN} SCHEDULED SUPERSEDED",
    "replaced-active": f"{IN} ACTIVE SUPERSEDED",
    "replaced-accepted": f"{IN} SUPERSEDED",
}
"""What a stranger reads about each event; a REJECTED is told instead of its RECEIVED."""

NEVER = {
    ("ACTIVE", "FAILED"): "it is judged in the very cycle in which it becomes ACTIVE",
    ("RAMPING", "COMPLETED"): "who was REACHED once ramps no more",
    ("REACHED", "FAILED"): "REACHED at least once, and not DEVIATING, is what COMPLETED means",
    ("DEVIATING", "COMPLETED"): "still outside at the end is FAILED",
}
"""Moves that the table permits and the conditions of section 5 exclude."""


class Play:
    """A day at the site, one story after another."""

    def __init__(self, site: Site, grid: Grid) -> None:
        self.site, self.grid = site, grid
        self.full = site.rated_kw

    async def target(self, name: str, share: float = 0.6, *, within_s: int = 20, **x: object) -> None:
        await self.grid.orders(name, target_kw=share * self.full, for_s=300, respondWithinS=within_s, **x)  # type: ignore[arg-type]

    async def declines(self, name: str) -> None:
        """The site's own word, as `farmctl events opt-out` gives it to the inbox."""
        message = OptOut(source="grid", event_id=name, why=OptReason.MUST_RUN)
        await self.site.inbox.accept(Receipt(source="grid", topic="operator", message=message, raw=b"", states={}))

    async def says_simply(self, limit_kw: float) -> int:
        self.grid.seq += 1
        until = self.grid._times(600)["expiresAt"]
        words = {"v": 1, "limitKw": limit_kw, "validUntil": until, "epoch": 3, "seq": self.grid.seq}
        await self.grid.heard(Route.SIMPLE, words)
        return self.grid.seq

    async def settles(self) -> None:
        """Nothing is ordered, everybody listens, and the site is back at full."""
        self.site.day.farm.deaf[:] = False
        await self.grid.lets_pass(25)


async def ends_as_asked(play: Play) -> None:
    grid, farm = play.grid, play.site.day.farm
    await grid.orders("kept", limit_kw=0.6 * play.full, for_s=60, starts_in_s=5)
    await grid.lets_pass(70)
    await grid.orders("wavers", limit_kw=0.5 * play.full, for_s=120)
    await grid.lets_pass(30)
    farm.boot(slice(0, 30))
    farm.deaf[:] = True
    await grid.lets_pass(15)
    farm.deaf[:] = False
    await grid.lets_pass(80)
    await grid.orders("within", limit_kw=play.full, for_s=10)
    await grid.lets_pass(15)
    await grid.orders("price", for_s=10, event_class="ECONOMIC", price=0.08)
    await grid.lets_pass(15)
    await grid.orders("rehearsal", limit_kw=0.2 * play.full, for_s=10, event_class="TEST")
    await grid.lets_pass(15)


async def is_missed_or_refused(play: Play) -> None:
    grid, farm = play.grid, play.site.day.farm
    farm.deaf[:] = True
    await grid.orders("missed", limit_kw=0.5 * play.full, for_s=18, respondWithinS=5)
    await grid.lets_pass(20)
    await play.settles()
    farm.deaf[:] = True
    await grid.orders("too-short", limit_kw=0.5 * play.full, for_s=8, respondWithinS=60)
    await grid.lets_pass(10)
    await play.settles()
    await grid.orders("never", limit_kw=0.5 * play.full, starts_in_s=30, expiresAt=grid._times(8)["expiresAt"])
    await grid.lets_pass(10)
    await grid.orders("gone-at-once", limit_kw=0.5 * play.full, for_s=1)
    play.site.stride_s = 3
    await play.site.cycle()
    play.site.stride_s = 1
    await grid.orders("refused", limit_kw=-1)
    await grid.orders("late", limit_kw=1, issuedAt="2026-11-24T08:00:00Z", expiresAt="2026-11-24T08:30:00Z")


async def is_withdrawn(play: Play) -> None:
    """CANCELLED out of every state that is not the last."""
    grid, farm = play.grid, play.site.day.farm
    await grid.orders("cancelled-accepted", limit_kw=0.5 * play.full)
    await grid.withdraws("cancelled-accepted")
    await grid.lets_pass(2)
    await grid.orders("cancelled-scheduled", limit_kw=0.5 * play.full, starts_in_s=50)
    await grid.lets_pass(2)
    await grid.withdraws("cancelled-scheduled")
    await grid.orders("cancelled-active", limit_kw=0.5 * play.full, event_class="TEST")
    await grid.lets_pass(2)
    await grid.withdraws("cancelled-active", event_class="TEST")
    await grid.orders("cancelled-ramping", limit_kw=0.5 * play.full)
    await grid.lets_pass(2)
    await grid.withdraws("cancelled-ramping")
    await play.settles()
    await grid.orders("cancelled-reached", limit_kw=0.5 * play.full, for_s=100)
    await grid.lets_pass(30)
    await grid.withdraws("cancelled-reached")
    await play.settles()
    farm.deaf[:] = True
    await grid.orders("cancelled-deviating", limit_kw=0.5 * play.full, respondWithinS=5)
    await grid.lets_pass(10)
    await grid.withdraws("cancelled-deviating")
    await play.settles()


async def is_declined(play: Play) -> None:
    """OPTED_OUT out of every state that is not the last."""
    grid, farm = play.grid, play.site.day.farm
    await play.target("declined-accepted")
    await play.declines("declined-accepted")
    await grid.lets_pass(2)
    await play.target("declined-scheduled", starts_in_s=50)
    await grid.lets_pass(2)
    await play.declines("declined-scheduled")
    await play.target("declined-active", event_class="TEST")
    await grid.lets_pass(2)
    await play.declines("declined-active")
    await play.target("declined-ramping")
    await grid.lets_pass(2)
    await play.declines("declined-ramping")
    await play.settles()
    await play.target("declined-reached")
    await grid.lets_pass(30)
    await play.declines("declined-reached")
    await play.settles()
    farm.deaf[:] = True
    await play.target("declined-deviating", within_s=5)
    await grid.lets_pass(10)
    await play.declines("declined-deviating")
    await play.settles()


async def is_superseded(play: Play) -> None:
    """SUPERSEDED out of every state that is not the last; the simple form replaces all that its source has said."""
    grid, farm = play.grid, play.site.day.farm
    await play.target("beaten-ramping", 0.8, priority=20)
    await grid.lets_pass(2)
    await play.target("beaten-reached", 0.6, priority=15)
    await grid.lets_pass(40)
    farm.deaf[:] = True
    await play.target("beaten-deviating", 0.3, priority=10, within_s=5)
    await grid.lets_pass(12)
    await play.target("best", 0.9, priority=5)
    await grid.lets_pass(3)
    await grid.withdraws("best", event_class="TARGET")
    await play.settles()
    await grid.orders("replaced-scheduled", limit_kw=0.5 * play.full, starts_in_s=50)
    await grid.orders("replaced-active", limit_kw=0.5 * play.full, event_class="TEST")
    await grid.lets_pass(2)
    first = await play.says_simply(0.9 * play.full)
    TOLD[f"simple-3-{first}"] = TOLD["replaced-accepted"]
    await play.says_simply(play.full)
    await grid.lets_pass(2)


async def test_every_state_and_every_move_is_told_in_order(mosquitto: Mosquitto) -> None:
    forms = frozenset({Form.OPENADR, Form.SIMPLE})
    async with on_stage(mosquitto, forms=forms) as (site, grid, overheard):
        await grid.is_alive()
        await site.run(15)
        play = Play(site, grid)
        for story in (ends_as_asked, is_missed_or_refused, is_withdrawn, is_declined, is_superseded):
            await story(play)
        wanted = {name: states.split() for name, states in TOLD.items() if name != "replaced-accepted"}
        last = max(wanted, key=list(wanted).index)
        await site.until(lambda: overheard.states_of(last) == wanted[last])
        assert {name: overheard.states_of(name) for name in wanted} == wanted
    codes = {body["code"] for topic, body in overheard.messages if topic.endswith("/ack")}
    assert codes == {1, 2, 3, 4, 6, 7, 10, 253, 254}


def test_no_state_and_no_move_is_missing_from_the_list() -> None:
    paths = [["RECEIVED", *states.split()] if states == "REJECTED" else states.split() for states in TOLD.values()]
    assert {state for path in paths for state in path} == {state.value for state in EventState}
    moves = {move for path in paths for move in pairwise(path)}
    table = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
    assert moves | set(NEVER) == table
    assert not moves & set(NEVER)
