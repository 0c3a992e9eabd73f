"""`farmctl scan`: find the miners in address ranges, compare them with the inventory, and take them in when told to."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, output_option, say

if TYPE_CHECKING:
    # numpy, pydantic and aiosqlite come with these: imported when the verb is called.
    from farmctl.config.load import Loaded
    from farmctl.engine.scan import Ranges, ScanReport, Stage, Taking
    from farmctl.engine.scan.scanner import Login
    from farmctl.ports.store import InventoryRow
    from farmctl.store.sqlite import SqliteStore

SPARE_FILES = 256
"""Open files kept for what is not a knock: the store, the drivers' own connections."""
PYASIC_IN_FLIGHT = 50
"""Above some 300 at a time pyasic's identification finds nobody (its time-out of 3 s is fixed); 100 were safe."""
PYASIC_DEADLINE_S = 30.0
"""The first call waits for the bridge's worker, which imports for a second and more on a busy machine."""


@click.command()
@click.argument("ranges", nargs=-1, required=True, metavar="RANGE...")
@config_option
@click.option("--rate", type=click.FloatRange(min=1, max=20_000), default=1000.0, show_default=True, help="Per second.")
@click.option("--ports", "ports_text", metavar="NAME=PORT,...", help="Such as api=4028,http=8080; else the usual ones.")
@click.option("--diff", "compare", is_flag=True, help="Compare with the inventory.")
@click.option("--exit-code", is_flag=True, help="With --diff: exit 8 where something has changed.")
@click.option("--write", is_flag=True, help="Take what was found into the site's inventory.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Take what was found into this CSV.")
@click.option("--circuit", help="Circuit of new miners; the only one of the site without this.")
@click.option("--replace-lost", is_flag=True, help="Forget a miner found nowhere whose place another one has taken.")
@click.option("--include-pyasic", is_flag=True, help="Ask the pyasic bridge about what no native driver recognises.")
@output_option
def scan(ranges: tuple[str, ...], **options: Any) -> int:
    """Find miners in address RANGEs: 10.1.0.0/16, 10.1.2.10-10.1.2.60, 10.1.2.3.

    Changes nothing without --write or --out, and never sends anything but questions to the addresses given.
    """
    import uvloop  # noqa: PLC0415 - only what runs a loop pays for it

    from farmctl.engine.scan import RangesError, read_ranges  # noqa: PLC0415 - see above

    if options["write"] and options["out"]:
        raise click.UsageError("--write and --out: expected one of them")
    try:
        wanted = read_ranges(ranges)
    except RangesError as error:
        raise click.BadParameter(str(error), param_hint="RANGE") from None
    ports = _ports(options["ports_text"])
    return uvloop.run(_run(wanted, ports, options))


async def _run(ranges: Ranges, ports: dict[str, int], options: dict[str, Any]) -> int:
    from farmctl.cli.places import journal_of, known_miners, owned  # noqa: PLC0415 - as in scan()
    from farmctl.cli.scan_report import Outcome, print_outcome  # noqa: PLC0415 - as in scan()
    from farmctl.engine.scan import diff, take  # noqa: PLC0415 - as in scan()
    from farmctl.store.owner import OwnedElsewhereError  # noqa: PLC0415 - as in scan()

    wants_site = options["compare"] or options["write"] or options["exit_code"]
    loaded = _configuration(options["config_path"], needed=wants_site)
    circuit = _circuit(loaded, options["circuit"])
    store: SqliteStore | None = None
    try:
        if options["write"] and loaded:
            try:
                # Owned before the search: nobody wants to hear after two minutes that it was in vain.
                store = await owned(journal_of(loaded))
            except OwnedElsewhereError as error:
                say(f"farmctl: the controller is running: {error}; or use --out FILE.csv, and import it later")
                return Exit.CONFLICT
        report = await _search(ranges, ports, loaded, options)
        known = await _known(store, loaded if wants_site else None, options["out"])
        changes = diff(report.found, known, within=ranges)
        taking: Taking | None = None
        if options["write"] or options["out"]:
            # A CSV may leave the circuit open: a person fills it in before importing.
            given = circuit if store or circuit else "?"
            taking = take(changes, known, circuit=given, replace_lost=options["replace_lost"])
            await _written(store, options["out"], known, taking)
    finally:
        if store is not None:
            await store.close()
    compared = changes if wants_site or options["out"] else None
    print_outcome(Outcome(report=report, changes=compared, taking=taking, out=options["out"]), options["output"])
    if taking is not None and taking.held:
        return Exit.PARTIAL
    return Exit.PENDING if options["exit_code"] and not changes.is_empty else Exit.OK
