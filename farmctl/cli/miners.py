"""`farmctl miners`: which machines, where, doing what."""

from __future__ import annotations

from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.output import print_json, print_rows
from farmctl.control.client import ControlClient, part

NARROW = ("id", "cont", "rack", "slot", "model", "state", "want", "w", "ths", "t", "age", "reason")
WIDE = (
    "id", "cont", "rack", "slot", "model", "fw", "circuit", "state", "want", "w", "want_w", "ths", "jth", "t", "age",
    "tier", "protected", "reason",
)  # fmt: skip
PAGE = 2_000


@click.group()
def miners() -> None:
    """List and describe miners."""


@miners.command("list", cls=ClientVerb)
@asking
@click.option("-l", "--filter", "filters", multiple=True, help="Such as 'state=fault model~S21 t>85 !cont=C041'.")
@click.option("--sort-by", default="id", show_default=True, help="A column; -COLUMN for the greatest first.")
@click.option("--limit", type=click.IntRange(1), default=None, help="At most so many; default: all.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json", "jsonl", "csv", "name"]), default="table",
    show_default=True,
)  # fmt: skip
def list_miners(
    *,
    door: Door,
    filters: tuple[str, ...],
    sort_by: str,
    limit: int | None,
    output: str,
) -> int:
    """All miners that fulfil the filter."""
    client = door.client()
    rows = _fetched(client, " ".join(filters), sort_by, limit)
    print_rows(rows, NARROW if output == "table" else WIDE, output)
    return 0


@miners.command("get", cls=ClientVerb)
@asking
@click.argument("miner")
@click.option("-o", "--output", type=click.Choice(["table", "json", "name"]), default="table", show_default=True)
def get_miner(*, door: Door, miner: str, output: str) -> int:
    """One miner: where it is, what it does, its operating points."""
    found = door.client().get(f"/v1/miners/{part(miner)}")
    if output == "json":
        print_json(found)
    elif output == "name":
        click.echo(found["id"])
    else:
        _show(found)
    return 0


def _fetched(client: ControlClient, text: str, sort_by: str, limit: int | None) -> list[dict[str, Any]]:
    """Page after page until there is enough."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while limit is None or len(rows) < limit:
        size = PAGE if limit is None else min(PAGE, limit - len(rows))
        page = client.get("/v1/miners", filter=text or None, sort=sort_by, limit=size, cursor=cursor)
        rows += page["rows"]
        cursor = page["cursor"]
        if cursor is None:
            break
    return rows


def _show(found: dict[str, Any]) -> None:
    for name in (*WIDE, "serial", "host", "driver", "owner", "tag", "commandable"):
        value = found[name]
        click.echo(f"{name:<12} {'-' if value in (None, '') else value}")
    wanted = found["wanted"]
    for point in found["ladder"]:
        mark = "wanted" if wanted is not None and point["step"] == wanted["step"] else ""
        figures = f"{point['setting']:<16} {point['power_w']:>6} W {point['hash_rate_ths']:>8.1f} TH/s"
        click.echo(f"step {point['step']:<7} {figures}  {mark}".rstrip())
