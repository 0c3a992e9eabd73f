"""Breaks replies the way firmware does, and worse: other types, missing keys, torn and malformed JSON."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

WORDS = (
    "", " ", "N/A", "null", "nan", "inf", "-inf", "0", "-1", "1e309", "1e999", "3.5", "12,5", "abc", "true", "False",
    "0x10", "1_000", "٣", "1e-320", "58.94W", "4052.00 RPM", "a-b-c-d", "47-34--3-0", "\x00", "é", "'x'", "Alive",
    "In Idle", "-", "--", ":", "[", "]", "]]", "Work:", "9" * 400, "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "🪫",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 100, 101, 255, -0.0, 0.5, 1e-300, 1e300, 1.7e308, -1.7e308, 2**31, 2**53, 2**63, -(2**63), 1e18)
JUNK: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, [{}], [[[[]]]], {"a": {"b": [1, "2"]}})
TEARS = (
    (b",", b""), (b"}", b",}"), (b"]", b",]"), (b"},{", b"}{"), (b":", b"::"), (b'":', b'"'), (b'"', b""),
    (b"{", b"[,{"), (b"[", b"[,"), (b"1", b"inf"), (b"0", b"nan"), (b"{", b","), (b'"', b"\n"), (b"}", b"]"),
    (b"]", b""), (b'"', b'\\"'), (b"e", b"\xff"), (b" ", b"\x00"), (b"{", b"{{"), (b",", b",\n\r\t,"),
)  # fmt: skip
RELAY = b"Socket connect failed: Connection refused\n"
DEEP = 60
FLIPS = 4
STOPS_HERE = 0.06
"""How often a branch is changed whole and not deeper."""


def broken(value: Any, dice: Random) -> Any:
    """The same JSON with one thing in it, at any depth, changed; shares what did not change."""
    if not isinstance(value, (dict, list)) or not value or dice.random() < STOPS_HERE:
        return _other(value, dice)
    if isinstance(value, dict):
        return _broken_object(value, dice)
    place = dice.randrange(len(value))
    match dice.randrange(8):
        case 0:
            return [*value[:place], *value[place + 1 :]]
        case 1:
            return [*value, value[place]] * dice.choice((1, 1, 3))
        case _:
            return [*value[:place], broken(value[place], dice), *value[place + 1 :]]


def torn(data: bytes, dice: Random) -> bytes:
    """The same bytes, damaged as firmware and wires damage them."""
    match dice.randrange(8):
        case 0 | 1:
            return data[: dice.randrange(len(data) + 1)]
        case 2 | 3 | 4:
            return _marred(data, dice)
        case 5:
            return bytes(_flipped(bytearray(data), dice))
        case 6:
            at = dice.randrange(len(data) + 1)
            return data[:at] + dice.choice((b"\x00", b"\xff\xfe", b"}", b'"', b",", b"[" * DEEP)) + data[at:]
        case _:
            return dice.choice(
                (b"", RELAY, b"null", b"[]", b"0", b'"x"', b"<html></html>", b"\x00", b"[" * 400, data * 2)
            )


def dumped(value: Any) -> bytes:
    """As bytes; what orjson cannot say is nothing."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        return b"null"


def _broken_object(value: dict[str, Any], dice: Random) -> dict[str, Any]:
    key = dice.choice(list(value))
    match dice.randrange(10):
        case 0:
            return {name: each for name, each in value.items() if name != key}
        case 1:
            return {name if name != key else name.swapcase(): each for name, each in value.items()}
        case 2:
            return {**value, dice.choice(WORDS): dice.choice(JUNK)}
        case _:
            return {**value, key: broken(value[key], dice)}


def _other(value: Any, dice: Random) -> Any:
    scaled = value * dice.choice((0, -1, 1e6)) if isinstance(value, (int, float)) else None
    made: tuple[Callable[[], Any], ...] = (
        lambda: dice.choice(JUNK),
        lambda: dice.choice(WORDS),
        lambda: dice.choice(NUMBERS),
        lambda: [value],
        lambda: {"0": value},
        lambda: _rephrased(value, dice),
        lambda: str(value),
        lambda: scaled,
    )
    return dice.choice(made)()


def _rephrased(value: Any, dice: Random) -> Any:
    """Text with a piece of it changed: the fields inside an Avalon's string are reached so."""
    if not isinstance(value, str) or not value:
        return dice.choice(WORDS)
    at, end = sorted((dice.randrange(len(value) + 1), dice.randrange(len(value) + 1)))
    return value[:at] + dice.choice(WORDS) + value[min(end, at + 12) :]


def _marred(data: bytes, dice: Random) -> bytes:
    found, instead = dice.choice(TEARS)
    start = dice.randrange(len(data) + 1)
    at = data.find(found, start)
    return data if at < 0 else data[:at] + instead + data[at + len(found) :]


def _flipped(data: bytearray, dice: Random) -> bytearray:
    for _ in range(dice.randrange(1, FLIPS) if data else 0):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return data
