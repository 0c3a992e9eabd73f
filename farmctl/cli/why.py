"""`farmctl why MINER`, or SITE at headquarters: why it is where it is, and what would move it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.output import object_option, print_object
from farmctl.cli.past import Past, looking_back
from farmctl.control.client import ControllerRefusedError, part


@click.command(cls=ClientVerb)
@asking
@looking_back
@click.argument("miner")
@object_option
def why(*, door: Door, past: Past | None, miner: str, output: str) -> int:
    """Why a miner is where it is: wanted, seen, the reason, its rank, what binds it, what would move it.

    At headquarters also a site: its share and why, what it draws, what it accepted.
    With --at: why it was there at a moment of the past, from the recording beside the journal.
    """
    found = _now(door, miner) if past is None else _then(past, miner)
    if output != "table":
        print_object(found, output)
    else:
        click.echo(described(found) if "place" in found else site_described(found))
    return 0


def _now(door: Door, name: str) -> dict[str, Any]:
    """A miner, or a site where this is headquarters."""
    client = door.client()
    try:
        return client.get(f"/v1/miners/{part(name)}/why")
    except ControllerRefusedError as refused:
        try:
            sites = client.get("/v1/sites")
        except ControllerRefusedError:
            raise refused from None
        row = next((row for row in sites["rows"] if row["name"] == name), None)
        if row is None:
            raise ControllerRefusedError(404, "not_found", f"{name}: neither a miner nor a site here") from None
        return {**row, "programme": {key: value for key, value in sites.items() if key != "rows"}}


def site_described(found: dict[str, Any]) -> str:
    """Why a site of headquarters has the share that it has, for people."""
    whole = found["programme"]
    age = "never heard" if found["link_age_s"] is None else f"heard {found['link_age_s']:.1f} s ago"
    link = f"{age}, {'connected to its broker' if found['connected'] else 'NOT connected to its broker'}"
    rows = (
        ("site", f"{found['name']}  {found['mode']}, {link}"),
        ("share", f"{found['share_kw']:.1f} kW: {found['help']} ({found['why']})"),
        ("draws", _drawn(found)),
        ("told", f"{_number(found['asked_kw'], 'kW')}, accepted {_number(found['acked_kw'], 'kW')}"),
        (
            "range",
            f"{found['min_kw']:.1f} to {found['max_kw']:.1f} kW, own limit {_number(found['own_limit_kw'], 'kW')}",
        ),
        ("marginal", f"{_number(found['marginal_jth'], 'J/TH')} for its next watt"),
        ("figure", f"{whole['figure_kw']:.1f} kW for all ({whole['event']}), split by {whole['rule']}"),
        ("left over", f"{whole['short_kw']:.1f} kW placed nowhere yet (ramps, steps, full sites)"),
        ("too much", f"{whole['over_kw']:.1f} kW that nobody can give up yet"),
    )
    told = [f"{label:<9} {text}" for label, text in rows]
    return "\n".join([*told, *([f"{'REFUSED':<9} {found['refused']}"] if found["refused"] else [])])


def _drawn(found: dict[str, Any]) -> str:
    """What a site draws, or drew when it was heard last."""
    if found["power_kw"] is None:
        return "not known"
    if found["why"] == "stale":
        return f"not known; {found['power_kw']:.1f} kW when it was heard last"
    return f"{found['power_kw']:.1f} kW, {found['deviation_kw']:+.1f} kW from its share"


def described(found: dict[str, Any]) -> str:
    """The answer for people."""
    return "\n".join(f"{label:<9} {text}" for label, text in _lines(found))


def _then(past: Past, miner: str) -> dict[str, Any]:
    import asyncio  # noqa: PLC0415 - only the past needs them

    from farmctl.control.wire import ApiError  # noqa: PLC0415 - see above
    from farmctl.wiring.past import inventory_of, why_then  # noqa: PLC0415 - see above

    picture = past.picture()
    try:
        return dict(why_then(picture, asyncio.run(inventory_of(past.journal)), miner))
    except ApiError as error:
        raise click.ClickException(str(error)) from None


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    place = found["place"]
    where = " ".join(place[name] for name in ("cont", "rack", "slot") if place[name])
    yield "miner", f"{found['id']}  {place['model']} {place['fw']}  {where}".rstrip()
    wanted, seen, command = found["wanted"], found["seen"], found["command"]
    yield "wanted", "nothing" if wanted is None else f"{wanted['setting']}, {wanted['power_w']} W"
    age = "never seen" if seen["age_s"] is None else f"{seen['age_s']:.1f} s ago"
    yield "seen", f"{seen['state']}, {_number(seen['power_w'], 'W')} ({seen['power_source']}), {age}"
    yield "reason", f"{found['reason']}: {found['help']}"
    tries = f", attempt {command['attempts']} at {command['commanded_at']}" if command["commanded_at"] else ""
    retry = f", next try {command['retry_at']}" if command["retry_at"] else ""
    yield "command", f"{command['standing']}{tries}{retry}"
    site, rank = found["site"], found["rank"]
    yield "site", f"{site['mode']}, {site['reason']} ({site['source']}): target {site['target_kw']:.1f} kW"
    place_in = "cannot give up power now" if rank["place"] is None else f"{rank['place']} of {rank['of']} to be shed"
    yield "rank", f"{place_in}, tier {rank['tier']}, {_number(rank['jth'], 'J/TH')} by {rank['policy']}"
    yield "marginal", f"{_number(found['marginal_jth'], 'J/TH')} for the last watt moved"
    for circuit in found["circuits"]:
        rating = "no rating" if circuit["rating_kw"] is None else f"of {circuit['rating_kw']:.1f} kW"
        binds = "  BINDS" if circuit["binding"] else ""
        yield "circuit", f"{circuit['name']}: {circuit['planned_kw']:.1f} kW planned {rating}{binds}"
    for lock in found["locks"]:
        until = f" until {lock['until']}" if lock["until"] else ""
        yield "lock", f"{lock['lock']}{until}: {lock['help']}"
    for label, key in (
        ("lowered", "lowered_at_or_below_kw"),
        ("shed", "shed_at_or_below_kw"),
        ("raised", "raised_at_or_above_kw"),
    ):
        if found[key] is not None:
            side = "above" if label == "raised" else "below"
            yield label, f"at or {side} a site target of {found[key]:.1f} kW"
    yield "inputs", found["input_sha256"]


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g} {unit}"
