"""On which line every key of a TOML text stands; tomllib gives values without places.

The text must already have passed tomllib: the scanner follows well-formed TOML and checks nothing itself.
"""

from __future__ import annotations

import re
import tomllib

from farmctl.config.fault import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n,]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_VALUE = re.compile(r"[^,\]}\n#]+")
_STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\])*"'),
    re.compile(r"'[^']*'"),
)
"""Longest opening first."""


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line (from 1) of every table, key and list item of a text that tomllib has accepted."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


class _Scanner:
    """A walk over the text that writes down where things begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}
        self._line = 1
        self._counted_to = 0

    def document(self) -> None:
        """Walk over all tables and keys."""
        table: KeyPath = ()
        while self._skip_blank():
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> KeyPath:
        line = self._here()
        is_list = self.text.startswith("[[", self.at)
        self.at += 2 if is_list else 1
        *above, last = self._dotted_key()
        self.at = self.text.index("]", self.at) + (2 if is_list else 1)
        path: KeyPath = ()
        for part in above:
            path = self._newest((*path, part))
        path = (*path, last)
        self.lines.setdefault(path, line)
        if not is_list:
            return path
        self._counts[path] = self._counts.get(path, -1) + 1
        path = self._newest(path)
        self.lines[path] = line
        return path

    def _newest(self, path: KeyPath) -> KeyPath:
        number = self._counts.get(path)
        return path if number is None else (*path, number)

    def _pair(self, table: KeyPath) -> None:
        line = self._here()
        path = table
        for part in self._dotted_key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        self.lines.setdefault(path, self._here())
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self.at += 1
            number = 0
            while self._skip_blank() and self.text[self.at] != "]":
                self._value((*path, number))
                number += 1
            self.at += 1
        elif opening == "{":
            self.at += 1
            while self._skip_blank() and self.text[self.at] != "}":
                self._pair(path)
            self.at += 1
        elif (end := self._string_end()) is not None:
            self.at = end
        else:
            plain = _PLAIN_VALUE.match(self.text, self.at)
            self.at = plain.end() if plain else self.at + 1

    def _dotted_key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip_blank()
            end = self._string_end()
            if end is None:
                bare = _BARE_KEY.match(self.text, self.at)
                end = bare.end() if bare else self.at + 1
                parts.append(self.text[self.at : end])
            else:
                parts.append(str(tomllib.loads(f"key = {self.text[self.at : end]}")["key"]))
            self.at = end
            self._skip_blank()
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _string_end(self) -> int | None:
        for pattern in _STRINGS:
            if found := pattern.match(self.text, self.at):
                return found.end()
        return None

    def _skip_blank(self) -> bool:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at < len(self.text)

    def _here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line
