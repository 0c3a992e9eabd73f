"""`farmctl lease`, `maintenance` and `emergency`: authority, permits, and the latch."""

from __future__ import annotations

from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, order, ordering
from farmctl.cli.exits import Exit
from farmctl.cli.giving import followed
from farmctl.cli.output import object_option, print_object
from farmctl.cli.until import end_of, ending

_reason = click.option("--reason", required=True, help="Why; it stands in the journal.")


@click.group()
def lease() -> None:
    """Who steers by hand; while somebody does, others only look and stop."""


@lease.command("show", cls=ClientVerb)
@asking
@object_option
def show_lease(*, door: Door, output: str) -> int:
    """Who holds it, why, and until when."""
    return _told(door.client().get("/v1/control/lease"), output)


@lease.command("take", cls=ClientVerb)
@asking
@ending
@_reason
@object_option
def take_lease(*, door: Door, reason: str, output: str, **ends_at: str | None) -> int:
    """Hold it, or hold it longer; exit 6 where another person does."""
    client = door.client()
    ends = end_of(ends_at["for_text"], ends_at["until"], client.get("/v1/state")["timezone"])
    body = {"reason": reason, "expires_at": ends.isoformat(timespec="seconds")}
    return _told(client.post("/v1/control/lease", body), output)


@lease.command("release", cls=ClientVerb)
@asking
@_reason
@object_option
def release_lease(*, door: Door, reason: str, output: str) -> int:
    """Give it back; an engineer may take it from anybody."""
    return _told(door.client().delete("/v1/control/lease", {"reason": reason}), output)


@click.command(cls=ClientVerb)
@asking
@ordering
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.option("--container", "containers", multiple=True, help="Which containers; none: the whole site.")
@object_option
def maintenance(*, door: Door, wish: Wish, switch: str, containers: tuple[str, ...], output: str) -> int:
    """Forbid or permit automatic starts; sheds and limits are obeyed all the time."""
    where = ", ".join(containers) or "the whole site"
    if wish.dry_run:
        click.echo(f"would switch maintenance {switch} for {where}; it moves no power by itself")
        return Exit.PENDING if wish.exit_code else Exit.OK
    client = door.client()
    wish.consent(f"Maintenance {switch} for {where}?")
    answer = order(client, "maintenance", wish.reason, on=switch == "on", containers=list(containers))
    return followed(client, answer, wish, output)


@click.group()
def emergency() -> None:
    """The latch of an EMERGENCY."""


@emergency.command("release", cls=ClientVerb)
@asking
@ordering
@click.option("--confirm", "site", required=True, help="The site's name: this lets it rise again.")
@object_option
def release_emergency(*, door: Door, wish: Wish, site: str, output: str) -> int:
    """Clear every latched EMERGENCY, on the dispatcher's word only; takes an engineer."""
    client = door.client()
    if wish.dry_run:
        rows = [row for row in client.get("/v1/events")["rows"] if row["class"] == "EMERGENCY"]
        live = [row["id"] for row in rows if row["state"] not in ("COMPLETED", "CANCELLED", "FAILED", "EXPIRED")]
        click.echo(f"would release {', '.join(live) or 'nothing: none is latched'}")
        return Exit.PENDING if wish.exit_code and live else Exit.OK
    wish.consent("Release the EMERGENCY on the dispatcher's word?")
    return followed(client, order(client, "emergency_release", wish.reason, confirm=site), wish, output)


def _told(answer: dict[str, Any], output: str) -> int:
    held = answer["lease"]
    if output != "table":
        print_object({"lease": held}, output)
    elif held is None:
        click.echo("nobody holds the lease")
    else:
        click.echo(f"{held['owner']} until {held['expires_at']}: {held['reason']}")
    return Exit.OK
