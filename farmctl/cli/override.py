"""`farmctl override`: hold the site at a power, with an owner, a reason and an end."""

from __future__ import annotations

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, ordering
from farmctl.cli.exits import Exit
from farmctl.cli.giving import give
from farmctl.cli.output import object_option, output_option, print_rows
from farmctl.cli.until import both, end_of, ending, kilowatts, rated_kw

COLUMNS = ("id", "selector", "miners", "target_kw", "owner", "set_at", "expires_at", "reason")


@click.group()
def override() -> None:
    """Set, release and list manual overrides; none of them beats a live limit."""


@override.command("set", cls=ClientVerb)
@asking
@ordering
@ending
@click.argument("circuit", default="")
@click.option("--to", "--power", "to", required=True, help="A power or a share of the rated power: 20MW, 85%.")
@click.option("--confirm", "site", default="", help="The site's name, where the change is large.")
@object_option
def set_override(
    *, door: Door, wish: Wish, circuit: str, to: str, site: str, output: str, **ends_at: str | None
) -> int:
    """Hold the site, or one CIRCUIT such as a container, at a power until a stated end."""
    client = door.client()
    state = client.get("/v1/state")
    ends = end_of(ends_at["for_text"], ends_at["until"], state["timezone"])
    wanted: dict[str, object] = {
        "target_kw": kilowatts(to, rated_kw(client, circuit, state["rated_kw"])),
        "expires_at": ends.isoformat(timespec="seconds"),
    }
    if circuit:
        wanted["circuit"] = circuit
    question = f"Hold {circuit or state['site']} at {wanted['target_kw']:.1f} kW?"
    after = both(ends, state["timezone"])
    return give(client, "override_set", wish, output, question, after=after, **wanted, confirm=site)


@override.command("release", cls=ClientVerb)
@asking
@ordering
@click.argument("override_id")
@click.option("--confirm", "site", default="", help="The site's name, where the change is large.")
@object_option
def release_override(*, door: Door, wish: Wish, override_id: str, site: str, output: str) -> int:
    """Let an override go before its end."""
    question = f"Release {override_id}?"
    return give(door.client(), "override_release", wish, output, question, id=override_id, confirm=site)


@override.command("list", cls=ClientVerb)
@asking
@output_option
def list_overrides(*, door: Door, output: str) -> int:
    """Overrides that have not ended."""
    rows = door.client().get("/v1/overrides")["rows"]
    if output in ("table", "wide"):
        rows = [{**row, "selector": row["selector"] or "site", "miners": row["miners"] or None} for row in rows]
    print_rows(rows, COLUMNS, output)
    return Exit.OK
