"""What frames every screen: the banner of a lost link, the last order, the keys; and the name of a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rich.segment import Segment

from farmctl.tui.keys import KEYS, Key
from farmctl.tui.listed import job_line
from farmctl.tui.palette import Palette
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line
from farmctl.tui.words import moment, span

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


def last_order(sight: Sight, commands: Mapping[str, str], refused: str, palette: Palette) -> Line:
    """Who ordered what, how far it is, and the CLI line that does the same."""
    if refused:
        return (Segment(f" {refused}", palette.strong),)
    if not sight.image.jobs:
        return (Segment(" no order since the controller started", palette.dim),)
    job = sight.image.jobs[0]
    command = f"  ({commands[job.id]})" if job.id in commands else ""
    return (Segment(f" {moment(job.at, sight.zone)} {job_line(job)}{command}", palette.normal),)


def keys_line(page: str, keymap: Mapping[str, str], enabled: Callable[[Key], bool | None], palette: Palette) -> Line:
    """The keys of a screen; those that may not be used now are dim, not hidden."""
    segments = [Segment(" ")]
    for key in KEYS:
        state = enabled(key)
        if not key.short or state is False:
            continue
        here = key.id == f"page.{page}"
        style = palette.strong if here else palette.dim if state is None else palette.normal
        segments.append(Segment(f"{named(keymap.get(key.id, key.key))} {key.short}", style))
        segments.append(Segment(" "))
    return tuple(segments)


def live_keys(bound: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Key and meaning, in the order of the table, of what is bound now: (key, id, label)."""
    order = {key.id: number for number, key in enumerate(KEYS)}
    mine = sorted((order[id_], named(key), label) for key, id_, label in bound if id_ in order)
    return [(key, label) for _, key, label in mine]
