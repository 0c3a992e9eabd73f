"""A shard's live columns as one page: packed by the worker that polls it, put into the controller's columns.

Exact floats, for the controller must decide the same as if it had polled the miners itself.  Rows are those of the
shard in the order of their ids; the ids themselves are not sent, only a sum that proves both sides mean the same.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

import numpy as np
import orjson
from pydantic import TypeAdapter

from farmctl.core.fleet import NO_LADDER, FleetTable
from farmctl.core.model import Ladder, MinerId
from farmctl.core.units import IntColumn
from farmctl.engine.fleet import FleetKeeper
from farmctl.errors import MalformedReplyError

CODEC = 1
LEVEL = 1
_SEATED = frozenset({"miner_id", "ladder", "node", "protected", "maintained", "tier", "group"})
"""Columns that the controller knows from the inventory and the operators."""
LIVE = tuple(column.name for column in fields(FleetTable) if column.name not in _SEATED)
_LADDERS: TypeAdapter[tuple[Ladder, ...]] = TypeAdapter(tuple[Ladder, ...])


def rows_of(keeper: FleetKeeper, shard_of: Mapping[MinerId, str]) -> dict[str, IntColumn]:
    """Rows of every shard in the order of their ids: what a page means, for the worker and for the controller."""
    found: dict[str, list[int]] = defaultdict(list)
    for row in range(len(keeper.table)):
        found[shard_of[keeper.seat_of(row).row.miner_id]].append(row)
    return {shard: np.array(rows, dtype=np.int64) for shard, rows in found.items()}


def pack(keeper: FleetKeeper, rows: IntColumn) -> bytes:
    """The page of these rows; O(rows), no Python loop over rows."""
    table = keeper.table
    ladder = table.ladder[rows]
    used = np.unique(ladder[ladder != NO_LADDER])
    place = np.full(len(keeper.book.ladders) + 1, NO_LADDER, dtype=np.int64)
    place[used] = np.arange(len(used))
    ladders = [asdict(keeper.book.ladders[number]) for number in used.tolist()]
    head = orjson.dumps({"rows": len(rows), "sum": sum_of(table, rows), "ladders": ladders})
    parts = [len(head).to_bytes(4, "little"), head, place[ladder].astype("<i8").tobytes()]
    parts += [np.ascontiguousarray(getattr(table, name)[rows]).tobytes() for name in LIVE]
    return zlib.compress(b"".join(parts), LEVEL)


def unpack(keeper: FleetKeeper, rows: IntColumn, packed: bytes) -> None:
    """Put a page into the columns. Raises MalformedReplyError where it is of other miners, or is none."""
    try:
        raw = zlib.decompress(packed)
        at = 4 + int.from_bytes(raw[:4], "little")
        head = orjson.loads(raw[4:at])
        ladders = _LADDERS.validate_python(head["ladders"])
        if head["rows"] != len(rows) or head["sum"] != sum_of(keeper.table, rows):
            raise MalformedReplyError("a live page is of other miners: the inventory was changed, restart both")
        ladder = np.frombuffer(raw, dtype="<i8", count=len(rows), offset=at)
        at += ladder.nbytes
        columns = {}
        for name in LIVE:
            dtype = getattr(keeper.table, name).dtype
            columns[name] = np.frombuffer(raw, dtype=dtype, count=len(rows), offset=at)
            at += columns[name].nbytes
    except (ValueError, KeyError, zlib.error) as error:
        raise MalformedReplyError(f"a live page is unreadable: {error}") from error
    _learn(keeper, rows, ladder, ladders)
    for name, values in columns.items():
        column = getattr(keeper.table, name)
        # What could not even be handed to a worker was refused here, and the page does not know of it.
        column[rows] = np.maximum(column[rows], values) if name == "refused_ms" else values


def _learn(keeper: FleetKeeper, rows: IntColumn, ladder: IntColumn, ladders: Sequence[Ladder]) -> None:
    """Ladders that devices publish; only the rows whose ladder is another one cost anything."""
    book = keeper.book.ladders
    known = np.array([next((n for n, each in enumerate(book) if each == one), -2) for one in ladders] + [NO_LADDER])
    for place in np.flatnonzero(known[ladder] != keeper.table.ladder[rows]).tolist():
        if ladder[place] != NO_LADDER:
            keeper.learn_ladder(int(rows[place]), ladders[ladder[place]])


def sum_of(table: FleetTable, rows: IntColumn) -> int:
    """Proves that both sides mean the same miners in the same order."""
    return zlib.crc32(table.miner_id[rows].tobytes())
