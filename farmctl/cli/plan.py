"""`farmctl plan`: what a target would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json
from farmctl.control.sizes import size_of


@click.command(cls=ClientVerb)
@asking
@click.option("--to", default=None, help="A power or a share of the rated power: 20MW, 85%.")
@click.option("--by", default=None, help="How much less than now: 5MW, 30%.")
@click.option("--dry-run", is_flag=True, help="Said for clearness: a plan is never sent.")
@click.option("--exit-code", is_flag=True, help="Exit 8 where the plan moves any miner.")
@click.option("--rows", type=click.IntRange(0, 10_000), default=200, show_default=True, help="Moves in the JSON.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def plan(
    *,
    door: Door,
    to: str | None,
    by: str | None,
    dry_run: bool,
    exit_code: bool,
    rows: int,
    output: str,
) -> int:
    """What a target would do: which miners, how much power and hash rate, how long, and who is left out."""
    del dry_run
    if (to is None) == (by is None):
        raise click.UsageError("expected one of --to 20MW and --by 30%")
    size_of(to or by or "")
    made = door.client().get("/v1/plan", to=to, by=by, rows=rows)["plan"]
    if output == "json":
        print_json({"plan": made})
    else:
        click.echo(described(made))
    return Exit.PENDING if exit_code and made["lowered"] + made["raised"] else Exit.OK


def described(made: dict[str, Any]) -> str:
    """A plan for people."""
    return "\n".join(f"{label:<9} {text}" for label, text in _lines(made))


def _lines(made: dict[str, Any]) -> Iterator[tuple[str, str]]:
    reached = "" if made["reached"] else f"  MISSES the target by {made['off_target_kw']:+.1f} kW"
    yield (
        "power",
        (
            f"{made['power_kw']:.1f} kW now, {made['planned_kw']:.1f} kW planned for a target of "
            f"{made['target_kw']:.1f} kW{reached}"
        ),
    )
    if made["shortfall_kw"]:
        yield "clamped", f"{made['shortfall_kw']:.1f} kW above the limit of {made['limit_kw']:.1f} kW"
    yield "why", f"{made['reason']}: {made['reason_help']}"
    down = f"{made['lowered']} lowered ({made['put_to_sleep']} to sleep)"
    yield "miners", f"{down}, {made['raised']} raised ({made['woken']} woken)"
    yield "hash rate", f"{-made['hash_rate_lost_ths']:+.1f} TH/s"
    yield "time", "never: the ramp is 0" if made["seconds"] is None else f"about {made['seconds']:.0f} s"
    for group in made["left_out"]:
        until = f" until {group['until']}" if group["until"] else ""
        yield "left out", f"{group['miners']} miners, {group['kw']:.1f} kW: {group['reason']}{until}, {group['help']}"
    if made["confirm"]:
        yield "confirm", f"this change needs --confirm {made['confirm']}"
    yield "sent", "nothing"
