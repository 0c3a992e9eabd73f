"""The settlement series: site power at one second and its parts, packed into journal records.

A page is `FSP1`, little-endian u32 samples, samples of parts, parts, u16 columns of the site and figures of a part,
then zlib of three int64 matrices (columns x samples; the parts' times; figures x parts x their samples), each
differenced along time and with its bytes transposed.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from farmctl.core.model import Quality
from farmctl.core.units import IntColumn
from farmctl.errors import StoreError

SITE_COLUMNS = (
    "at_ms",
    "meter_at_ms",
    "meter_w",
    "quality",
    "device_w",
    "could_w",
    "target_w",
    "ceiling_w",
    "hash_ghs",
    "full_ghs",
    "temperature_dc",
    "hashing",
    "throttled",
    "curtailed",
    "booting",
    "fault",
    "offline",
)
"""Cycle's time; meter's time, W and `QUALITIES` code; sum of the devices, W; what the site would draw uncurtailed, W at
the meter; target and effective limit, W; hash rate and what it could be, GH/s; mean of the hottest chips, 0.1 deg C;
miners in each state. Append-only: a reader of an old page finds fewer rows."""
UNKNOWN = -(2**53)
QUALITIES = (Quality.OK, Quality.ESTIMATED, Quality.BAD, Quality.MISSING)
SETTLEMENT_FACTS = "settlement"
"""`what` of the CONFIG record that series refer to by its number."""

_HEAD = struct.Struct("<4sIIIHH")
_MAGIC = b"FSP1"
_MOST = 1 << 28
"""Bytes that a page may unpack to: a damaged length must not take the reader's memory."""

IntMatrix = NDArray[np.int64]


class SitePart(IntEnum):
    """Figures of a part, which is one owner's share of a container; append-only."""

    POWER_W = 0
    """Sum of its devices."""
    HASH_GHS = 1
    METER_W = 2
    """Its share of the container's own meter, by device power; unknown where the container has none."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeriesPage:
    """Samples of a stretch, in order of time; `UNKNOWN` where nothing is known."""

    site: IntMatrix
    """Shape (len(SITE_COLUMNS), samples)."""
    parts_at_ms: IntColumn
    """Shape (part samples,)."""
    parts: IntMatrix
    """Shape (len(SitePart), parts, part samples)."""

    def column(self, name: str) -> IntColumn:
        """One row of `site`; all unknown where the page is older than the column."""
        row = SITE_COLUMNS.index(name)
        if row >= len(self.site):
            return np.full(self.site.shape[1], UNKNOWN, dtype=np.int64)
        found: IntColumn = self.site[row]
        return found


def pack(page: SeriesPage) -> bytes:
    """A page as a journal record carries it."""
    columns, samples = page.site.shape
    figures, parts, part_samples = page.parts.shape
    flat = page.parts.reshape(figures * parts, part_samples)
    body = b"".join(_squeezed(matrix) for matrix in (page.site, page.parts_at_ms[None, :], flat))
    return _HEAD.pack(_MAGIC, samples, part_samples, parts, columns, figures) + zlib.compress(body, 6)


def unpack(data: bytes) -> SeriesPage:
    """The page of a record. Raises StoreError for bytes that are none."""
    try:
        magic, samples, part_samples, parts, columns, figures = _HEAD.unpack_from(data)
        room = zlib.decompressobj()
        body = room.decompress(data[_HEAD.size :], _MOST)
    except (struct.error, zlib.error) as error:
        raise StoreError(f"a series record is unreadable: {error}") from error
    cut, times = columns * samples * 8, part_samples * 8
    if magic != _MAGIC or columns < 1 or cut + times * (1 + figures * parts) != len(body):
        raise StoreError("a series record is unreadable: expected a page FSP1 of the stated size")
    return SeriesPage(
        site=_unsqueezed(body[:cut], columns, samples),
        parts_at_ms=_unsqueezed(body[cut : cut + times], 1, part_samples)[0],
        parts=_unsqueezed(body[cut + times :], figures * parts, part_samples).reshape(figures, parts, part_samples),
    )


def _squeezed(matrix: IntMatrix) -> bytes:
    steps = np.diff(matrix, axis=1, prepend=np.int64(0)).astype("<i8")
    return np.ascontiguousarray(steps.reshape(-1, 1).view(np.uint8).T).tobytes()


def _unsqueezed(data: bytes, rows: int, samples: int) -> IntMatrix:
    octets = np.frombuffer(data, dtype=np.uint8).reshape(8, rows * samples)
    steps = np.ascontiguousarray(octets.T).view("<i8").reshape(rows, samples)
    whole: IntMatrix = np.cumsum(steps, axis=1, dtype=np.int64)
    return whole
