"""Every key of the glass, once: the bindings, the line at the bottom and the help are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

PAGES = ("overview", "map", "miners", "alarms", "power", "events", "system")
PROGRAMME = "programme"
"""The screen of headquarters, in front of the others there."""
EVERYWHERE = frozenset((*PAGES, PROGRAMME))
LISTS = frozenset({"overview", "map", "miners", "alarms", "power", PROGRAMME})
MINERS = frozenset({"miners"})
AT = {"map": "miners", "miners": "miners", PROGRAMME: "sites"}
ALARMS = frozenset({"overview", "alarms"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key and what it does; `id` is what a keymap names."""

    id: str
    key: str
    action: str
    label: str
    pages: frozenset[str] = EVERYWHERE
    orders: bool = False
    """It leads to an order: greyed for a viewer and while the link is lost."""
    short: str = ""
    """As in the line at the bottom; empty: not there."""
    at: str = ""
    """Only where there are `sites`, or only where there are `miners`; empty: both."""
    past: bool = False
    """It moves the playhead of a replay: not there while the glass shows the present."""


KEYS: tuple[Key, ...] = (
    *(
        Key(
            id=f"page.{page}",
            key=str(number),
            action=f"page('{page}')",
            label=page.capitalize(),
            short=page.capitalize(),
            at=AT.get(page, ""),
        )
        for number, page in enumerate((*PAGES, PROGRAMME), start=1)
    ),
    Key(id="ask.filter", key="slash", action="ask_filter", label="filter", short="filter", at="miners"),
    Key(id="ask.command", key="colon", action="ask_command", label="cmd", short="cmd"),
    Key(id="ask.help", key="question_mark", action="help", label="help", short="help"),
    Key(id="go.into", key="enter", action="into", label="drill down", pages=LISTS),
    Key(id="go.back", key="escape", action="up", label="back"),
    Key(id="go.previous", key="minus", action="previous", label="previous screen"),
    Key(id="mark.one", key="space", action="mark", label="mark", pages=MINERS, short="mark"),
    Key(id="mark.range", key="V", action="mark_range", label="mark from the last mark to here", pages=MINERS),
    Key(id="mark.all", key="asterisk", action="mark_all", label="mark all that match", pages=MINERS),
    Key(id="list.faults", key="f", action="faults", label="faults only", pages=MINERS, short="faults"),
    Key(id="list.columns", key="w", action="columns", label="columns", pages=MINERS),
    Key(id="list.turn", key="S", action="turn", label="turn the order round", pages=MINERS),
    Key(id="list.sort_left", key="less_than_sign", action="sort(-1)", label="sort by the column before", pages=MINERS),
    Key(id="list.sort_right", key="greater_than_sign", action="sort(1)", label="sort by the next column", pages=MINERS),
    Key(id="freeze.order", key="z", action="freeze_order", label="freeze the order", pages=MINERS),
    Key(id="freeze.all", key="Z", action="freeze_all", label="freeze the picture"),
    Key(id="alarm.ack", key="a", action="ack", label="acknowledge", pages=ALARMS, orders=True, short="ack"),
    Key(
        id="alarm.ack_page",
        key="A",
        action="ack_page",
        label="acknowledge what is on the screen",
        pages=frozenset({"alarms"}),
        orders=True,
    ),
    Key(id="alarm.shelve", key="s", action="shelve", label="shelve", pages=ALARMS, orders=True),
    Key(id="alarm.unshelve", key="u", action="unshelve", label="take off the shelf", pages=ALARMS, orders=True),
    Key(id="order.override", key="o", action="order_override", label="override", orders=True),
    Key(id="order.menu", key="x", action="order_menu", label="actions", short="act"),
    Key(id="take.copy", key="y", action="copy", label="copy what the cursor is on"),
    Key(id="take.export", key="e", action="export", label="export as CSV, JSON or SVG"),
    Key(id="see.zone", key="t", action="zone", label="UTC or site time"),
    Key(id="see.grafana", key="g", action="grafana", label="the site's dashboard"),
    Key(id="past.open", key="T", action="replay", label="replay the past, or back to now"),
    Key(id="past.play", key="p", action="play", label="play or stand still", past=True, short="play"),
    Key(id="past.faster", key="P", action="faster", label="play faster, then slow again", past=True, short="speed"),
    Key(id="past.back", key="comma", action="cycle(-1)", label="one cycle back", past=True, short="back"),
    Key(id="past.on", key="full_stop", action="cycle(1)", label="one cycle on", past=True, short="on"),
    Key(
        id="past.rewind", key="left_square_bracket", action="scrub(-60)", label="a minute back", past=True, short="-1m"
    ),
    Key(id="past.forward", key="right_square_bracket", action="scrub(60)", label="a minute on", past=True, short="+1m"),
    Key(id="past.rewind_far", key="left_curly_bracket", action="scrub(-900)", label="15 minutes back", past=True),
    Key(id="past.forward_far", key="right_curly_bracket", action="scrub(900)", label="15 minutes on", past=True),
    Key(id="go.quit", key="q", action="leave", label="quit"),
)
BY_ACTION = {key.action.partition("(")[0]: key for key in KEYS}
BY_PAGE = {key.id.removeprefix("page."): key for key in KEYS if key.id.startswith("page.")}


def bindings() -> list[Binding]:
    """What Textual binds; every one remappable by its id."""
    return [Binding(key.key, key.action, key.label, id=key.id, show=bool(key.short)) for key in KEYS]
