"""One miner as a page: what it is and does, what is wanted of it and why, its ladder; then whatever else is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

IDENTITY = ("model", "fw", "driver", "serial", "host", "owner", "tag")
TRENDS = {"power_w": "power W", "temperature_c": "Tmax C", "hash_ths": "TH/s"}
"""Columns of the store that a miner's page draws."""
BLOCKS = "▁▂▃▄▅▆▇█"
PLACE = ("cont", "rack", "slot", "circuit")
SHOWN = frozenset(
    {*IDENTITY, *PLACE, "id", "schema", "rev", "at", "wanted", "seen", "ladder", "reason", "help", "state", "want",
     "w", "want_w", "ths", "jth", "t", "age", "tier", "protected", "commandable"}
)  # fmt: skip
WHY_SHOWN = frozenset({"schema", "rev", "at", "id", "place", "wanted", "seen", "reason", "help"})


def miner_lines(found: Mapping[str, Any], why: Mapping[str, Any]) -> Iterator[str]:
    """The page."""
    yield f"{found.get('id')}   {_all(found, IDENTITY)}"
    yield f"place    {_all(found, PLACE)}"
    yield f"order    tier {_word(found.get('tier'))}, protected {_word(found.get('protected'))}"
    yield ""
    wanted, seen = found.get("wanted") or {}, found.get("seen") or {}
    yield f"{'':9}{'state':<12}{'setting':<14}{'W':>7}{'TH/s':>9}{'Tmax C':>8}{'age s':>8}"
    yield _row("wanted", wanted.get("kind"), wanted.get("setting"), wanted, None, None)
    yield _row("seen", seen.get("state"), found.get("want"), seen, seen.get("temperature_c"), seen.get("age_s"))
    yield f"{'':9}power by {_word(seen.get('power_source'))}, counted as {_word(seen.get('counted_w'))} W"
    yield ""
    yield f"why      {_word(why.get('reason'))}: {_word(why.get('help'))}"
    yield from told({name: value for name, value in why.items() if name not in WHY_SHOWN}, 1)
    yield ""
    ladder = found.get("ladder") or []
    yield f"ladder   {len(ladder)} operating points; > wanted, * seen"
    for point in ladder:
        step = point.get("step")
        mark = (">" if step == wanted.get("step") else " ") + ("*" if step == seen.get("step") else " ")
        power_w, ths = _word(point.get("power_w")), _word(point.get("hash_rate_ths"))
        yield f"      {mark} {_word(point.get('setting')):<14}{power_w:>7} W {ths:>8} TH/s"
    rest = {name: value for name, value in found.items() if name not in SHOWN}
    if rest:
        yield ""
        yield from told(rest)


def trend_lines(past: Mapping[str, Any]) -> Iterator[str]:
    """A line of blocks per column over the last day, between the least and the most; a gap where nothing is known."""
    for line in past.get("series", ()):
        known = [value for value in line["values"] if value is not None]
        if known:
            low, high = min(known), max(known)
            blocks = "".join(_block(value, low, high) for value in line["values"])
            yield f"{TRENDS.get(line['name'].rpartition('.')[2], ''):<9}|{blocks}| {low:.0f} ... {high:.0f}, 24 h"


def _block(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    return BLOCKS[round((value - low) / max(high - low, 1e-9) * (len(BLOCKS) - 1))]


def told(document: Mapping[str, object], indent: int = 0) -> Iterator[str]:
    """A document in indented lines, in its own order."""
    pad = "  " * indent
    for key, value in document.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{pad}{name}"
            yield from told(value, indent + 1)
        elif isinstance(value, list):
            yield f"{pad}{name}" + ("" if value else "  none")
            for item in value:
                yield f"{pad}  " + (_inline(item) if isinstance(item, Mapping) else str(item))
        else:
            yield f"{pad}{name:<{max(26 - 2 * indent, 1)}} {_word(value)}"


def _row(name: str, state: object, setting: object, at: Mapping[str, Any], hot_c: object, age_s: object) -> str:
    numbers = f"{_word(at.get('power_w')):>7}{_word(at.get('hash_rate_ths')):>9}"
    late = "" if name == "wanted" else f"{_word(hot_c):>8}{_word(age_s):>8}"
    return f"{name:<9}{_word(state):<12}{_word(setting):<14}{numbers}{late}"


def _all(document: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return "  ".join(f"{name} {document[name]}" for name in names if document.get(name))


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return "?" if value is None else str(value)


def _inline(item: Mapping[str, object]) -> str:
    return "  ".join(f"{key} {_word(value)}" for key, value in item.items())
