"""`farmctl override`: hold the site at a power, with an owner, a reason and an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, order, ordering, rehearse
from farmctl.cli.exits import Exit
from farmctl.cli.jobs import wait_for
from farmctl.cli.output import output_option, print_json, print_rows, say
from farmctl.cli.plan import described
from farmctl.control.client import ControlClient
from farmctl.control.sizes import moment, size_of, span_s

COLUMNS = ("id", "selector", "target_kw", "owner", "set_at", "expires_at", "reason")
_output = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group()
def override() -> None:
    """Set, release and list manual overrides; none of them beats a live limit."""


@override.command("set", cls=ClientVerb)
@asking
@ordering
@click.argument("circuit", default="")
@click.option("--to", "--power", "to", required=True, help="A power or a share of the rated power: 20MW, 85%.")
@click.option("--for", "for_text", default=None, help="How long: 90m, 2h.")
@click.option("--until", default=None, help="Site time: 18:00, or a date and time.")
@click.option("--confirm", "site", default="", help="The site's name, where the change is large.")
@_output
def set_override(
    *,
    door: Door,
    wish: Wish,
    circuit: str,
    to: str,
    site: str,
    output: str,
    **ends_at: str | None,
) -> int:
    """Hold the site, or one CIRCUIT such as a container, at a power until a stated end."""
    for_text, until = ends_at["for_text"], ends_at["until"]
    if (for_text is None) == (until is None):
        raise click.UsageError("expected one of --for 90m and --until 18:00: an override always ends")
    size = size_of(to)
    span = None if for_text is None else timedelta(seconds=span_s(for_text))
    client = door.client()
    state = client.get("/v1/state")
    now = datetime.now(UTC)
    ends = now + span if span is not None else moment(until or "", state["timezone"], now)
    wanted: dict[str, object] = {
        "target_kw": size.watts(_rated_kw(client, circuit, state["rated_kw"])),
        "expires_at": ends.isoformat(timespec="seconds"),
    }
    if circuit:
        wanted["circuit"] = circuit
    plan = rehearse(client, "override_set", wish.reason, **wanted)
    if wish.dry_run:
        if output == "json":
            print_json({"plan": plan, **wanted})
        else:
            click.echo(f"{described(plan)}\nuntil     {_both(ends, state['timezone'])}")
        return Exit.OK
    say(f"{described(plan)}\nuntil     {_both(ends, state['timezone'])}")
    wish.consent(f"Hold {circuit or state['site']} at {wanted['target_kw']:.1f} kW?")
    answer = order(client, "override_set", wish.reason, **wanted, confirm=site)
    if wish.wait_s is not None:
        return wait_for(client, answer["job"], wish.wait_s, output)
    if output == "json":
        print_json({**answer, **wanted})
    else:
        click.echo(f"{answer['override']} is set; farmctl jobs get {answer['job']} shows how far it is")
    return Exit.OK


def _rated_kw(client: ControlClient, circuit: str, site_kw: float) -> float:
    """What a share is of. Raises UsageError for a circuit that the site has not."""
    if not circuit:
        return site_kw
    rows = client.get("/v1/circuits")["rows"]
    node = next((row for row in rows if row["name"] == circuit), None)
    if node is None:
        raise click.UsageError(f"circuit {circuit!r}: expected one of {', '.join(row['name'] for row in rows[:20])}")
    return site_kw if node["rating_kw"] is None else float(node["rating_kw"])


@override.command("release", cls=ClientVerb)
@asking
@ordering
@click.argument("override_id")
@click.option("--confirm", "site", default="", help="The site's name, where the change is large.")
@_output
def release_override(*, door: Door, wish: Wish, override_id: str, site: str, output: str) -> int:
    """Let an override go before its end."""
    client = door.client()
    plan = rehearse(client, "override_release", wish.reason, id=override_id)
    if wish.dry_run:
        if output == "json":
            print_json({"plan": plan})
        else:
            click.echo(described(plan))
        return Exit.OK
    say(described(plan))
    wish.consent(f"Release {override_id}?")
    answer = order(client, "override_release", wish.reason, id=override_id, confirm=site)
    if wish.wait_s is not None:
        return wait_for(client, answer["job"], wish.wait_s, output)
    if output == "json":
        print_json(answer)
    else:
        click.echo(f"{override_id} is released; farmctl jobs get {answer['job']} shows how far it is")
    return Exit.OK


@override.command("list", cls=ClientVerb)
@asking
@output_option
def list_overrides(*, door: Door, output: str) -> int:
    """Overrides that have not ended."""
    rows = door.client().get("/v1/overrides")["rows"]
    print_rows(rows, COLUMNS, output)
    return Exit.OK


def _both(ends: datetime, zone: str) -> str:
    """A moment in site time and in UTC."""
    return f"{ends.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone} ({ends:%Y-%m-%d %H:%M:%S} UTC)"
