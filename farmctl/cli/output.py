"""How verbs print: data on stdout as a table or versioned JSON, messages and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

SCHEMA = "farmctl/v1"

FORMATS = ("table", "wide", "json", "jsonl", "csv", "yaml", "name")

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of the data on stdout.",
)
object_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
    help="Format of the data on stdout.",
)  # fmt: skip
select_option: Callable[..., Any] = click.option(
    "-l", "--select", "selector", default="*", show_default=True, help="model=*S19*, rack=R1, id=.., a host glob."
)
config_option: Callable[..., Any] = click.option(
    "--config", "config_path", type=click.Path(dir_okay=False), help="farm.toml; else the usual places are searched."
)


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object, versioned; keys are only ever added."""
    click.echo(json.dumps({"schema": SCHEMA, **data}, separators=(",", ":"), allow_nan=False))


def print_object(data: Mapping[str, Any], output: str) -> None:
    """One object as JSON or YAML; a person's form is the verb's own."""
    if output == "yaml":
        click.echo("\n".join(_yaml({"schema": SCHEMA, **data}, 0)))
    else:
        print_json({name: value for name, value in data.items() if name != "schema"})


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: str) -> None:
    """Rows as a table, JSON, JSON lines, CSV, YAML, the first column alone, or wide: a table of every plain field."""
    if output == "json":
        print_json({"rows": [dict(row) for row in rows]})
    elif output == "yaml":
        click.echo("\n".join(_yaml({"schema": SCHEMA, "rows": [dict(row) for row in rows]}, 0)))
    elif output == "wide":
        click.echo(table(rows, wide(rows, columns)))
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


def wide(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """The columns of a table and behind them every other field that fits a cell."""
    more = {name for row in rows for name, value in row.items() if not isinstance(value, Mapping | list | tuple)}
    return [*columns, *sorted(more - set(columns))]


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Plain columns; numbers to the right, unknown as `-`."""
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
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


def cell(value: object) -> str:
    """One value for people: unknown is `-`, a switch yes or no."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)


def _yaml(value: object, depth: int) -> list[str]:
    """Block style; scalars as JSON has them, which is YAML too."""
    pad = "  " * depth
    lines: list[str] = []
    if isinstance(value, Mapping):
        for name, item in value.items():
            lines += _yaml_item(f"{pad}{_yaml_key(str(name))}:", item, depth)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            inner = _yaml(item, depth + 1) if isinstance(item, Mapping | list | tuple) and item else []
            lines += [f"{pad}- {inner[0].lstrip()}", *inner[1:]] if inner else [f"{pad}- {_yaml_scalar(item)}"]
    return lines


def _yaml_item(head: str, item: object, depth: int) -> list[str]:
    if isinstance(item, Mapping | list | tuple) and item:
        return [head, *_yaml(item, depth + 1)]
    return [f"{head} {_yaml_scalar(item)}"]


def _yaml_scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _yaml_key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and not name[0].isdigit() else json.dumps(name)
