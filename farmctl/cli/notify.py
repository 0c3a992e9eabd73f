"""`farmctl notify`: try the channels before they are needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, print_rows, say

if TYPE_CHECKING:
    from farmctl.config.schema import FarmConfig, NotifyTable

COLUMNS = ("channel", "kind", "ok", "detail")


@click.group()
def notify() -> None:
    """Who is told of alarms and events, and whether it gets through."""


@notify.command()
@config_option
@click.argument("channel", required=False)
@click.option("-o", "--output", type=click.Choice(["table", "json", "jsonl", "csv"]), default="table")
def test(channel: str | None, *, config_path: str | None, output: str) -> int:
    """Send one message through every channel, or one; says what each receiver answered."""
    from farmctl.cli.places import configuration  # noqa: PLC0415 - start-up of every verb would pay for it

    config = configuration(config_path).config
    tables = [table for table in config.notify if channel in (None, table.name)]
    if not tables:
        known = ", ".join(table.name for table in config.notify) or "none"
        raise click.UsageError(f"no channel {channel or 'at all'}; known: {known}")
    rows = asyncio.run(_tried(config, tables))
    print_rows(rows, COLUMNS, output)
    failed = [row for row in rows if row["ok"] != "yes"]
    say(f"farmctl: {len(rows) - len(failed)} of {len(rows)} channels took the message")
    if not failed:
        return Exit.OK
    return Exit.ERROR if len(failed) == len(rows) else Exit.PARTIAL


async def _tried(config: FarmConfig, tables: list[NotifyTable]) -> list[dict[str, str]]:
    from farmctl.alarms.notify.message import Message  # noqa: PLC0415 - see above
    from farmctl.engine.clock import SystemClock  # noqa: PLC0415 - see above
    from farmctl.errors import FarmError  # noqa: PLC0415 - see above
    from farmctl.wiring.notify import way  # noqa: PLC0415 - see above

    clock = SystemClock()
    rows = []
    for table in tables:
        message = Message(
            kind="test", key="test", state="test", at_ms=clock.now_ms(), title="a test: nothing is wrong",
            detail=f"channel {table.name}", response="nothing; somebody wanted to know whether this arrives",
            runbook=f"{config.metrics.runbooks}watchdog", dashboard=config.metrics.dashboard_url or "",
        )  # fmt: skip
        try:
            await way(config, table, clock).send(f"test-{message.at_ms}", message)
        except FarmError as error:
            ok, detail = "no", str(error)
        else:
            ok, detail = "yes", "taken"
        rows.append({"channel": table.name, "kind": table.kind, "ok": ok, "detail": detail})
    return rows
