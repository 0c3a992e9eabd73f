"""`farmctl events` and `audit`: what the grid asked, what became of it, and who did what."""

from __future__ import annotations

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, order, ordering
from farmctl.cli.exits import Exit
from farmctl.cli.giving import followed
from farmctl.cli.output import object_option, output_option, print_object, print_rows, table
from farmctl.control.client import part
from farmctl.core.grid import OptReason

COLUMNS = ("id", "class", "state", "start", "end", "limit_kw", "setpoint_kw", "source", "reason")
AUDIT = ("at", "owner", "role", "verb", "result", "reason")


@click.group()
def events() -> None:
    """Grid events."""


@events.command("list", cls=ClientVerb)
@asking
@output_option
def list_events(*, door: Door, output: str) -> int:
    """Those that are remembered, the next or newest first."""
    print_rows(door.client().get("/v1/events")["rows"], COLUMNS, output)
    return Exit.OK


@events.command("show", cls=ClientVerb)
@asking
@click.argument("event_id")
@object_option
def show_event(*, door: Door, event_id: str, output: str) -> int:
    """One event: what it asks when, and every state it went through."""
    told = door.client().get(f"/v1/events/{part(event_id)}")
    if output != "table":
        print_object({name: value for name, value in told.items() if name != "schema"}, output)
        return Exit.OK
    for name, value in told["event"].items():
        click.echo(f"{name:<12} {'-' if value is None else value}")
    if told["intervals"]:
        click.echo(table(told["intervals"], ("start", "end", "limit_kw", "setpoint_kw")))
    if told["history"]:
        click.echo(table(told["history"], ("at", "state", "reason", "power_w", "target_w")))
    return Exit.OK


@events.command("replay", cls=ClientVerb)
@asking
@click.argument("event_id")
def replay_event(*, door: Door, event_id: str) -> int:
    """Say how to see an event again, and how to prove that its decisions were the recorded ones."""
    row = door.client().get(f"/v1/events/{part(event_id)}")["event"]
    click.echo(f"farmctl tui --replay {event_id}")
    if row.get("start"):
        first, last = (str(row[name])[:19] for name in ("start", "end"))
        click.echo(f"farmctl replay JOURNAL --from {first} --to {last}")
    return Exit.OK


@events.command("opt-out", cls=ClientVerb)
@asking
@ordering
@click.argument("event_id")
@click.option("--why", type=click.Choice([word.value for word in OptReason]), required=True, help="What the grid reads")
@click.option("--confirm", "site", required=True, help="The site's name: without the order it may rise.")
@object_option
def opt_out(*, door: Door, wish: Wish, event_id: str, why: str, site: str, output: str) -> int:
    """Take no part in an order about load; the grid is told OPTED_OUT. A limit and an EMERGENCY cannot be declined."""
    if wish.dry_run:
        click.echo(f"would tell the grid OPTED_OUT about {event_id}: {why}")
        return Exit.PENDING if wish.exit_code else Exit.OK
    wish.consent(f"Take no part in {event_id}?")
    client = door.client()
    answer = order(client, "event_opt_out", wish.reason, id=event_id, why=why, confirm=site)
    return followed(client, answer, wish, output)


@click.command(cls=ClientVerb)
@asking
@click.option("--owner", default=None, help="Only what this person did.")
@click.option("--verb", default=None, help="Only this verb.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@output_option
def audit(*, door: Door, owner: str | None, verb: str | None, limit: int, output: str) -> int:
    """Who did what, why, and what came of it, newest first."""
    told = door.client().get("/v1/audit", owner=owner, verb=verb, limit=limit)
    print_rows(told["rows"], AUDIT, output)
    return Exit.OK
