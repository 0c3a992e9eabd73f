"""The one filter grammar: `state=fault model~S21 t>85 cont=C041 !pool=eu1`; all terms must hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np

from farmctl.core.units import FloatColumn, IdColumn, MaskColumn
from farmctl.errors import RefusedError

_TERM = re.compile(r'(!?)([a-z_]+)(!=|>=|<=|=|~|>|<)("[^"]*"|[^\s"]+)', re.IGNORECASE)
_WORD = re.compile(r'!?[^\s"=~<>!]+')
_RANGE = re.compile(r"(\D*)(\d+)\.\.(\D*)(\d+)")
_GLOB = re.compile(r"[*?\[]")
MAX_CHARS = 2_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Columns:
    """What a filter may name: field -> column, shape (rows,)."""

    words: Mapping[str, IdColumn]
    """Text; `id` is always there, sorted ascending."""
    numbers: Mapping[str, FloatColumn]
    """NaN is unknown."""

    @property
    def ids(self) -> IdColumn:
        """The miners."""
        return self.words["id"]

    @property
    def names(self) -> tuple[str, ...]:
        """Every field."""
        return tuple(sorted({*self.words, *self.numbers}))


class FilterError(RefusedError):
    """A filter that cannot be read; says at which term, and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition of a filter."""

    negated: bool
    field: str
    sign: str
    """One of `=`, `~`, `>`, `>=`, `<`, `<=`."""
    value: str

    @property
    def text(self) -> str:
        """As it was written."""
        return f"{'!' if self.negated else ''}{self.field}{self.sign}{self.value}"


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a filter, none for an empty text. A bare word is an id. Raises FilterError."""
    if len(text) > MAX_CHARS:
        message = f"filter: expected at most {MAX_CHARS} characters, not {len(text)}"
        raise FilterError(message)
    terms: list[Term] = []
    place, rest = 0, text
    while rest := rest.lstrip():
        place = len(text) - len(rest)
        match = _TERM.match(rest) or _WORD.match(rest)
        if match is None or not (len(rest) == match.end() or rest[match.end()].isspace()):
            shown = rest.split(maxsplit=1)[0]
            message = f"filter at character {place + 1}: {shown!r}: expected FIELD=VALUE, also with ~ > >= < <= or !"
            raise FilterError(message)
        terms.append(_term(match))
        rest = rest[match.end() :]
    return tuple(terms)


def matching(terms: tuple[Term, ...], columns: Columns) -> MaskColumn:
    """Which rows fulfil every term, shape (rows,). An unknown number fulfils no comparison, so its `!` holds.

    Raises FilterError for an unknown field, and for a sign or value that does not suit its column.
    """
    mask = np.ones(len(columns.ids), dtype=np.bool_)
    for term in terms:
        if term.field in columns.numbers:
            hit = _number(term, columns.numbers[term.field])
        elif term.field in columns.words:
            hit = _word(term, columns.words[term.field])
        else:
            raise FilterError(_unknown_field(term, columns))
        mask &= ~hit if term.negated else hit
    return mask


def _term(match: re.Match[str]) -> Term:
    if match.re is _WORD:
        word = match[0]
        return Term(negated=word.startswith("!"), field="id", sign="=", value=word.lstrip("!"))
    bang, field, sign, value = match.groups()
    negated = bool(bang) != (sign == "!=")
    return Term(negated=negated, field=field.lower(), sign="=" if sign == "!=" else sign, value=value.strip('"'))


def _unknown_field(term: Term, columns: Columns) -> str:
    near = get_close_matches(term.field, columns.names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(columns.names)}"
    return f"filter {term.text!r}: no field {term.field!r}; {hint}"


def _number(term: Term, column: FloatColumn) -> MaskColumn:
    if term.sign == "~":
        message = f"filter {term.text!r}: {term.field} is a number; expected = > >= < or <="
        raise FilterError(message)
    try:
        limits = [float(part) for part in term.value.split("..")] if term.sign == "=" else [float(term.value)]
    except ValueError:
        message = f"filter {term.text!r}: {term.field} is a number; expected one, such as {term.field}>85"
        raise FilterError(message) from None
    low, high = limits[0], limits[-1]
    match term.sign:
        case ">":
            hit = column > low
        case ">=":
            hit = column >= low
        case "<":
            hit = column < low
        case "<=":
            hit = column <= low
        case _:
            hit = (column >= low) & (column <= high)
    return np.asarray(hit, dtype=np.bool_)


def _word(term: Term, column: IdColumn) -> MaskColumn:
    """Words are compared once each, without regard to case; `=` takes a list, globs and ranges."""
    if term.sign not in ("=", "~"):
        message = f"filter {term.text!r}: {term.field} is a word; expected = or ~"
        raise FilterError(message)
    words, index = np.unique(column, return_inverse=True)
    hits = np.fromiter((_word_fits(term, str(word)) for word in words), dtype=np.bool_, count=len(words))
    return np.asarray(hits[index], dtype=np.bool_)


def _word_fits(term: Term, word: str) -> bool:
    word, value = word.casefold(), term.value.casefold()
    if term.sign == "~":
        return value in word
    return any(_alternative_fits(part, word) for part in value.split(","))


def _alternative_fits(part: str, word: str) -> bool:
    if part == word:
        return True
    if bounds := _RANGE.fullmatch(part):
        place = re.fullmatch(r"(\D*)(\d+)", word)
        same = place is not None and place[1] == bounds[1] and bounds[3] in (bounds[1], "")
        return same and place is not None and int(bounds[2]) <= int(place[2]) <= int(bounds[4])
    return bool(_GLOB.search(part)) and fnmatchcase(word, part)
