"""`farmctl curtail`, `hold` and `mode`: the site by hand, for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, order, ordering
from farmctl.cli.exits import Exit
from farmctl.cli.giving import give
from farmctl.cli.output import object_option, print_object, say
from farmctl.cli.until import both, end_or_usual, ending, kilowatts
from farmctl.control.client import ControlClient
from farmctl.control.sizes import SizeError, size_of

_confirm = click.option("--confirm", "site", default="", help="The site's name, where the change is large.")


@click.command(cls=ClientVerb)
@asking
@ordering
@ending
@click.option("--to", default=None, help="A power or a share of the rated power: 20MW, 85%.")
@click.option("--by", default=None, help="How much less than now: 5MW, 30%.")
@click.option("--mode", "off", type=click.Choice(["off"]), default=None, help="Everything that may sleep.")
@click.option("--ramp", default=None, help="How fast it goes down: 5MW/min; left out: as fast as the machines can.")
@_confirm
@object_option
def curtail(*, door: Door, wish: Wish, site: str, output: str, **asked: str | None) -> int:
    """Lower the site for a while, an hour where no end is stated; an override with your name that ends by itself."""
    if sum(asked[name] is not None for name in ("to", "by", "off")) != 1:
        raise click.UsageError("expected one of --to 20MW, --by 30% and --mode off")
    client = door.client()
    state = client.get("/v1/state")
    target_kw = 0.0
    if asked["to"] is not None:
        target_kw = kilowatts(asked["to"], state["rated_kw"])
    elif asked["by"] is not None:
        target_kw = max(state["power_kw"] - kilowatts(asked["by"], state["power_kw"]), 0.0)
    drawn_kw = max(state["power_kw"], state["target_kw"])
    if target_kw > drawn_kw:
        raise click.UsageError(
            f"{target_kw:.1f} kW is more than the {drawn_kw:.1f} kW of now, and curtail only lowers: "
            "expected less, or farmctl override set"
        )
    wanted = {} if asked["ramp"] is None else {"ramp_kw_per_min": ramp_kw(asked["ramp"], state["rated_kw"])}
    ends = end_or_usual(asked["for_text"], asked["until"], state["timezone"])
    return held(client, state, target_kw, ends, wish, output, confirm=site, **wanted)


@click.command(cls=ClientVerb)
@asking
@ordering
@ending
@_confirm
@object_option
def hold(*, door: Door, wish: Wish, site: str, output: str, **ends_at: str | None) -> int:
    """Keep the site where it is now, an hour where no end is stated; limits of the grid still count."""
    client = door.client()
    state = client.get("/v1/state")
    ends = end_or_usual(ends_at["for_text"], ends_at["until"], state["timezone"])
    return held(client, state, state["power_kw"], ends, wish, output, confirm=site)


@click.command(cls=ClientVerb)
@asking
@ordering
@ending
@click.argument("which", type=click.Choice(["auto", "manual"]))
@_confirm
@object_option
def mode(*, door: Door, wish: Wish, which: str, site: str, output: str, **ends_at: str | None) -> int:
    """Manual: hold the lease and the present power until a stated end, else for an hour; auto: give both back."""
    client = door.client()
    state = client.get("/v1/state")
    if which == "manual":
        ends = end_or_usual(ends_at["for_text"], ends_at["until"], state["timezone"])
        if not wish.dry_run:
            wish.consent(f"Take {state['site']} in hand until {ends:%H:%M} UTC?")
            lease = {"reason": wish.reason, "expires_at": ends.isoformat(timespec="seconds")}
            client.post("/v1/control/lease", lease)
            wish = Wish(reason=wish.reason, dry_run=False, yes=True, wait_s=wish.wait_s)
        return held(client, state, state["power_kw"], ends, wish, output, confirm=site)
    return _automatic(client, state, wish, output, site)


def held(
    client: ControlClient,
    state: dict[str, Any],
    target_kw: float,
    ends: datetime,
    wish: Wish,
    output: str,
    **params: object,
) -> int:
    """Hold the whole site at a power."""
    wanted: dict[str, object] = {"target_kw": round(target_kw, 3), "expires_at": ends.isoformat(timespec="seconds")}
    question = f"Hold {state['site']} at {target_kw:.1f} kW?"
    after = both(ends, state["timezone"])
    return give(client, "override_set", wish, output, question, after=after, **wanted, **params)


def ramp_kw(text: str, rated: float) -> float:
    """`5MW/min` in kW a minute. Raises SizeError."""
    size, slash, unit = text.partition("/")
    if not slash or unit.strip() not in ("min", "m"):
        message = f"{text!r}: expected a power per minute, such as 5MW/min"
        raise SizeError(message)
    return size_of(size).watts(rated * 1000.0) / 1000.0


def _automatic(client: ControlClient, state: dict[str, Any], wish: Wish, output: str, site: str) -> int:
    """Release what operators hold: overrides of the whole site, then the lease."""
    live = [row["id"] for row in state["overrides"]]
    told = {"overrides": live, "lease": state["lease"]}
    if wish.dry_run:
        if output == "table":
            click.echo(f"would release {', '.join(live) or 'no override'}{' and the lease' if state['lease'] else ''}")
        else:
            print_object(told, output)
        return Exit.PENDING if wish.exit_code and (live or state["lease"]) else Exit.OK
    wish.consent(f"Give {state['site']} back to automation?")
    for override_id in live:
        order(client, "override_release", wish.reason, id=override_id, confirm=site)
    if state["lease"] is not None:
        client.delete("/v1/control/lease", {"reason": wish.reason})
    if state["stop_all"]:
        say("farmctl: the site is stopped; farmctl resume lets it run again")
    if output == "table":
        click.echo(f"released: {', '.join(live) or 'no override'}")
    else:
        print_object(told, output)
    return Exit.OK
