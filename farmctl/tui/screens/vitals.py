"""How the controller itself does, as lines of the System screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.segment import Segment

from farmctl.tui.palette import Palette
from farmctl.tui.widgets.lines import Line, rule
from farmctl.tui.words import UNKNOWN, clip, moment, span

SLOW_LAG_MS = 50.0
"""N2: the loop's lag p99 stays below this."""
BYTES_PER_GB = 1e9
MOST_ROWS = 4
TENTHS_MS = 100.0
Told = Mapping[str, Any]


def pair(name: str, text: str, palette: Palette, *, loud: bool = False) -> Line:
    """A named fact."""
    return (Segment(f" {name:10}", palette.dim), Segment(text, palette.strong if loud else palette.normal))


def pollers(told: Told, palette: Palette, width: int) -> Iterator[Line]:
    """The sweep: what is due, under way, late and failed; the loop; the disk."""
    polls, loop = told.get("polls", {}), told.get("loop", {})
    yield (Segment(rule("Pollers, loop and store", width), palette.dim),)
    late = int(polls.get("overruns", 0))
    yield pair("queue", f"{_n(polls, 'due')} due, {_n(polls, 'in_flight')}/{_n(polls, 'most_in_flight')} on the wire",
               palette, loud=int(polls.get("due", 0)) > int(polls.get("most_in_flight", 1)))  # fmt: skip
    yield pair("polls", f"{_n(polls, 'done')}, {_n(polls, 'failed')} failed, {late:,} had to wait", palette)
    yield pair("poll", f"{_spread(polls)}, every {polls.get('interval_s', UNKNOWN)} s", palette)
    lag = loop.get("p99_ms")
    yield pair("loop lag", _spread(loop), palette, loud=lag is not None and lag > SLOW_LAG_MS)
    free = told.get("store", {}).get("free_bytes")
    disk = UNKNOWN if free is None else f"{free / BYTES_PER_GB:.1f}"
    yield pair("store", f"{disk} GB free, up {span(told.get('up_s'))}, version {told.get('version', UNKNOWN)}", palette)


def commands(told: Told, palette: Palette, width: int) -> Iterator[Line]:
    """Commands that wait, and how fast each firmware says yes."""
    given = told.get("commands", {})
    yield (Segment(rule("Commands: time to the device's yes", width), palette.dim),)
    fates = ", ".join(f"{name} {count:,}" for name, count in given.get("fates", {}).items()) or "none yet"
    yield pair("queue", f"{_n(given, 'open')} open, {_n(given, 'retried')} retried", palette)
    yield pair("fates", clip(fates, width - 12), palette)
    for row in given.get("by_firmware", ())[:MOST_ROWS]:
        yield pair("", f"{clip(row['firmware'], 20)} {_spread(row)}", palette)


def feeds(told: Told, palette: Palette, width: int) -> Iterator[Line]:
    """Signal sources, and what was refused of them."""
    yield (Segment(rule("Signal sources", width), palette.dim),)
    rows = told.get("feeds", ())
    if not rows:
        yield pair("none", "no signal source is configured", palette)
    for row in rows[:MOST_ROWS]:
        age = "never heard" if row["age_s"] is None else f"{span(row['age_s'])} old"
        state = "live" if row["confirmed"] and row["connected"] else "not confirmed" if row["connected"] else "away"
        yield pair(clip(row["source"], 9), f"{state}, {age}, clock {row['clock_offset_ms']:+d} ms", palette,
                   loud=state != "live")  # fmt: skip
    for row in told.get("refused", ())[:MOST_ROWS]:
        yield pair("refused", f"{row['n']:,} of {row['source']}: {row['reason']}", palette)


def clients(told: Told, palette: Palette, width: int, zone: str) -> Iterator[Line]:
    """Who watches."""
    rows = told.get("watchers", ())
    yield (
        Segment(rule(f"Clients that watch: {len(rows)} of {told.get('most_watchers', UNKNOWN)}", width), palette.dim),
    )
    for row in rows[:MOST_ROWS]:
        origin = f" from {row['origin']}" if row["origin"] else ""
        yield pair("", f"{row['name']} ({row['role']}) since {moment(row['since'], zone)}{origin}", palette)
    if len(rows) > MOST_ROWS:
        yield pair("", f"and {len(rows) - MOST_ROWS} more", palette)


def _n(told: Told, name: str) -> str:
    value = told.get(name)
    return UNKNOWN if value is None else f"{value:,}"


def _spread(told: Told) -> str:
    """Half of them and one in a hundred, ms."""
    if not told.get("n"):
        return "none measured yet"
    return f"p50 {_ms(told['p50_ms'])}, p99 {_ms(told['p99_ms'])}"


def _ms(value: float) -> str:
    """Three digits are enough of any time."""
    return f"{value:.1f} ms" if value < TENTHS_MS else f"{value:,.0f} ms"
