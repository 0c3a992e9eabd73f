"""`farmctl alarms`: what needs a response now, who has seen it, what is hidden and why."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import object_option, output_option, print_object, print_rows, say
from farmctl.control.client import ControlClient, part
from farmctl.control.sizes import lasting_s

COLUMNS = ("id", "priority", "state", "since", "n", "detail", "response", "owner")
ONCE = "once"
TEST_S = 60.0
WAIT_S = 15.0


@click.group()
def alarms() -> None:
    """List, acknowledge and shelve alarms."""


@alarms.command("list", cls=ClientVerb)
@asking
@click.option("--all", "hidden", is_flag=True, help="Also what is shelved or suppressed, with its reason.")
@output_option
def list_alarms(*, door: Door, hidden: bool, output: str) -> int:
    """Alarms that want a response, worst first."""
    told = door.client().get("/v1/alarms")
    rows = [row for row in told["rows"] if hidden or row["state"] in ("UNACK", "ACK", "RTN_UNACK")]
    if told["flood"]:
        counts = ", ".join(f"{name.upper()} {n}" for name, n in told["collapsed"].items())
        say(f"FLOOD: only P1 and P2 are shown one by one; {counts}")
    print_rows(rows, (*COLUMNS, "note", "shelved_until") if hidden else COLUMNS, output)
    return Exit.OK


@alarms.command(cls=ClientVerb)
@asking
@click.argument("alarm_id", metavar="ID")
@click.option("--reason", default="", help="A note: what was found or done; some alarms demand one.")
@object_option
def ack(*, door: Door, alarm_id: str, reason: str, output: str) -> int:
    """Say that a person has seen an alarm; it goes on paging until its condition is over."""
    return _told(_order(door, alarm_id, "ack", reason=reason), alarm_id, output)


@alarms.command(cls=ClientVerb)
@asking
@click.argument("alarm_id", metavar="ID")
@click.option("--for", "for_text", required=True, help="How long: 15m, 1h, 8h; or once: until its condition is over.")
@click.option("--reason", required=True, help="Why; it stands in the journal.")
@object_option
def shelve(*, door: Door, alarm_id: str, for_text: str, reason: str, output: str) -> int:
    """Hide an alarm for a while; a P1 cannot be hidden."""
    if for_text == ONCE:
        until = ONCE
    else:
        until = (datetime.now(UTC) + timedelta(seconds=lasting_s(for_text))).isoformat(timespec="seconds")
    return _told(_order(door, alarm_id, "shelve", reason=reason, until=until), alarm_id, output)


@alarms.command(cls=ClientVerb)
@asking
@click.argument("alarm_id", metavar="ID")
@click.option("--reason", default="", help="Why.")
@object_option
def unshelve(*, door: Door, alarm_id: str, reason: str, output: str) -> int:
    """Show a shelved alarm again."""
    return _told(_order(door, alarm_id, "unshelve", reason=reason), alarm_id, output)


@alarms.command(cls=ClientVerb)
@asking
@click.argument("alarm", metavar="ALARM")
@click.option("--where", default="site", show_default=True, help="Container, circuit or what else it is about.")
@click.option("--detail", default="", help="Value and limit.")
@click.option("--for", "for_text", default=None, help="How long the report counts: 26h; left out: until it is over.")
@click.option("--over", is_flag=True, help="The condition is over.")
@click.option("--reason", required=True, help="Which system reports, and why.")
@object_option
def report(*, door: Door, alarm: str, for_text: str | None, over: bool, output: str, **told_by: str) -> int:
    """Tell what another system of the site sees: fire panel, cooling plant, backup job."""
    body: dict[str, object] = {"alarm": alarm, "holds": not over, **told_by}
    if for_text is not None:
        ends = datetime.now(UTC) + timedelta(seconds=lasting_s(for_text))
        body["until"] = ends.isoformat(timespec="seconds")
    told = door.client().post("/v1/alarms/report", body)
    if output != "table":
        print_object({name: value for name, value in told.items() if name != "schema"}, output)
    else:
        click.echo(f"{told['reported']}: {'holds' if told['holds'] else 'over'}")
    return Exit.OK


@alarms.command(cls=ClientVerb)
@asking
@click.option("--reason", required=True, help="Why; it stands in the journal.")
@object_option
def test(*, door: Door, reason: str, output: str) -> int:
    """Raise a harmless P4 for a minute through the whole chain: desk, board, stream, metrics; then take it back."""
    client = door.client()
    body = {"alarm": "filter_dust", "where": "TEST", "detail": "a test: nothing is wrong", "reason": reason}
    ends = datetime.now(UTC) + timedelta(seconds=TEST_S)
    client.post("/v1/alarms/report", {**body, "until": ends.isoformat(timespec="seconds")})
    seen = _waited(client, "filter_dust@TEST")
    client.post("/v1/alarms/report", {**body, "holds": False})
    if output != "table":
        print_object({"raised": seen}, output)
    else:
        click.echo("raised, seen on the board, taken back" if seen else "NOT seen on the board")
    return Exit.OK if seen else Exit.TIMEOUT


def _waited(client: ControlClient, key: str) -> bool:
    """An alarm stands on the board before the time is over."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if any(row["id"] == key for row in client.get("/v1/alarms")["rows"]):
            return True
        time.sleep(0.2)
    return False


@alarms.command(cls=ClientVerb)
@asking
@output_option
def catalogue(*, door: Door, output: str) -> int:
    """Every alarm that can be raised: limit, delays, cause, consequence, response, runbook."""
    rows = door.client().get("/v1/alarms/catalogue")["rows"]
    print_rows(rows, ("alarm", "priority", "source", "setpoint", "on_delay_s", "owner", "response"), output)
    return Exit.OK


@alarms.command(cls=ClientVerb)
@asking
@object_option
def stats(*, door: Door, output: str) -> int:
    """How well the alarms served during the last day."""
    told = door.client().get("/v1/alarms/stats")
    if output != "table":
        print_object({name: value for name, value in told.items() if name != "schema"}, output)
        return Exit.OK
    click.echo("\n".join(f"{label:<22} {text}" for label, text in _figures(told)))
    return Exit.OK


def _figures(told: dict[str, Any]) -> list[tuple[str, str]]:
    waits = ", ".join(f"{name.upper()} {seconds:.0f} s" for name, seconds in told["ack_median_s"].items())
    return [
        ("raised in a day", f"{told['raised']} ({told['per_10_min']:.2f} per 10 min; 1 is good, 2 the most)"),
        ("raised in 10 min", f"{told['raised_in_10_min']}{'  FLOOD' if told['flood'] else ''}"),
        ("time in flood", f"{100 * told['flood_share']:.2f} % (below 1 %)"),
        ("chattering", f"{told['chattering']} (0)"),
        ("stale, above 24 h", f"{told['stale']} (below 5)"),
        ("shelved", str(told["shelved"])),
        ("suppressed", str(told["suppressed"])),
        ("median time to ack", waits or "nothing was acknowledged"),
        *(
            (f"bad actor {place}", f"{row['alarm']} {row['n']} times")
            for place, row in enumerate(told["bad_actors"], 1)
        ),
    ]


def _order(door: Door, alarm_id: str, verb: str, **body: str) -> dict[str, Any] | None:
    told: dict[str, Any] | None = door.client().post(f"/v1/alarms/{part(alarm_id)}/{verb}", body)["alarm"]
    return told


def _told(alarm: dict[str, Any] | None, alarm_id: str, output: str) -> int:
    if output != "table":
        print_object({"alarm": alarm}, output)
    else:
        click.echo(f"{alarm_id}: {'NORMAL' if alarm is None else alarm['state']}")
    return Exit.OK
