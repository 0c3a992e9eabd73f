"""`farmctl plan`: what a target would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import object_option, print_object
from farmctl.cli.past import Past, looking_back
from farmctl.control.sizes import moment, size_of, span_s

SHOWN = 6
"""Circuits named on one line."""
FIRST = 10
"""Miners named in the table; -o json names as many as --rows."""


@click.command(cls=ClientVerb)
@asking
@looking_back
@click.option("--to", default=None, help="A power or a share of the rated power: 20MW, 85%.")
@click.option("--by", default=None, help="How much less than now: 5MW, 30%.")
@click.option("--until", default=None, help="How long it would last: 18:00 (site time), or a time such as 90m.")
@click.option("--dry-run", is_flag=True, help="Said for clearness: a plan is never sent.")
@click.option("--exit-code", is_flag=True, help="Exit 8 where the plan moves any miner.")
@click.option("--rows", type=click.IntRange(0, 10_000), default=200, show_default=True, help="Moves in the JSON.")
@object_option
def plan(
    *,
    door: Door,
    past: Past | None,
    to: str | None,
    by: str | None,
    rows: int,
    output: str,
    **rest: Any,
) -> int:
    """What a target would do: which miners, how much power and hash rate, how long, and who is left out.

    With --at: what it would have done at a moment of the past, from the recording beside the journal.
    """
    until, exit_code = rest["until"], rest["exit_code"]
    if (to is None) == (by is None):
        raise click.UsageError("expected one of --to 20MW and --by 30%")
    size_of(to or by or "")
    if past is None:
        made = door.client().get("/v1/plan", to=to, by=by, rows=rows)["plan"]
    else:
        from farmctl.wiring.past import plan_then  # noqa: PLC0415 - numpy comes with it

        made = plan_then(past.picture(), to=to, by=by, rows=rows)
    if until is not None:
        made |= _lasting(made, until)
    if output != "table":
        print_object({"plan": made}, output)
    else:
        click.echo("\n".join([described(made), *moved(made)]))
    return Exit.PENDING if exit_code and made["lowered"] + made["raised"] else Exit.OK


def _lasting(made: dict[str, Any], until: str) -> dict[str, Any]:
    """What the change comes to by its end: energy and hashes."""
    begins = datetime.fromisoformat(made["at"])
    ends = begins + timedelta(seconds=span_s(until)) if until[-1:] in "smhd" else moment(until, made["zone"], begins)
    hours = (ends - begins).total_seconds() / 3600.0
    return {
        "until": ends.isoformat().replace("+00:00", "Z"),
        "energy_kwh": round(made["change_kw"] * hours, 1),
        "hash_lost_th_h": round(made["hash_rate_lost_ths"] * hours, 1),
    }


def described(made: dict[str, Any]) -> str:
    """A plan for people."""
    return "\n".join(f"{label:<9} {text}" for label, text in _lines(made))


def moved(made: dict[str, Any]) -> Iterator[str]:
    """Which miners a plan moves, for people: the first of them."""
    shown = made["miners"][:FIRST]
    for miner in shown:
        watts = f"{miner['from_w']:5.0f} -> {miner['to_w']:5.0f} W"
        yield f"{'moves':<9} {miner['id']}  {watts}  {miner['from']} -> {miner['to']}"
    if (rest := made["lowered"] + made["raised"] - len(shown)) > 0:
        yield f"{'':<9} and {rest} more; -o json names them"


def _lines(made: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if held := made.get("selection"):
        yield "selected", f"{held['total']} miners, {held['power_kw']:.1f} kW now, {held['planned_kw']:.1f} kW planned"
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
    if made["marginal_jth"] is not None:
        yield "marginal", f"{made['marginal_jth']:g} J/TH for the last watt moved"
    if made["binding"]:
        more = f" and {len(made['binding']) - SHOWN} more" if len(made["binding"]) > SHOWN else ""
        yield "full", f"{', '.join(made['binding'][:SHOWN])}{more}"
    yield "time", "never: the ramp is 0" if made["seconds"] is None else f"about {made['seconds']:.0f} s"
    if "until" in made:
        yield "until", f"{made['until']}: {made['energy_kwh']:+.1f} kWh, {-made['hash_lost_th_h']:+.1f} TH/s x h"
    for group in made["left_out"]:
        until = f" until {group['until']}" if group["until"] else ""
        yield "left out", f"{group['miners']} miners, {group['kw']:.1f} kW: {group['reason']}{until}, {group['help']}"
    if made["confirm"]:
        yield "confirm", f"this change needs --confirm {made['confirm']}"
    yield "sent", "nothing"
