"""`farmctl pools`: what the miners' pools are, and the one explicit way to change them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import output_option, print_json, print_rows, say, select_option
from farmctl.control.client import ControlClient
from farmctl.control.sizes import span_s
from farmctl.core.grid import EventState
from farmctl.errors import RefusedError, SilentPeerError
from farmctl.ports.devices import Facts, PoolLogin, SetsPools

OVER = frozenset(
    {EventState.REJECTED, EventState.COMPLETED, EventState.FAILED, EventState.CANCELLED, EventState.SUPERSEDED}
)
SOON_S = 900.0
"""A change restarts mining for some minutes: an event that starts within this counts as live."""
COLUMNS = ("id", "host", "driver", "pool", "user", "alive", "firmware", "boards")


@click.group()
def pools() -> None:
    """Show and change the pools of miners."""


@pools.command(cls=ClientVerb)
@select_option
@output_option
@asking
def show(*, door: Door, selector: str, output: str) -> int:
    """Ask the miners themselves: pools and workers, firmware, boards."""
    rows, silent = asyncio.run(_shown(door.config_path, selector))
    print_rows(rows, COLUMNS, output)
    if not rows and not silent:
        say(f"farmctl: no miner fits {selector}")
    for miner, why in silent.items():
        say(f"{miner}: {why}")
    return Exit.PARTIAL if silent else Exit.OK


@pools.command("set", cls=ClientVerb)
@click.option(
    "-l", "--select", "selector", required=True, help="Which miners: model=*S19*, rack=R1, id=.., a host glob."
)
@click.option("--pool", "wanted", multiple=True, required=True, help="URL,USER or URL,USER,PASSWORD; in order.")
@click.option("--first", type=click.IntRange(min=1), default=1, show_default=True, help="Miners of the first stage.")
@click.option("--batch", type=click.IntRange(min=1), default=20, show_default=True, help="Miners of the other stages.")
@click.option("--pause", default="30s", show_default=True, help="Between two stages.")
@click.option("--within", default="120s", show_default=True, help="How long a miner may take to show its new pools.")
@click.option("--no-controller", is_flag=True, help="The controller is down on purpose: do not ask it for events.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@asking
def set_(  # noqa: PLR0913 - one parameter an option
    *,
    door: Door,
    selector: str,
    wanted: Sequence[str],
    first: int,
    batch: int,
    pause: str,
    within: str,
    no_controller: bool,
    dry_run: bool,
    yes: bool,
    output: str,
) -> int:
    """Make these the pools of the selected miners, in stages, each read back; refused while an event is live."""
    from farmctl.wiring.pools import Stages  # noqa: PLC0415 - drivers and numpy come with it

    logins = [_login(text) for text in wanted]
    may_go_on = _unwatched if no_controller else _watch(door.client())
    may_go_on()
    if not yes and not dry_run:
        click.confirm(f"Change the pools of every miner that {selector} selects?", abort=True, err=True)
    stages = Stages(first=first, batch=batch, pause_s=span_s(pause))
    said = asyncio.run(_changed(door.config_path, selector, logins, stages, may_go_on, span_s(within), dry_run=dry_run))
    if output == "json":
        print_json(said)
    else:
        _tell(said)
    if said["total"] == 0:
        return Exit.ERROR
    return Exit.PARTIAL if said.get("failed") else Exit.OK


def _login(text: str) -> PoolLogin:
    url, _, rest = text.partition(",")
    user, _, password = rest.partition(",")
    if not (url and user):
        raise click.UsageError(f"--pool {text!r}: expected URL,USER or URL,USER,PASSWORD")
    return PoolLogin(url=url, user=user, password=password or "x")


def _unwatched() -> None:
    """Nobody is asked."""


def _watch(client: ControlClient) -> Callable[[], None]:
    """Raises RefusedError where an event is live or near, or where nobody can tell."""

    def look() -> None:
        try:
            events = client.get("/v1/events")["rows"]
        except SilentPeerError as fault:
            raise RefusedError(
                f"nobody tells whether an event is live ({fault}); --no-controller where it is down on purpose"
            ) from fault
        for event in events:
            if is_live(event):
                raise RefusedError(f"event {event['id']} is live or starts soon: pools are changed after it")

    return look


def is_live(event: dict[str, Any]) -> bool:
    """Whether it runs, or starts before miners that restart now would be back."""
    return event["state"] not in OVER and event["starts_in_s"] <= SOON_S and event["ends_in_s"] > 0


async def _shown(config_path: str | None, selector: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    from farmctl.wiring import pools as work  # noqa: PLC0415 - drivers and numpy come with it

    places = await work.selected(config_path, selector)
    try:
        found = await work.read_facts(places)
    finally:
        await work.close(places)
    rows = [
        {**about, "id": str(place.row.miner_id), "host": place.row.host, "driver": place.row.driver}
        for place in places
        if isinstance(facts := found[place.row.miner_id], Facts)
        for about in _rows(facts)
    ]
    return rows, {str(miner): why for miner, why in found.items() if isinstance(why, str)}


def _rows(facts: Facts) -> list[dict[str, Any]]:
    about = {"firmware": facts.identity.firmware, "boards": facts.boards}
    found = [{"pool": pool.url, "user": pool.user, "alive": pool.alive, **about} for pool in facts.pools]
    return found or [{"pool": None, "user": None, "alive": None, **about}]


async def _changed(
    config_path: str | None,
    selector: str,
    logins: Sequence[PoolLogin],
    stages: Any,
    may_go_on: Callable[[], None],
    within_s: float,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    from farmctl.wiring import pools as work  # noqa: PLC0415 - drivers and numpy come with it

    places = await work.selected(config_path, selector)
    try:
        if dry_run:
            return await _plan(places, logins)
        report = await work.set_pools(places, logins, stages, may_go_on, read_back_s=within_s)
    finally:
        await work.close(places)
    return {
        "total": report.total,
        "changed": [str(miner) for miner in report.changed],
        "unchanged": [str(miner) for miner in report.unchanged],
        "failed": {str(miner): why for miner, why in report.failed.items()},
        "untouched": [str(miner) for miner in report.untouched],
    }


async def _plan(places: Sequence[Any], logins: Sequence[PoolLogin]) -> dict[str, Any]:
    from farmctl.wiring import pools as work  # noqa: PLC0415 - drivers and numpy come with it

    found = await work.read_facts(places)
    can = {place.row.miner_id for place in places if isinstance(place.device, SetsPools)}
    known = {str(miner): facts for miner, facts in found.items() if isinstance(facts, Facts) and miner in can}
    return {
        "total": len(places),
        "cannot": sorted(str(place.row.miner_id) for place in places if place.row.miner_id not in can),
        "would_change": [miner for miner, facts in known.items() if not work.same_pools(facts.pools, logins)],
        "unchanged": [miner for miner, facts in known.items() if work.same_pools(facts.pools, logins)],
        "failed": {str(miner): why for miner, why in found.items() if isinstance(why, str)},
    }


def _tell(said: dict[str, Any]) -> None:
    counts = ", ".join(f"{len(said[key])} {key.replace('_', ' ')}" for key in said if key != "total")
    click.echo(f"{said['total']} miners: {counts}")
    for miner, why in said.get("failed", {}).items():
        say(f"{miner}: {why}")
