"""What is listed, as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from farmctl.core.units import IntColumn
from farmctl.ports.feed import FleetImage
from farmctl.tui.columns import Column, word_of


def write_csv(image: FleetImage, rows: IntColumn, columns: Sequence[Column], folder: Path | None = None) -> Path:
    """Write these rows, every column, unknown as an empty field; the file's name holds the revision.

    Raises OSError, also where the file exists: nothing is overwritten.
    """
    path = (folder or Path.cwd()) / f"miners-{image.strip.site}-{image.rev}.csv"
    numbers = [None if column.number is None else column.number(image) for column in columns]
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.key for column in columns])
        for row in rows.tolist():
            writer.writerow(
                [
                    _text(column, image, row) if values is None else _number(float(values[row]))
                    for column, values in zip(columns, numbers, strict=True)
                ]
            )
    return path


def _text(column: Column, image: FleetImage, row: int) -> str:
    return word_of(image, column.word, row) if column.word else image.ids[row]


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:g}"
