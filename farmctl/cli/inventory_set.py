"""`farmctl inventory set`: many miners edited at once, after a look at what would change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, print_json, say

if TYPE_CHECKING:
    # numpy, pydantic and aiosqlite come with these: imported when the verb is called.
    from collections.abc import Sequence

    from farmctl.config.load import Loaded
    from farmctl.control.filter import Columns, Term
    from farmctl.inventory.edit import Change, Edited
    from farmctl.ports.store import InventoryRow

LISTED = 20
"""Changes named one by one on a terminal; JSON has all of them."""


@click.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="COLUMN=VALUE...")
@click.option("-l", "--filter", "filters", multiple=True, help="Such as 'cont=C041 model~S21 !tag=hot'.")
@click.option("--all", "everybody", is_flag=True, help="All miners of the site, without a filter.")
@config_option
@click.option("--reason", help="Why; goes into the journal. Not needed with --dry-run.")
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@click.option("--exit-code", is_flag=True, help="With --dry-run: exit 8 where something would change.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def set_(  # noqa: PLR0913 - each is an option of its own
    changes: tuple[str, ...],
    filters: tuple[str, ...],
    config_path: str | None,
    reason: str | None,
    output: str,
    *,
    everybody: bool,
    dry_run: bool,
    exit_code: bool,
) -> int:
    """Set columns of the miners that a filter chooses, after a look with --dry-run.

    Columns: circuit, container, rack, slot, phase, tier, protected, owner, tags. COLUMN= empties it; tags+=a;b and
    tags-=a add and take. A filter looks at id, host, driver, model, fw, serial, cont, rack, slot, phase, circuit, tier,
    protected, tag, owner. Refuses what the site could not be run with.
    """
    from farmctl.cli.places import configuration  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.control.filter import FilterError, parse  # noqa: PLC0415 - see above
    from farmctl.inventory.edit import read_changes  # noqa: PLC0415 - see above
    from farmctl.store.owner import OwnedElsewhereError  # noqa: PLC0415 - see above

    if bool(filters) == everybody:
        raise click.UsageError("expected -l FILTER, or --all for the whole site")
    if not dry_run and not reason:
        raise click.UsageError("--reason: expected why, in a few words")
    try:
        wanted, terms = read_changes(changes), parse(" ".join(filters))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="COLUMN=VALUE") from None
    except FilterError as error:
        raise click.BadParameter(str(error), param_hint="--filter") from None
    loaded = configuration(config_path)
    try:
        edited = asyncio.run(_edited(loaded, terms, wanted, None if dry_run else reason))
    except OwnedElsewhereError as error:
        say(f"farmctl: {error}; --dry-run works beside it")
        return Exit.CONFLICT
    if output == "json":
        print_json({"dry_run": dry_run, "matched": len(edited.matched), "changed": edited.differences()})
    else:
        _tell(edited, dry_run=dry_run)
    return Exit.PENDING if dry_run and exit_code and edited.after else Exit.OK


async def _edited(loaded: Loaded, terms: tuple[Term, ...], changes: Sequence[Change], reason: str | None) -> Edited:
    """Edit and check; written with a reason, only shown without one."""
    from farmctl.cli.places import journal_of, known_miners, noted, owned  # noqa: PLC0415 - as above

    if reason is None:
        return _checked(loaded, await known_miners(journal_of(loaded)), terms, changes)
    store = await owned(journal_of(loaded))
    try:
        edited = _checked(loaded, await store.inventory(), terms, changes)
        await store.put_inventory(edited.after)
        await noted(store, "inventory set", reason, changed=[row.miner_id for row in edited.after])
    finally:
        await store.close()
    return edited


def _checked(
    loaded: Loaded, rows: Sequence[InventoryRow], terms: tuple[Term, ...], changes: Sequence[Change]
) -> Edited:
    """The inventory after the edit; raises InventoryFaultsError where `run` would refuse it."""
    from farmctl.config.build import circuit_tree  # noqa: PLC0415 - as above
    from farmctl.control.filter import matching  # noqa: PLC0415 - as above
    from farmctl.inventory.check import check_rows  # noqa: PLC0415 - as above
    from farmctl.inventory.edit import edit  # noqa: PLC0415 - as above
    from farmctl.inventory.fault import InventoryFaultsError  # noqa: PLC0415 - as above
    from farmctl.wiring.drivers import driver_places  # noqa: PLC0415 - as above

    hits = matching(terms, _columns(rows))
    chosen = frozenset(row.miner_id for row, hit in zip(rows, hits.tolist(), strict=True) if hit)
    edited = edit(rows, chosen, changes)
    faults = check_rows(edited.after, tree=circuit_tree(loaded.config), drivers=driver_places())
    if faults:
        raise InventoryFaultsError(faults)
    return edited


def _columns(rows: Sequence[InventoryRow]) -> Columns:
    """The inventory as the filter sees it, under the names that `farmctl miners list` has."""
    import numpy as np  # noqa: PLC0415 - as above

    from farmctl.control.filter import Columns  # noqa: PLC0415 - as above

    words = {
        "id": [str(row.miner_id) for row in rows],
        "host": [row.host for row in rows],
        "driver": [row.driver for row in rows],
        "model": [row.model for row in rows],
        "fw": [row.firmware for row in rows],
        "serial": [row.serial for row in rows],
        "cont": [row.container for row in rows],
        "rack": [row.rack for row in rows],
        "slot": [row.slot for row in rows],
        "phase": [row.phase for row in rows],
        "circuit": [row.circuit for row in rows],
        "protected": ["yes" if row.protected else "no" for row in rows],
        "tag": [" ".join(row.tags) for row in rows],
        "owner": [row.owner for row in rows],
    }
    return Columns(
        words={name: np.array(cells, dtype=np.str_) for name, cells in words.items()},
        numbers={"tier": np.array([row.tier for row in rows], dtype=np.float64)},
    )


def _tell(edited: Edited, *, dry_run: bool) -> None:
    differences = edited.differences()
    for change in differences[:LISTED]:
        told = ", ".join(f"{name} {_cell(old)} -> {_cell(new)}" for name, (old, new) in _pairs(change))
        click.echo(f"{change['miner_id']}  {told}")
    if len(differences) > LISTED:
        click.echo(f"... and {len(differences) - LISTED} more")
    would = "would be " if dry_run else ""
    say(f"{len(edited.matched)} miners match, {len(differences)} {would}changed")


def _pairs(change: dict[str, object]) -> list[tuple[str, tuple[object, object]]]:
    return [(name, (pair[0], pair[1])) for name, pair in change.items() if isinstance(pair, list)]


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ";".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "-"
