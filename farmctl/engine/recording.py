"""Each cycle's inputs as bytes, so that any day can be replayed: key frames now and then, changes in between.

A frame is zlib(u32 length of head, head as JSON, array buffers in the order of the head's directory).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from farmctl.core.fleet import CircuitTree, FleetTable, FleetView, LadderBook, MeterSample, SiteRules
from farmctl.core.grid import LinkStatus, SignalMessage
from farmctl.core.model import Ladder, Override, Quality

KEY_EVERY = 600
"""Cycles between key frames: ten minutes at one a second."""

_Array = NDArray[Any]
_COLUMNS = tuple(column.name for column in fields(FleetTable))
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statics:
    ladders: tuple[Ladder, ...]
    groups: tuple[str, ...]
    node_names: tuple[str, ...]
    rules: SiteRules


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    name: str
    dtype: str
    changed: int | None
    """Rows that follow as (index, value); None: the whole array follows."""
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    now_ms: int
    statics: _Statics | None
    """Given in key frames."""
    meter_at_ms: int
    meter_quality: Quality
    links: tuple[LinkStatus, ...]
    inbox: tuple[SignalMessage, ...]
    overrides: tuple[Override, ...]
    stop_all: bool
    maintenance: bool
    armed: bool
    may_raise: bool
    seed: int
    columns: tuple[_Column, ...]
    supply_gone: bool = False


_HEAD = TypeAdapter(_Head)


class Recorder:
    """Encodes one view after another; a frame says only what changed since the last."""

    def __init__(self) -> None:
        """The first frame is a key frame."""
        self._last: dict[str, _Array] = {}
        self._statics: tuple[object, ...] = ()
        self._since_key = KEY_EVERY
        self.was_key = False
        """The last frame can be read without any before it."""

    def encode(self, view: FleetView, now_ms: int) -> bytes:
        """One frame of inputs."""
        statics = (view.ladders, view.groups, view.circuits.names, view.rules, len(view.table))
        same = len(statics) == len(self._statics) and all(
            a is b or a == b for a, b in zip(statics, self._statics, strict=True)
        )
        key = not same or self._since_key >= KEY_EVERY
        self._since_key = 0 if key else self._since_key + 1
        self.was_key = key
        self._statics = statics
        columns: list[_Column] = []
        buffers: list[bytes] = []
        for name, array in _arrays(view):
            column, data = _difference(name, array, None if key else self._last[name])
            columns.append(column)
            buffers += data
            self._last[name] = array
        head = _HEAD.dump_json(_head(view, now_ms, tuple(columns), key=key))
        return zlib.compress(b"".join([_LENGTH.pack(len(head)), head, *buffers]), 1)


class Player:
    """Decodes frames in order."""

    def __init__(self) -> None:
        """Nothing is known before the first key frame."""
        self._arrays: dict[str, _Array] = {}
        self._statics: _Statics | None = None
        self._book = LadderBook.of([])

    def decode(self, frame: bytes) -> tuple[FleetView, int] | None:
        """The view and its time; None for a frame of changes before any key frame."""
        data = zlib.decompress(frame)
        start = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        head = _HEAD.validate_json(data[_LENGTH.size : start])
        if head.statics is not None:
            self._statics = head.statics
            self._book = LadderBook.of(head.statics.ladders)
        if self._statics is None:
            return None
        for column in head.columns:
            start = self._read(column, data, start)
        return self._view(self._statics, head), head.now_ms

    def _read(self, column: _Column, data: bytes, start: int) -> int:
        dtype = np.dtype(column.dtype)
        if column.changed is None:
            array = np.frombuffer(data, dtype=dtype, count=column.rows, offset=start).copy()
            self._arrays[column.name] = array
            return start + column.rows * dtype.itemsize
        if column.changed:
            index = np.frombuffer(data, dtype=np.int32, count=column.changed, offset=start)
            start += index.nbytes
            values = np.frombuffer(data, dtype=dtype, count=column.changed, offset=start)
            start += values.nbytes
            array = self._arrays[column.name].copy()
            array[index] = values
            self._arrays[column.name] = array
        return start

    def _view(self, statics: _Statics, head: _Head) -> FleetView:
        arrays = self._arrays
        return FleetView(
            table=FleetTable(**{name: arrays[f"table.{name}"] for name in _COLUMNS}),
            ladders=self._book,
            groups=statics.groups,
            circuits=CircuitTree(
                names=statics.node_names,
                parent=arrays["circuit.parent"],
                rating_w=arrays["circuit.rating_w"],
                meter_w=arrays["circuit.meter_w"],
                metered=arrays.get("circuit.metered"),
                phase=arrays.get("circuit.phase"),
                imbalance_w=arrays.get("circuit.imbalance_w"),
            ),
            rules=statics.rules,
            meter=MeterSample(
                power_w=float(arrays["meter"][0]),
                at_ms=head.meter_at_ms,
                quality=head.meter_quality,
                supply_gone=head.supply_gone,
            ),
            links=head.links,
            inbox=head.inbox,
            overrides=head.overrides,
            stop_all=head.stop_all,
            maintenance=head.maintenance,
            armed=head.armed,
            may_raise=head.may_raise,
            seed=head.seed,
        )


def _head(view: FleetView, now_ms: int, columns: tuple[_Column, ...], *, key: bool) -> _Head:
    statics = _Statics(
        ladders=view.ladders.ladders, groups=view.groups, node_names=view.circuits.names, rules=view.rules
    )
    return _Head(
        now_ms=now_ms,
        statics=statics if key else None,
        meter_at_ms=view.meter.at_ms,
        meter_quality=view.meter.quality,
        links=view.links,
        inbox=view.inbox,
        overrides=view.overrides,
        stop_all=view.stop_all,
        maintenance=view.maintenance,
        armed=view.armed,
        may_raise=view.may_raise,
        seed=view.seed,
        columns=columns,
        supply_gone=view.meter.supply_gone,
    )


def _arrays(view: FleetView) -> Iterator[tuple[str, _Array]]:
    for name in _COLUMNS:
        yield f"table.{name}", getattr(view.table, name)
    yield "circuit.parent", view.circuits.parent
    yield "circuit.rating_w", view.circuits.rating_w
    yield "circuit.meter_w", view.circuits.meter_w
    for name in ("metered", "phase", "imbalance_w"):
        column = getattr(view.circuits, name)
        if column is not None:
            yield f"circuit.{name}", column
    yield "meter", np.array([view.meter.power_w])


def _difference(name: str, array: _Array, before: _Array | None) -> tuple[_Column, list[bytes]]:
    dtype, rows = array.dtype.str, len(array)
    if before is None:
        return _Column(name=name, dtype=dtype, changed=None, rows=rows), [array.tobytes()]
    if array is before:
        return _Column(name=name, dtype=dtype, changed=0, rows=rows), [b"", b""]
    nan = array.dtype.kind == "f"
    differs = ~((array == before) | (np.isnan(array) & np.isnan(before))) if nan else array != before
    index = np.flatnonzero(differs)
    column = _Column(name=name, dtype=dtype, changed=len(index), rows=rows)
    return column, [index.astype(np.int32).tobytes(), array[index].tobytes()]
