"""What is seen, as a file: the listed miners as CSV or JSON, the rows of a screen as JSON, the screen as SVG."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np

from farmctl.core.units import MS_PER_S, IntColumn
from farmctl.ports.feed import FleetImage
from farmctl.tui.columns import Column, word_of

SCHEMA = "farmctl/v1"
Rows = Sequence[Mapping[str, object]]


def write_csv(image: FleetImage, rows: IntColumn, columns: Sequence[Column], folder: Path | None = None) -> Path:
    """Write these rows, every column, unknown as an empty field; the file's name holds the revision.

    Raises OSError, also where the file exists: nothing is overwritten.
    """
    path, file = _opened(image, "miners", "csv", folder)
    with file:
        writer = csv.writer(file)
        writer.writerow([column.key for column in columns])
        for told in _rows(image, rows, columns):
            writer.writerow(["" if value is None else _spelled(value) for value in told.values()])
    return path


def write_json(image: FleetImage, rows: IntColumn, columns: Sequence[Column], folder: Path | None = None) -> Path:
    """Write these rows, every column, unknown as null. Raises OSError, also where the file exists."""
    return write_rows(image, "miners", _rows(image, rows, columns), folder)


def write_rows(image: FleetImage, page: str, rows: Rows, folder: Path | None = None) -> Path:
    """Write the rows of a screen as one JSON object. Raises OSError, also where the file exists."""
    path, file = _opened(image, page, "json", folder)
    at = datetime.fromtimestamp(image.at_ms / MS_PER_S, tz=UTC).isoformat(timespec="milliseconds")
    head = {"schema": SCHEMA, "site": image.strip.site, "rev": image.rev, "at": at.replace("+00:00", "Z")}
    with file:
        json.dump({**head, "screen": page, "n": len(rows), "rows": list(rows)}, file, indent=1)
        file.write("\n")
    return path


def write_svg(image: FleetImage, page: str, svg: str, folder: Path | None = None) -> Path:
    """Write the screen as a picture. Raises OSError, also where the file exists."""
    path, file = _opened(image, page, "svg", folder)
    with file:
        file.write(svg)
    return path


def _opened(image: FleetImage, what: str, ending: str, folder: Path | None) -> tuple[Path, TextIO]:
    """A new file; a site's name is no path."""
    site = re.sub(r"[^A-Za-z0-9_.-]", "_", image.strip.site)
    path = (folder or Path.cwd()) / f"{what}-{site}-{image.rev}.{ending}"
    return path, path.open("x", encoding="utf-8", newline="" if ending == "csv" else None)


def _rows(image: FleetImage, rows: IntColumn, columns: Sequence[Column]) -> list[dict[str, float | str | None]]:
    numbers = [None if column.number is None else column.number(image) for column in columns]
    return [
        {
            column.key: _text(column, image, row) if values is None else _number(float(values[row]))
            for column, values in zip(columns, numbers, strict=True)
        }
        for row in rows.tolist()
    ]


def _text(column: Column, image: FleetImage, row: int) -> str:
    return word_of(image, column.word, row) if column.word else image.ids[row]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:g}")


def _spelled(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
