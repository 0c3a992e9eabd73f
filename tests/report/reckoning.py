"""A second opinion: an event recomputed from the raw file in plain Python, sharing no code with the report."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

Points = list[tuple[int, float]]


def rows(path: Path, kind: str) -> list[tuple[int, int, dict[str, Any], bytes]]:
    """(seq, ms, body, blob) of one kind of record."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT seq, at_ms, body, blob FROM journal WHERE kind = ? ORDER BY seq", (kind,))
        return [(seq, at_ms, json.loads(body), blob) for seq, at_ms, body, blob in found]


def meter(path: Path) -> Points:
    """What the meter showed, by its own clock, where its quality is OK (code 0)."""
    seen: dict[int, float] = {}
    for *_, blob in rows(path, "series"):
        _, samples, _, _, columns, _ = struct.unpack_from("<4sIIIHH", blob)
        data = zlib.decompress(blob[20:])
        octets = columns * samples
        matrix: list[list[int]] = []
        for column in range(columns):
            value, line = 0, []
            for sample in range(samples):
                raw = bytes(data[byte * octets + column * samples + sample] for byte in range(8))
                value += int.from_bytes(raw, "little", signed=True)
                line.append(value)
            matrix.append(line)
            if column == 3:
                break
        seen |= {at: float(w) for at, w, quality in zip(matrix[1], matrix[2], matrix[3], strict=True) if quality == 0}
    return sorted(seen.items())


def event(path: Path, event_id: str) -> dict[str, Any]:
    """The event as the grid stated it, with when it began and ended by the controller's word."""
    stated: dict[str, Any] = {}
    for *_, body, _ in rows(path, "signal"):
        message = body["message"]
        for each in message.get("events", [message["event"]] if "event" in message else []):
            if each["event_id"] == event_id:
                stated = each
    moves = [(at_ms, body["state"]) for _, at_ms, body, _ in rows(path, "event") if body["event"] == event_id]
    start_ms = next(at_ms for at_ms, state in moves if state == "ACTIVE")
    end_ms = next(at_ms for at_ms, state in moves if state in ("COMPLETED", "FAILED", "SUPERSEDED", "CANCELLED"))
    return {**stated, "start_ms": start_ms, "end_ms": end_ms}


def at(points: Points, at_ms: int) -> float:
    """A value between two samples."""
    for (left_ms, left_w), (right_ms, right_w) in pairwise(points):
        if left_ms <= at_ms <= right_ms:
            return left_w + (right_w - left_w) * (at_ms - left_ms) / (right_ms - left_ms)
    raise ValueError(at_ms)


def cut(points: Points, from_ms: int, to_ms: int) -> Points:
    """The samples of a stretch with its ends, where samples are on both sides of them."""
    inner = [point for point in points if from_ms < point[0] < to_ms]
    head = [(from_ms, at(points, from_ms))] if points[0][0] <= from_ms else []
    tail = [(to_ms, at(points, to_ms))] if points[-1][0] >= to_ms else []
    return [*head, *inner, *tail]


def watt_hours(points: Points) -> float:
    """Energy by trapezoids."""
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)) / 3_600_000


def mean_w(points: Points) -> float:
    """Mean power of a stretch."""
    return watt_hours(points) * 3_600_000 / (points[-1][0] - points[0][0])
