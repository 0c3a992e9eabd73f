"""What frames every screen: the banner of a lost link, the last order, the keys; and the name of a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rich.segment import Segment
from textual.app import App

from farmctl.ports.feed import FleetImage
from farmctl.tui.keys import KEYS, Key
from farmctl.tui.listed import job_line
from farmctl.tui.palette import Palette
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line
from farmctl.tui.words import megawatts, moment, span

KEY_NAMES = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "minus": "-",
    "asterisk": "*",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}
WAITING = " waiting for the controller's first picture"


def named(key: str) -> str:
    """A key as it is printed on the keyboard."""
    return KEY_NAMES.get(key, key)


def banner(sight: Sight, palette: Palette) -> Line:
    """Empty while the picture is live and moving."""
    if sight.stale:
        age_s = max(sight.age_s, sight.link.age_s)
        text = f" STALE {span(age_s)} - reconnecting ({sight.link.attempt})  {sight.link.why}  nothing can be ordered"
        return (Segment(text, palette.banner),)
    if sight.frozen == "all":
        return (Segment(" PICTURE FROZEN - the strip is live, Z thaws", palette.banner),)
    return ()


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
        return (Segment(" no order since the controller started", palette.dim),)
    job = sight.image.jobs[0]
    command = f"  ({commands[job.id]})" if job.id in commands else ""
    return (Segment(f" {moment(job.at, sight.zone)} {job_line(job)}{command}", palette.normal),)


def keys_line(
    page: str, keymap: Mapping[str, str], enabled: Callable[[Key], bool | None], palette: Palette, width: int
) -> Line:
    """The keys of a screen; those that may not be used now are dim, not hidden, and none is cut in two."""
    segments, used = [Segment(" ")], 1
    for key in KEYS:
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
