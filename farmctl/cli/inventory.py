"""`farmctl inventory`: the miners of a site, in from CSV and out to CSV."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmctl.cli.exits import Exit
from farmctl.cli.inventory_set import set_
from farmctl.cli.output import config_option, print_json, say

if TYPE_CHECKING:
    # numpy, pydantic and aiosqlite come with these: imported when a verb is called.
    from farmctl.config.load import Loaded
    from farmctl.inventory.csv import Merged, MinersFile
    from farmctl.ports.store import InventoryRow

LISTED = 20
"""Changes named one by one on a terminal; JSON has all of them."""


@click.group()
def inventory() -> None:
    """Import, export and edit the miners."""


inventory.add_command(set_)


@inventory.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@config_option
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@click.option("--exit-code", is_flag=True, help="With --dry-run: exit 8 where something would change.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def import_(file: Path, config_path: str | None, output: str, *, dry_run: bool, exit_code: bool) -> int:
    """Merge FILE into the inventory by miner id; columns that it lacks stay as they are, no miner is removed.

    Refuses the whole file, with the line of every fault, where one row or the merged inventory could not be run.
    """
    from farmctl.cli.places import configuration  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.store.owner import OwnedElsewhereError  # noqa: PLC0415 - see above

    loaded = configuration(config_path)
    read = _read(file, loaded)
    try:
        merged = asyncio.run(_import(file, read, loaded, dry_run=dry_run))
    except OwnedElsewhereError as error:
        say(f"farmctl: {error}; --dry-run works beside it")
        return Exit.CONFLICT
    if output == "json":
        print_json(
            {
                "file": str(file),
                "dry_run": dry_run,
                "rows": len(read.rows),
                "miners": len(merged.rows),
                "added": list(merged.added),
                "changed": list(merged.changed),
                "moved": list(merged.moved),
            }
        )
    else:
        _tell(merged, dry_run=dry_run)
    pending = dry_run and exit_code and bool(merged.added or merged.changed)
    return Exit.PENDING if pending else Exit.OK


@inventory.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), default=Path("-"))
@config_option
@click.option("--force", is_flag=True, help="Replace FILE where it is there already.")
def export(file: Path, config_path: str | None, *, force: bool) -> int:
    """Write the inventory to FILE, or to stdout; `inventory import` takes it back. Works while the controller runs."""
    from farmctl.cli.places import configuration, write_new  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.inventory.csv import write_miners  # noqa: PLC0415 - see above

    loaded = configuration(config_path)
    rows = asyncio.run(_rows(loaded))
    text = write_miners(rows, loaded.config.site.name)
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        write_new(file, text, force=force)
        say(f"{len(rows)} miners in {file}")
    return Exit.OK


def _read(file: Path, loaded: Loaded) -> MinersFile:
    from farmctl.config.build import circuit_tree  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.inventory.csv import read_miners  # noqa: PLC0415 - see above
    from farmctl.wiring.drivers import driver_places  # noqa: PLC0415 - see above

    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise click.UsageError(f"{file}: expected a readable CSV file: {reason}") from None
    circuits = frozenset(circuit_tree(loaded.config).names)
    site = loaded.config.site.name
    return read_miners(text, str(file), drivers=frozenset(driver_places()), circuits=circuits, site=site)


async def _import(file: Path, read: MinersFile, loaded: Loaded, *, dry_run: bool) -> Merged:
    """Merge and check against the store; write it unless it is a dry run, which needs no right to write."""
    from farmctl.cli.places import journal_of, known_miners, noted, owned  # noqa: PLC0415 - as above

    if dry_run:
        return _merged(file, read, loaded, await known_miners(journal_of(loaded)))
    store = await owned(journal_of(loaded))
    try:
        merged = _merged(file, read, loaded, await store.inventory())
        touched = {*merged.added, *merged.changed}
        await store.put_inventory([row for row in merged.rows if row.miner_id in touched])
        await noted(store, "inventory import", added=merged.added, changed=merged.changed, removed=())
    finally:
        await store.close()
    return merged


def _merged(file: Path, read: MinersFile, loaded: Loaded, known: tuple[InventoryRow, ...]) -> Merged:
    """The merged inventory; raises InventoryFaultsError where `run` would refuse it."""
    from farmctl.config.build import circuit_tree  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.inventory.check import check_rows  # noqa: PLC0415 - see above
    from farmctl.inventory.csv import merge  # noqa: PLC0415 - see above
    from farmctl.inventory.fault import InventoryFaultsError  # noqa: PLC0415 - see above
    from farmctl.wiring.drivers import driver_places  # noqa: PLC0415 - see above

    merged = merge(known, read.rows, read.columns - {"miner_id"})
    tree = circuit_tree(loaded.config)
    faults = check_rows(merged.rows, tree=tree, drivers=driver_places(), file=str(file), lines=read.lines)
    if faults:
        raise InventoryFaultsError(faults)
    return merged


async def _rows(loaded: Loaded) -> tuple[InventoryRow, ...]:
    from farmctl.cli.places import journal_of  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.store.places import open_reader  # noqa: PLC0415 - see above

    reader = await open_reader(journal_of(loaded))
    try:
        return await reader.inventory()
    finally:
        await reader.close()


def _tell(merged: Merged, *, dry_run: bool) -> None:
    names = [("new", miner) for miner in merged.added]
    names += [("moved" if miner in set(merged.moved) else "changed", miner) for miner in merged.changed]
    for what, miner in names[:LISTED]:
        click.echo(f"{what:<8} {miner}")
    if len(names) > LISTED:
        click.echo(f"... and {len(names) - LISTED} more")
    would = "would be " if dry_run else ""
    say(f"{len(merged.added)} {would}added, {len(merged.changed)} {would}changed, {len(merged.rows)} miners in all")
