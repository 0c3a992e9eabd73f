"""Alarms, events, orders, containers and circuits as list items: the same words on every screen that lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.style import Style

from farmctl.core.events import TERMINAL
from farmctl.ports.feed import AlarmView, CircuitView, ContainerView, EventView, JobView, OverrideView
from farmctl.tui.palette import Palette
from farmctl.tui.widgets.listing import Item
from farmctl.tui.words import (
    ALARM_GLYPHS,
    STATE_GLYPHS,
    WORST_FIRST,
    clip,
    day_moment,
    fixed,
    megawatts,
    moment,
    percent,
)

ALARM_HEAD = " Pri State    Since    Where    Condition          Value                   n  Response"
MOVE_HEAD = " Pri Day   Time     Where    Condition          From     To       Value                     By"
EVENT_HEAD = " Event                  Source   State       Starts       Ends         Wanted MW  Reason"
JOB_HEAD = " At       Who          Order             State       Progress                          Reason"
CONTAINER_HEAD = " Container   Miners  hash  trim  cut boot  bad       MW    TH/s  Tmax  Share of its miners"
CIRCUIT_HEAD = " Circuit        Parent         Load MW  Rating MW   Use  Meter MW"
BAR = 20
OVER = frozenset(state.value for state in TERMINAL)
"""States of an event that asks for nothing any more."""
NEAR = 0.9
"""Share of a rating above which a circuit is near its limit (OPERATIONS section 5.2, circuit_near_limit)."""


def alarm_item(alarm: AlarmView, palette: Palette, zone: str) -> Item:
    """One alarm."""
    style = palette.alarm(alarm.priority, alarm.state)
    quiet = palette.dim if alarm.state in ("SHELVED", "SUPPRESSED", "OUT_OF_SERVICE") else palette.normal
    doubt = "" if alarm.valid else "?"
    state = STATE_SHORT.get(alarm.state, alarm.state)
    since = moment(alarm.since, zone)
    text = (
        f" {since:8} {clip(alarm.where, 8)} {clip(alarm.alarm + doubt, 18)} "
        f"{clip(alarm.detail, 20)} {alarm.n:>4}  {alarm.response}"
    )
    glyph = f" {ALARM_GLYPHS.get(alarm.priority, '')} "
    mark = style if quiet is palette.normal else palette.dim
    return Item(key=alarm.id, parts=((glyph, mark), (clip(state, 8), mark), (text, quiet)))


STATE_SHORT = {"RTN_UNACK": "RETURNED", "SUPPRESSED": "SUPPR", "OUT_OF_SERVICE": "OUT"}


def move_item(row: Mapping[str, Any], palette: Palette, zone: str) -> Item:
    """One change of an alarm, as the journal has it."""
    name, _, where = str(row["alarm"]).partition("@")
    before, state = (STATE_SHORT.get(row[key], row[key]) for key in ("before", "state"))
    glyph = f" {ALARM_GLYPHS.get(row['priority'], '')} "
    day = day_moment(row["at"], zone)[:5]
    text = (
        f" {day} {moment(row['at'], zone):8} {clip(where, 8)} {clip(name, 18)} {clip(before, 8)} {clip(state, 8)} "
        f"{clip(row['detail'], 25)} {' '.join(part for part in (row['owner'], row['note']) if part)}"
    )
    style = palette.alarm(row["priority"]) if state == "UNACK" else palette.dim
    return Item(key=f"{row['seq']}", parts=((glyph, style), (text, palette.normal)))


def event_item(event: EventView, palette: Palette, zone: str) -> Item:
    """One grid event."""
    wanted = event.setpoint_kw if event.setpoint_kw is not None else event.limit_kw
    sign = "=" if event.setpoint_kw is not None else "<="
    text = (
        f" {clip(event.id, 22)} {clip(event.source, 8)} {clip(event.state, 11)} {day_moment(event.start, zone):12} "
        f"{day_moment(event.end, zone):12} {'' if wanted is None else sign + ' ' + megawatts(wanted):>9}  "
        f"{event.reason or ''}"
    )
    over = event.state in OVER
    return Item(key=event.id, parts=((text, palette.dim if over else palette.normal),))


def job_item(job: JobView, palette: Palette, zone: str) -> Item:
    """One order."""
    text = (
        f" {moment(job.at, zone):8} {clip(job.owner, 12)} {clip(job.verb, 17)} {clip(job.state, 11)} "
        f"{clip(job.text, 33)} {job.reason}"
    )
    return Item(key=job.id, parts=((text, palette.strong if job.state == "partial" else palette.normal),))


def override_item(order: OverrideView, palette: Palette, zone: str) -> Item:
    """One override in force."""
    what = f"each of {order.miners:,} miners" if order.miners else order.selector or "site"
    text = (
        f" {clip(order.id, 14)} {what} at {megawatts(order.target_kw)} MW"
        f" until {moment(order.expires_at, zone)}  by {order.owner}: {order.reason}"
    )
    return Item(key=order.id, parts=((text, palette.strong),))


def container_item(box: ContainerView, palette: Palette) -> Item:
    """One container: counts, power, and its miners as a bar, the bad ones first."""
    states = box.states
    bad = sum(states.get(word, 0) for word in ("fault", "offline", "unknown"))
    curtailed = states.get("curtailed", 0)
    text = (
        f" {clip(box.name, 10)} {box.miners:>7} {states.get('hashing', 0):>5} {states.get('throttled', 0):>5} "
        f"{curtailed:>4} {states.get('booting', 0):>4} "
    )
    rest = f" {megawatts(box.power_kw):>8} {box.hash_rate_ths:>7.0f} {fixed(box.hottest_c, 0, 5)}  "
    return Item(
        key=box.name,
        parts=(
            (text, palette.normal),
            (f"{bad:>4}", palette.abnormal if bad else palette.dim),
            (rest, palette.normal),
            *bar(states, palette),
        ),
    )


def bar(states: dict[str, int] | object, palette: Palette, cells: int = BAR) -> tuple[tuple[str, Style], ...]:
    """Counts per state as glyphs; a state that has any miner at all has at least one cell."""
    counts = {word: int(states.get(word, 0)) for word in WORST_FIRST} if isinstance(states, dict) else {}
    present = [word for word in WORST_FIRST if counts.get(word)]
    total = sum(counts.values())
    if not present or not total:
        return ((" " * cells, palette.dim),)
    widths = {word: max(round(cells * counts[word] / total), 1) for word in present}
    largest = max(present, key=lambda word: widths[word])
    widths[largest] += cells - sum(widths.values())
    return tuple((STATE_GLYPHS[word] * max(widths[word], 0), palette.state(word)) for word in present)


def circuit_items(circuits: Sequence[CircuitView], palette: Palette) -> list[Item]:
    """The limit tree, fullest first below the site."""

    def use(node: CircuitView) -> float:
        return node.load_kw / node.rating_kw if node.rating_kw else -1.0

    items = []
    for node in sorted(circuits, key=lambda node: (node.parent != "", -use(node), node.name)):
        share = use(node) if node.rating_kw else None
        rating = "none" if node.rating_kw is None else megawatts(node.rating_kw)
        meter = "-" if node.meter_kw is None else megawatts(node.meter_kw)
        near = share is not None and share > NEAR
        word = "" if share is None or not near else "  OVER RATING" if share > 1 else "  NEAR LIMIT"
        text = (
            f" {clip(node.name, 14)} {clip(node.parent, 14)} {megawatts(node.load_kw):>7} {rating:>10} "
            f"{'-' if share is None else percent(share):>5} {meter:>9}{word}"
        )
        items.append(Item(key=node.name, parts=((text, palette.abnormal if near else palette.normal),)))
    return items


def job_line(job: JobView) -> str:
    """The newest order in one line."""
    return f"{job.verb} by {job.owner}: {job.state}, {job.text}"
