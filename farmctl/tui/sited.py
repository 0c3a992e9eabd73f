"""The sites of a programme in words: one line each, what is wrong first, and what to do about it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment

from farmctl.tui.palette import Palette
from farmctl.tui.widgets.lines import Line
from farmctl.tui.widgets.listing import Item
from farmctl.tui.words import UNKNOWN, clip, fixed, hash_rate, megawatts, span

Row = Mapping[str, Any]
OFF = 0.02
"""Part of its share by which a site may be above it; the default tolerance of an event (SIGNALS section 3.2)."""
LEAST_OFF = 0.005
"""Part of its rating, where the share is small."""
NAME, MODE, LABEL = 14, 13, 8
WIDE, WIDEST = 118, 150
RULES = {
    "cost": "the site that hashes most with a watt has it first",
    "pro_rata": "all alike, as a part of what each can take",
    "rotation": "one after the other, the order moves on daily",
}
SILENT, REFUSING, ABOVE, ELSEWHERE = 4, 3, 2, 1
QUIET_MODES = frozenset({"FOLLOWING", "LIMITED", "AUTONOMOUS"})
"""Modes that want nobody's attention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with a site, and what to do about it."""

    rank: int = 0
    """0: nothing that wants anybody; higher is worse."""
    what: str = ""
    do: str = ""


def trouble(row: Row) -> Trouble:
    """The worst that is wrong with a site."""
    return _unheard(row) or _astray(row)


def _unheard(row: Row) -> Trouble | None:
    if row["link_age_s"] is None:
        return Trouble(rank=SILENT, what="never heard", do=f"Nothing since headquarters started. {_way(row)}")
    away = "" if row["connected"] else "its broker is out of reach"
    if row["why"] == "stale":
        what = f"silent for {span(row['link_age_s'])}{away and ', '}{away}"
        return Trouble(rank=SILENT, what=what, do=f"It falls to its fail-safe level by itself. {_way(row)}")
    return Trouble(rank=SILENT, what=away, do=_way(row)) if away else None


def _astray(row: Row) -> Trouble:
    if row["refused"]:
        do = "there: farmctl journal list --kind refusal; may our key send such a figure?"
        return Trouble(rank=REFUSING, what=f"REFUSED {row['refused']}", do=do)
    if _over(row):
        what = f"{megawatts(row['deviation_kw'], sign='+')} MW above its share"
        return Trouble(rank=ABOVE, what=what, do="miners that do not answer, a meter that lies, or only just told")
    if row["mode"] not in QUIET_MODES:
        return Trouble(rank=ELSEWHERE, what=f"in {row['mode']}", do=_about_mode(row["mode"]))
    if row["asked_kw"] is not None and row["acked_kw"] != row["asked_kw"]:
        return Trouble(what=f"told {megawatts(row['asked_kw'])} MW, not accepted yet")
    return Trouble()


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Worst first, then by name."""
    return sorted(rows, key=lambda row: (-trouble(row).rank, row["name"]))


def summary_lines(told: Row, palette: Palette) -> Iterator[Line]:
    """The figure, who has it, and how many sites are not as they should be."""
    rows = told["rows"]
    drawn_kw, shared_kw = told["power_kw"], told["shared_kw"]
    event = f"EMERGENCY {told['event']}" if told["emergency"] else told["event"] or "no event"
    yield (
        Segment(f" FIGURE {megawatts(told['figure_kw'])} MW", palette.strong),
        Segment(f"  {event}", palette.strong if told["emergency"] else palette.normal),
        Segment(f"  by {told['rule']}: {RULES.get(told['rule'], '')}", palette.dim),
    )
    left = [
        f"{megawatts(told[name])} MW {words}"
        for name, words in (
            ("short_kw", "placed nowhere yet (ramps, steps, full sites)"),
            ("over_kw", "nobody can give up yet"),
        )
        if told[name] > 0
    ]
    yield (
        Segment(f" shared {megawatts(shared_kw)}  drawn {megawatts(drawn_kw)}", palette.normal),
        Segment(f"  dev {megawatts(drawn_kw - shared_kw, sign='+')}", palette.normal),
        Segment("".join(f"  {text}" for text in left), palette.strong),
    )
    ranks = [trouble(row).rank for row in rows]
    counts = (
        ("heard", len(rows) - ranks.count(SILENT), False), ("silent", ranks.count(SILENT), True),
        ("refusing", ranks.count(REFUSING), True), ("above their share", ranks.count(ABOVE), True),
        ("in another mode", ranks.count(ELSEWHERE), True),
    )  # fmt: skip
    yield (
        Segment(" sites", palette.normal),
        *(Segment(f"  {n} {word}", palette.strong if bad and n else palette.dim) for word, n, bad in counts),
    )


def head(width: int) -> str:
    """The names of the columns."""
    wide = "  Accepted" if width >= WIDE else ""
    widest = "  Can do MW       J/TH" if width >= WIDEST else ""
    return f"   {'Site':{NAME}} {'Mode':{MODE}}       MW   Target      Dev   Link{wide}{widest}  Why"


def site_item(row: Row, palette: Palette, width: int) -> Item:
    """One site."""
    wrong = trouble(row)
    style = palette.abnormal if wrong.rank else palette.normal
    age = UNKNOWN if row["link_age_s"] is None else span(row["link_age_s"])
    link = age if row["connected"] else f"x {age}"
    power, deviation = megawatts(row["power_kw"]), megawatts(row["deviation_kw"], sign="+")
    if wrong.rank == SILENT:  # the last that was heard is not what is
        power, deviation = f"{power.rstrip(UNKNOWN)}{UNKNOWN}", UNKNOWN
    wide = f" {megawatts(row['acked_kw']):>8}" if width >= WIDE else ""
    can = f"{megawatts(row['min_kw'])}-{megawatts(row['max_kw'])}"
    widest = f"  {can:<14} {fixed(row['marginal_jth'], 1, 5)}" if width >= WIDEST else ""
    text = (
        f"{clip(row['name'], NAME)} {clip(row['mode'], MODE)} {power:>8} "
        f"{megawatts(row['share_kw']):>8} {deviation:>8} {link:>6}{wide}{widest}"
    )
    mark = "x" if wrong.rank == SILENT else "!" if wrong.rank else " "
    told, loud = (wrong.what, style) if wrong.what else (row["help"], palette.dim)
    return Item(key=row["name"], parts=((f" {mark} ", style), (text, style), (f"  {told}", loud)))


def detail_lines(row: Row, palette: Palette, width: int) -> Iterator[Line]:
    """Everything about one site, for the foot of the screen."""
    for label, text in described(row):
        style = palette.strong if label == "do" else palette.normal
        for number, line in enumerate(textwrap.wrap(text, max(width - LABEL, LABEL))):
            yield (Segment(f" {'' if number else label:<{LABEL - 1}}", palette.dim), Segment(line, style))


def described(row: Row) -> Iterator[tuple[str, str]]:
    """Label and text."""
    wrong = trouble(row)
    yield "site", f"{row['name']}  {row['mode']}  {wrong.what or 'as it should be'}"
    yield "share", f"{megawatts(row['share_kw'])} MW: {row['help']} ({row['why']})"
    asked, acked = megawatts(row["asked_kw"]), megawatts(row["acked_kw"])
    yield "told", f"{asked} MW, accepted {acked} MW, draws {megawatts(row['power_kw'])} MW"
    own = "none" if row["own_limit_kw"] is None else f"{megawatts(row['own_limit_kw'])} MW"
    room = f"{megawatts(row['min_kw'])} to {megawatts(row['max_kw'])} MW of {megawatts(row['rated_kw'])}"
    rate, next_jth = hash_rate(row["hash_rate_ths"]), fixed(row["marginal_jth"], 1)
    yield "can do", f"{room}, own limit {own}, {rate}, next watt at {next_jth} J/TH"
    age = "never heard" if row["link_age_s"] is None else f"heard {span(row['link_age_s'])} ago"
    yield "link", f"{age}, {'connected to its broker' if row['connected'] else 'NOT connected to its broker'}"
    if wrong.do:
        yield "do", wrong.do


def site_lines(row: Row) -> Iterator[str]:
    """The same to read at leisure, with the line of the CLI that tells it too."""
    for label, text in described(row):
        yield f"{label:<8}{text}"
    yield ""
    yield f"$ farmctl why {row['name']}"


def _over(row: Row) -> bool:
    most_kw = max(OFF * row["share_kw"], LEAST_OFF * row["rated_kw"])
    return row["deviation_kw"] is not None and row["deviation_kw"] > most_kw


def _way(row: Row) -> str:
    if not row["connected"]:
        return "Its broker does not take us: is it up, is the way to it, is our certificate or password still good?"
    return (
        "Is its controller up? Does its WAN, or the bridge, carry its topics to our broker? "
        "Is its key still the one we have?"
    )


def _about_mode(mode: str) -> str:
    match mode:
        case "FAILSAFE" | "INIT_FAILSAFE":
            return "it does not hear us, or has just begun: our heartbeats, our key among its issuers, its clock"
        case "EMERGENCY":
            return "it is latched: only a release ends it, ours or a local operator's"
        case "MAINTENANCE" | "LOCAL_OVERRIDE":
            return "somebody there holds it: ask them, it ends with their order"
        case _:
            return "it has told no mode yet"
