"""Mends the JSON that miner firmware breaks, token by token, so that text inside strings is never touched.

Known breaks (`DEVICES.md` section 3): `,}`, `}{`, `[,{`, a lost comma between members (`""temp0`), raw
newlines in strings, bare inf and nan, a leading comma in place of the first brace, a list of `key: value`
pairs, and a tail that a full buffer cut off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson

from farmctl.errors import MalformedReplyError

_TOKEN = re.compile(r'\s*(?:("[^"\\]*(?:\\.[^"\\]*)*")|([{}\[\],:])|([^\s",:{}\[\]]+))', re.DOTALL)
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_IN_STRING = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\\|[\x00-\x1f]')
_BREAKS_STRING = re.compile(r"[\\\x00-\x1f]")

_HOLE = "\x01"
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_NUMBER = re.compile(r"(?<=[:,\[])\s*[+-]?(?:inf|infinity|nan)(?=\s*[,}\]])", re.IGNORECASE)
_EMPTY_MEMBER = re.compile(r",\s*([}\]])|(?<=\[)\s*,")
_LOST_COMMA = re.compile(r"(\}(?=\s*\{)|\x01(?=\s*\x01))")

DEPTH_LIMIT = 64
"""Replies nest 5 deep at most."""


class _Want(Enum):
    """What may come next inside a container."""

    KEY = auto()
    COLON = auto()
    VALUE = auto()
    COMMA = auto()


@dataclass(slots=True)
class _Level:
    """One open container."""

    opened_at: int
    """Where its bracket stands among the parts."""
    is_object: bool
    want: _Want
    whole_until: int
    """Parts up to here are complete members; a torn one after it is cut away."""
    members: int = 0


def loads(body: bytes) -> Any:
    """Read JSON strictly, and only if that fails as broken firmware means it. Raises MalformedReplyError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # repaired below, outside the handler
    text = body.partition(b"\0")[0].decode("utf-8", "replace")
    try:
        return orjson.loads(repair(text))
    except orjson.JSONDecodeError as fault:
        raise MalformedReplyError(f"{body[:60]!r}, expected JSON: {fault}") from fault


def repair(text: str) -> str:
    """Return strict JSON with the same members in the same order; valid JSON keeps its meaning.

    A bare word that is no number (inf, nan, N/A) becomes null, a torn last member is dropped.
    Raises MalformedReplyError where there is no object or array to be found.
    """
    quick = _mend_marks(text)
    return _Mender(text).mend() if quick is None else quick


def _mend_marks(text: str) -> str | None:
    """Mend what is wrong between the strings alone; None where that is not enough.

    Firmware breaks every reply the same way (Bitmain's stats lacks its comma in each poll): this costs
    a tenth of the walk over the tokens.
    """
    marks = _STRING.sub(_HOLE, text)
    if '"' in marks or marks.count(_HOLE) != len(strings := _STRING.findall(text)):
        return None
    marks = _EMPTY_MEMBER.sub(r"\1", _NO_NUMBER.sub("null", marks))
    marks = _LOST_COMMA.sub(r"\1,", marks)
    pieces = marks.split(_HOLE)
    pieces[1:] = [string + piece for string, piece in zip(strings, pieces[1:], strict=True)]
    mended = "".join(pieces)
    try:
        orjson.loads(mended)
    except orjson.JSONDecodeError:
        return None
    return mended if marks.lstrip()[:1] in "{[" else None


class _Mender:
    """Walks the tokens once and collects the parts of a strict text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[str] = []
        self.levels: list[_Level] = []

    def mend(self) -> str:
        """Do the walk; raises MalformedReplyError."""
        position, end = 0, len(self.text.rstrip())
        while position < end:
            token = _TOKEN.match(self.text, position, end)
            if token is None:
                break  # an unterminated string: the tail is torn
            position = token.end()
            self._take(token, is_last=position == end)
            if not self.levels:
                if position < end:
                    raise MalformedReplyError(f"text after the end: {self.text[position : position + 20]!r}")
                break
        if not self.parts:
            raise MalformedReplyError("no object and no array")
        while self.levels:
            self._close()
        return "".join(self.parts)

    def _take(self, token: re.Match[str], *, is_last: bool) -> None:
        string, mark, word = token.groups()
        if not self.levels:
            self._start(mark)
        elif string is not None:
            self._string(_clean(string))
        elif word is not None:
            # At the very end a number may be the first half of one.
            if not is_last:
                self._value(word if _SCALAR.fullmatch(word) else "null")
        elif mark in "{[":
            self._open(mark)
        elif mark in "}]":
            self._close()
        elif mark == ":":
            self._colon()
        elif self.levels[-1].want is _Want.COMMA:
            level = self.levels[-1]
            level.want = _Want.KEY if level.is_object else _Want.VALUE

    def _start(self, mark: str | None) -> None:
        if mark in ("{", ","):  # Avalon: a comma in place of the first brace
            self._open("{")
        elif mark == "[":
            self._open("[")
        else:
            raise MalformedReplyError("no object and no array")

    def _string(self, string: str) -> None:
        level = self.levels[-1]
        if level.is_object and level.want in (_Want.KEY, _Want.COMMA):
            self._separate(level)
            self.parts.append(string)
            level.want = _Want.COLON
        else:
            self._value(string)

    def _value(self, text: str) -> None:
        level = self.levels[-1]
        self._place(level, text)
        self.parts.append(text)
        self._member_done(level)

    def _open(self, bracket: str) -> None:
        if len(self.levels) >= DEPTH_LIMIT:
            raise MalformedReplyError(f"nested deeper than {DEPTH_LIMIT}")
        if self.levels:
            self._place(self.levels[-1], bracket)
        is_object = bracket == "{"
        self.levels.append(
            _Level(len(self.parts), is_object, _Want.KEY if is_object else _Want.VALUE, len(self.parts) + 1)
        )
        self.parts.append(bracket)

    def _close(self) -> None:
        """Close the innermost container, whatever bracket was used, without its torn member."""
        level = self.levels.pop()
        del self.parts[level.whole_until :]
        self.parts.append("}" if level.is_object else "]")
        if self.levels:
            self._member_done(self.levels[-1])

    def _colon(self) -> None:
        level = self.levels[-1]
        if level.is_object and level.want is _Want.COLON:
            self.parts.append(":")
            level.want = _Want.VALUE
        elif not level.is_object and level.members == 1 and self.parts[-1].startswith('"'):
            # Whatsminer API 2.0.4: "error_code":["110":"2024-01-01"]
            self.parts[level.opened_at] = "{"
            self.parts.append(":")
            level.is_object, level.want, level.whole_until = True, _Want.VALUE, level.opened_at + 1
        else:
            raise MalformedReplyError(f"a colon after {''.join(self.parts[-3:])!r}")

    def _place(self, level: _Level, text: str) -> None:
        """Make room for a value; raises MalformedReplyError where only a key may stand."""
        if not level.is_object:
            self._separate(level)
        elif level.want is not _Want.VALUE:
            raise MalformedReplyError(f"{text[:20]!r} where a key was expected")

    def _separate(self, level: _Level) -> None:
        if level.members:
            self.parts.append(",")

    def _member_done(self, level: _Level) -> None:
        level.members += 1
        level.want = _Want.COMMA
        level.whole_until = len(self.parts)


def _clean(string: str) -> str:
    """Escape what may not stand raw in a JSON string: control characters and stray backslashes."""
    return _IN_STRING.sub(_escape, string) if _BREAKS_STRING.search(string) else string


def _escape(found: re.Match[str]) -> str:
    text = found.group()
    if len(text) > 1:
        return text
    return "\\\\" if text == "\\" else f"\\u{ord(text):04x}"
