"""`farmctl stop-all` and `resume`: the whole site to sleep, with the controller or without it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, order, ordering, rehearse
from farmctl.cli.exits import Exit
from farmctl.cli.giving import pending
from farmctl.cli.jobs import wait_for
from farmctl.cli.output import object_option, print_object, say
from farmctl.cli.plan import described
from farmctl.control.client import ControlClient, ControllerRefusedError
from farmctl.errors import ConfigError, MalformedReplyError, SilentPeerError

STALLED_S = 5.0
"""A controller whose last cycle is older takes orders but carries none out."""
STOP_TIMEOUT_S = 5.0
CLIENT_ERRORS = range(400, 500)


@click.command("stop-all", cls=ClientVerb)
@asking
@ordering
@click.option("--direct", is_flag=True, help="Go straight to the miners, do not ask the controller.")
@object_option
def stop_all(
    *,
    door: Door,
    wish: Wish,
    direct: bool,
    output: str,
) -> int:
    """Put every miner of the site to sleep; works with the controller dead, straight to the miners."""
    client = None if direct else _client(door)
    if wish.dry_run:
        if client is None:
            raise click.UsageError("--dry-run asks the controller; without one nothing can be rehearsed")
        plan = rehearse(client, "stop_all", wish.reason)
        _show_plan(plan, output)
        return pending(plan, wish)
    wish.consent("Put every miner of the site to sleep?")
    if client is None:
        return _directly(door.config_path, "told to go without it, or it has no known socket", wish.reason, output)
    taken = _through(client, wish.reason)
    if isinstance(taken, str):
        return _directly(door.config_path, taken, wish.reason, output)
    return _told(client, taken, wish, output)


@click.command(cls=ClientVerb)
@asking
@ordering
@click.option("--confirm", "site", default="", help="The site's name, where the change is large.")
@object_option
def resume(
    *,
    door: Door,
    wish: Wish,
    site: str,
    output: str,
) -> int:
    """Release stop-all; the site rises again by its ramp, under every live limit."""
    client = door.client()
    plan = rehearse(client, "resume", wish.reason)
    if wish.dry_run:
        _show_plan(plan, output)
        return pending(plan, wish)
    say(described(plan))
    wish.consent("Permit the site to run again?")
    return _told(client, order(client, "resume", wish.reason, confirm=site), wish, output)


def _client(door: Door) -> ControlClient | None:
    """The controller; None where not even its socket can be named, for then the miners are told directly."""
    try:
        return door.client(STOP_TIMEOUT_S)
    except ConfigError as error:
        say(f"farmctl: {error}")
        return None


def _through(client: ControlClient, reason: str) -> dict[str, Any] | str:
    """Give the order to the controller: its answer, or why it has to be done without it.

    Raises ControllerRefusedError where the controller is well and says no.
    """
    try:
        answer = order(client, "stop_all", reason)
    except (SilentPeerError, MalformedReplyError) as error:
        return str(error)
    except ControllerRefusedError as error:
        if error.status in CLIENT_ERRORS:
            raise
        return f"the controller failed: {error}"
    age_s = answer["cycle_age_s"]
    if age_s is None or age_s > STALLED_S:
        return "the controller took the order but makes no decisions"
    return answer


def _directly(config_path: str | None, why: str, reason: str, output: str) -> int:
    """Straight from the inventory to the miners."""
    import getpass  # noqa: PLC0415 - only here

    from farmctl.ports.control import By  # noqa: PLC0415 - drivers and numpy come with it
    from farmctl.wiring import remember_stop, stop_all_directly  # noqa: PLC0415 - see above

    say(f"farmctl: {why}\nfarmctl: going straight to the miners, without the controller")
    report = asyncio.run(stop_all_directly(config_path))
    by = By(owner=getpass.getuser(), reason=reason, uid=os.getuid(), role="direct")
    forgot = asyncio.run(remember_stop(config_path, by, report))
    if forgot:
        say(f"farmctl: the order is NOT noted, a controller that starts may wake miners again: {forgot}")
    else:
        say("farmctl: noted: the next controller stays stopped until farmctl resume")
    failed = {str(miner): text for miner, text in sorted(report.failed.items())}
    if output != "table":
        print_object({"direct": True, "total": report.total, "ok": report.ok, "failed": failed}, output)
    else:
        click.echo(f"{report.ok} of {report.total} miners told to sleep, {len(failed)} could not be told")
        for miner, text in failed.items():
            say(f"{miner}: {text}")
    if report.total == 0:
        say("farmctl: the inventory is empty: nobody was told anything")
        return Exit.ERROR
    return Exit.PARTIAL if failed else Exit.OK


def _told(client: ControlClient, answer: dict[str, Any], wish: Wish, output: str) -> int:
    """Say what became of an order that the controller took."""
    if answer.get("armed") is False:
        say("farmctl: this controller only OBSERVES: nothing is sent; stop-all --direct goes straight to the miners")
    if wish.wait_s is not None:
        return wait_for(client, answer["job"], wish.wait_s, output)
    if output != "table":
        print_object({**answer, "direct": False}, output)
    else:
        click.echo(f"taken as {answer['job']}; farmctl jobs get {answer['job']} shows how far it is")
    return Exit.OK


def _show_plan(plan: dict[str, Any], output: str) -> None:
    if output != "table":
        print_object({"plan": plan}, output)
    else:
        click.echo(described(plan))
