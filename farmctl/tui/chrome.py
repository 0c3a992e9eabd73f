"""What frames every screen: the banner of a lost link, the last order, the keys; and the name of a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.segment import Segment
from textual.app import App

from farmctl.core.units import MS_PER_S
from farmctl.ports.feed import FleetImage
from farmctl.ports.replay import Playhead
from farmctl.tui.keys import KEYS, Key
from farmctl.tui.listed import job_line
from farmctl.tui.palette import Palette
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line
from farmctl.tui.words import clock, megawatts, moment, span

KEY_NAMES = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "minus": "-",
    "asterisk": "*",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "comma": ",",
    "full_stop": ".",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
}
WAITING = " waiting for the controller's first picture"


def named(key: str) -> str:
    """A key as it is printed on the keyboard."""
    return KEY_NAMES.get(key, key)


def banner(sight: Sight, palette: Palette) -> Line:
    """Empty while the picture is live and moving."""
    if sight.playhead is not None:
        return (Segment(_replay(sight.playhead, sight.image.at_ms, sight.zone), palette.banner),)
    if sight.stale:
        age_s = max(sight.age_s, sight.link.age_s)
        text = f" STALE {span(age_s)} - reconnecting ({sight.link.attempt})  {sight.link.why}  nothing can be ordered"
        return (Segment(text, palette.banner),)
    if sight.frozen == "all":
        return (Segment(" PICTURE FROZEN - the strip is live, Z thaws", palette.banner),)
    return ()


def _replay(head: Playhead, cycle_ms: int, zone: str) -> str:
    """Which moment of the past this is, how it moves, and what of it is recorded."""
    day = datetime.fromtimestamp(cycle_ms / MS_PER_S, tz=UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
    moving = f"playing x{head.speed:g}" if head.speed else "stands still"
    state = head.fault or ("deciding again ..." if head.busy and not head.speed else moving)
    recorded = f"recorded {clock(head.first_ms, zone)}-{clock(head.last_ms, zone)}"
    return f" REPLAY {day} {zone}  {state}  {recorded}  no orders, T leaves"


def title(image: FleetImage) -> str:
    """What a tab of the terminal tells: alarms that wait, site, actual over wanted power."""
    unack = image.strip.alarms.get("unack", 0)
    waiting = f"({unack}) " if unack else ""
    return f"{waiting}{image.strip.site} {megawatts(image.strip.power_kw)}/{megawatts(image.strip.target_kw)} MW"


def terminal_title(app: App[object], text: str) -> None:
    """Set the terminal's title (OSC 2); control characters in a site's name would end the sequence."""
    driver = app._driver  # noqa: SLF001 - Textual has no public way to it
    if driver is not None:
        driver.write(f"\x1b]2;{''.join(letter for letter in text if letter.isprintable())}\x07")


def last_order(sight: Sight, commands: Mapping[str, str], refused: str, palette: Palette) -> Line:
    """Who ordered what, how far it is, and the CLI line that does the same."""
    if refused:
        return (Segment(f" {refused}", palette.strong),)
    if not sight.image.jobs:
        since = "before this moment" if sight.playhead else "since the controller started"
        return (Segment(f" no order {since}", palette.dim),)
    job = sight.image.jobs[0]
    command = f"  ({commands[job.id]})" if job.id in commands else ""
    return (Segment(f" {moment(job.at, sight.zone)} {job_line(job)}{command}", palette.normal),)


def keys_line(
    page: str, keymap: Mapping[str, str], enabled: Callable[[Key], bool | None], palette: Palette, width: int
) -> Line:
    """The keys of a screen; those that may not be used now are dim, not hidden, and none is cut in two."""
    segments, used = [Segment(" ")], 1
    for key in sorted(KEYS, key=lambda key: (not key.id.startswith("page."), not key.past)):
        state = enabled(key)
        if not key.short or state is False:
            continue
        here = key.id == f"page.{page}"
        style = palette.strong if here else palette.dim if state is None else palette.normal
        text = f"{named(keymap.get(key.id, key.key))} {key.short} "
        if used + len(text) > width:
            break
        used += len(text)
        segments.append(Segment(text, style))
    return tuple(segments)


def live_keys(bound: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Key and meaning, in the order of the table, of what is bound now: (key, id, label)."""
    order = {key.id: number for number, key in enumerate(KEYS)}
    mine = sorted((order[id_], named(key), label) for key, id_, label in bound if id_ in order)
    return [(key, label) for _, key, label in mine]
