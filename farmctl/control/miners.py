"""Windows on the fleet: filtered, sorted, cut into pages that stay true while values move."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

import numpy as np

from farmctl.control import filter as filters
from farmctl.control.filter import Columns
from farmctl.control.wire import ApiError, Json
from farmctl.core.units import FloatColumn, IdColumn, IntColumn, MaskColumn

DEFAULT_LIMIT = 100
MOST = 10_000
SHOWN = (
    "id", "cont", "rack", "slot", "model", "fw", "circuit", "state", "want", "w", "want_w", "ths", "jth", "t",
    "age", "tier", "protected", "reason", "margin", "fan", "pool", "fault", "since", "phase",
)  # fmt: skip
"""Fields of a listed miner; append-only."""
_DECIMALS = {"w": 0, "want_w": 0, "tier": 0, "fan": 0, "since": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which rows are asked for, in which order, and how many."""

    terms: tuple[filters.Term, ...]
    sort: str
    descending: bool
    limit: int
    after: tuple[str | float | None, str] | None
    """Sort value and id of the last row that the client has."""


def window_of(text: str, sort: str, limit: int, cursor: str) -> Window:
    """Read a request; `sort` is a field, with `-` before it for the greatest first. Raises ApiError 400."""
    try:
        terms = filters.parse(text)
    except filters.FilterError as error:
        raise ApiError(400, str(error), field="filter") from error
    return Window(
        terms=terms,
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        limit=limit,
        after=_read_cursor(cursor) if cursor else None,
    )


def page(columns: Columns, window: Window) -> Json:
    """One page: `rows`, how many there are of them in `total`, and the cursor of the next page or null."""
    ids = columns.ids
    chosen = select(columns, window.terms)
    order_by = _order_by(columns, window)
    rest = chosen if window.after is None else chosen & order_by.behind(ids, window.after)
    rows = np.flatnonzero(rest)
    order = rows[order_by.order(rows, ids)][: window.limit]
    more = len(rows) > len(order)
    return {
        "total": int(chosen.sum()),
        "n": len(order),
        "rows": [listed(columns, int(row)) for row in order],
        "cursor": _cursor(order_by.value(int(order[-1])), str(ids[order[-1]])) if more else None,
    }


def select(columns: Columns, terms: tuple[filters.Term, ...]) -> MaskColumn:
    """Rows that fulfil a filter, shape (rows,). Raises ApiError 400."""
    try:
        return filters.matching(terms, columns)
    except filters.FilterError as error:
        raise ApiError(400, str(error), field="filter") from error


def listed(columns: Columns, row: int) -> dict[str, object]:
    """One miner as lists show it; null is unknown."""
    return {name: _cell(columns, name, row) for name in SHOWN}


def row_of(ids: IdColumn, miner: str) -> int:
    """Row of a miner; the ids are sorted. Raises ApiError 404."""
    row = int(np.searchsorted(ids, miner))
    if row >= len(ids) or str(ids[row]) != miner:
        raise ApiError(404, f"miner {miner}: no such miner", field="id", hint="farmctl miners list -o name")
    return row


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _ByNumber:
    """Order by a number, unknown last, ties by id."""

    values: FloatColumn
    descending: bool

    def order(self, rows: IntColumn, ids: IdColumn) -> IntColumn:
        key = -self.values[rows] if self.descending else self.values[rows]
        return np.lexsort((ids[rows], np.nan_to_num(key, nan=np.inf)))

    def value(self, row: int) -> float | None:
        return None if np.isnan(self.values[row]) else float(self.values[row])

    def behind(self, ids: IdColumn, after: tuple[str | float | None, str]) -> MaskColumn:
        value, miner = after
        unknown = np.isnan(self.values)
        if value is None:
            return np.asarray(unknown & (ids > miner), dtype=np.bool_)
        if isinstance(value, str):
            raise _other_order()
        past = self.values < value if self.descending else self.values > value
        return np.asarray(past | unknown | ((self.values == value) & (ids > miner)), dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _ByWord:
    """Order by a word, ties by id."""

    values: IdColumn
    descending: bool

    def order(self, rows: IntColumn, ids: IdColumn) -> IntColumn:
        _, key = np.unique(self.values[rows], return_inverse=True)
        return np.lexsort((ids[rows], -key if self.descending else key))

    def value(self, row: int) -> str:
        return str(self.values[row])

    def behind(self, ids: IdColumn, after: tuple[str | float | None, str]) -> MaskColumn:
        value, miner = after
        if not isinstance(value, str):
            raise _other_order()
        past = self.values < value if self.descending else self.values > value
        return np.asarray(past | ((self.values == value) & (ids > miner)), dtype=np.bool_)


def _order_by(columns: Columns, window: Window) -> _ByNumber | _ByWord:
    if window.sort in columns.numbers:
        return _ByNumber(values=columns.numbers[window.sort], descending=window.descending)
    if window.sort in columns.words:
        return _ByWord(values=columns.words[window.sort], descending=window.descending)
    raise ApiError(400, f"sort={window.sort}: expected one of {', '.join(columns.names)}", field="sort")


def _other_order() -> ApiError:
    return ApiError(400, "cursor: it belongs to another sort order", field="cursor")


def _cell(columns: Columns, name: str, row: int) -> str | float | None:
    if name in columns.words:
        return str(columns.words[name][row])
    value = float(columns.numbers[name][row])
    return None if np.isnan(value) else round(value, _DECIMALS.get(name, 1))


def _cursor(value: str | float | None, miner: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, miner]).encode()).decode()


def _read_cursor(text: str) -> tuple[str | float | None, str]:
    try:
        read = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (binascii.Error, ValueError):
        read = None
    match read:
        case [(str() | float() | int() | None) as value, str() as miner]:
            return value, miner
        case _:
            raise ApiError(400, "cursor: expected one from the last answer", field="cursor")
