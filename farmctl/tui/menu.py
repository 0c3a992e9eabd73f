"""What can be ordered now: every action, greyed with its reason where it may not be given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from farmctl.ports.feed import FleetImage, OverrideView
from farmctl.tui.modals.choices import Choice
from farmctl.tui.orders import ENGINEERS, Draft
from farmctl.tui.roster import Roster
from farmctl.tui.words import megawatts

MOST_NAMED = 100
"""Ids that fit into one order."""
STALE = "the picture is stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Who is at the glass and what the cursor is on."""

    role: str
    blocked: str = ""
    """Why nothing may be ordered at all, such as a stale picture; empty: it may."""
    circuit: str = ""
    container: str = ""
    chosen: int = 0
    """Miners that are marked, else the one under the cursor."""
    selector: str = ""
    """A filter that means exactly these; empty where no order can hold them."""

    def bars(self, draft: Draft) -> str:
        """Why an order may not be given from here; a stop needs no controller, only a shell."""
        if self.blocked == STALE and draft.verb == "stop_all":
            return f"{STALE}; in a shell, farmctl stop-all works with the controller dead"
        return self.blocked


def orders_now(image: FleetImage, hand: Hand) -> list[Choice[Draft]]:
    """In the order of the menu; the most usual first."""
    return [
        Choice(text, draft, f"$ {replace(draft, reason='...').command}", hand.bars(draft) or why or _role(draft, hand))
        for text, draft, why in _orders(image, hand)
    ]


def selector_of(roster: Roster, filter_text: str, *, exact: bool) -> tuple[int, str]:
    """How many miners are chosen, and a filter that means them; `exact`: the list is all that `filter_text` fits."""
    marks = sorted(roster.marks) or ([roster.cursor_id] if roster.cursor_id else [])
    if len(marks) <= MOST_NAMED:
        return len(marks), f"id={','.join(marks)}" if marks else ""
    listed = {roster.id_at(place) for place in range(len(roster.rows))}
    return len(marks), filter_text if exact and listed == roster.marks else ""


def _role(draft: Draft, hand: Hand) -> str:
    """A viewer looks; some orders take an engineer. The controller says the same."""
    if hand.role not in ("operator", "engineer"):
        return "takes an operator"
    return "takes an engineer" if draft.verb in ENGINEERS and hand.role != "engineer" else ""


def _orders(image: FleetImage, hand: Hand) -> Iterator[tuple[str, Draft, str]]:
    """Text, order, and why it cannot be given in this state of the site."""
    strip = image.strip
    yield "Hold the whole site at a power for a time (override)", Draft(verb="override_set", lasting="1h"), ""
    if hand.circuit:
        hold = Draft(verb="override_set", circuit=hand.circuit, lasting="1h")
        yield f"Stop {hand.circuit} for a time", replace(hold, to="0MW", lasting="30m"), ""
        yield f"Hold {hand.circuit} at a power for a time", hold, ""
    yield from _about_miners(hand)
    release = Draft(verb="resume") if strip.stop_all else Draft(verb="stop_all")
    yield release.title, release, ""
    for order in strip.overrides:
        yield _release(order), Draft(verb="override_release", override_id=order.id), ""
    places = (hand.container, "") if hand.container else ("",)
    for place in places:
        on = Draft(verb="maintenance", container=place)
        yield on.title, on, ""
        yield replace(on, on=False).title, replace(on, on=False), ""
    latched = any(event.event_class == "EMERGENCY" for event in image.events) or strip.mode == "EMERGENCY"
    emergency = Draft(verb="emergency_release")
    yield emergency.title, emergency, "" if latched else "none is latched"
    if strip.lease is None:
        take = Draft(verb="lease_take", lasting="1h")
        yield take.title, take, ""
    else:
        back = Draft(verb="lease_release")
        yield f"{back.title} ({strip.lease.owner} holds it)", back, ""


def _about_miners(hand: Hand) -> Iterator[tuple[str, Draft, str]]:
    if not hand.chosen:
        return
    what = "the miner under the cursor" if hand.chosen == 1 else f"{hand.chosen:,} chosen miners"
    why = "" if hand.selector else f"more than {MOST_NAMED}: narrow the filter, then mark all"
    hold = Draft(verb="set_power", selector=hand.selector, lasting="1h")
    yield f"Hold {'it' if hand.chosen == 1 else 'each of them'} at a power for a time: {what}", hold, why
    for text, verb, on in (
        ("Blink the light of", "locate", True),
        ("Stop the light of", "locate", False),
        ("Restart the control board of", "reboot", True),
    ):
        yield f"{text} {what}", Draft(verb=verb, selector=hand.selector, on=on), why


def _release(order: OverrideView) -> str:
    miners = f"{order.miners:,} miners" if order.miners else ""
    what = f"{miners or order.selector or 'the site'} at {megawatts(order.target_kw)} MW"
    return f"Release {order.id}: {order.owner} holds {what} ({order.reason})"
