"""How verbs print: data on stdout as a table or versioned JSON, messages and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

SCHEMA = "farmctl/v1"

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl", "csv", "name"]),
    default="table",
    show_default=True,
    help="Format of the data on stdout.",
)
config_option: Callable[..., Any] = click.option(
    "--config", "config_path", type=click.Path(dir_okay=False), help="farm.toml; else the usual places are searched."
)


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object, versioned; keys are only ever added."""
    click.echo(json.dumps({"schema": SCHEMA, **data}, separators=(",", ":"), allow_nan=False))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: str) -> None:
    """Rows as a table, JSON, JSON lines, CSV, or the first column alone."""
    if output == "json":
        print_json({"rows": [dict(row) for row in rows]})
    elif output == "jsonl":
        for row in rows:
            click.echo(json.dumps(dict(row), separators=(",", ":"), allow_nan=False))
    elif output == "csv":
        import csv  # noqa: PLC0415 - start-up of every verb would pay for it

        writer = csv.DictWriter(sys.stdout, fieldnames=list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif output == "name":
        for row in rows:
            click.echo(row[columns[0]])
    else:
        click.echo(table(rows, columns))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Plain columns; numbers to the right, unknown as `-`."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    heads = [column.upper().replace("_", " ") for column in columns]
    widths = [max([len(heads[i]), *(len(line[i]) for line in cells)]) for i in range(len(columns))]
    numeric = [all(isinstance(row.get(c), int | float | None) for row in rows) and bool(rows) for c in columns]
    lines = [heads, *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def say(message: str) -> None:
    """A message for the person, on stderr."""
    click.echo(message, err=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)
