"""`farmctl scan`: find the miners in address ranges, compare them with the inventory, and take them in when told to."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import click

from farmctl.cli.exits import Exit
from farmctl.cli.figures import Figure
from farmctl.cli.output import config_option, output_option, say

if TYPE_CHECKING:
    # numpy, pydantic and aiosqlite come with these: imported when the verb is called.
    from farmctl.config.load import Loaded
    from farmctl.engine.scan import Ranges, ScanReport, Stage, Taking
    from farmctl.ports.devices import Credentials, Driver
    from farmctl.ports.store import InventoryRow
    from farmctl.store.sqlstore import SqlStore

SPARE_FILES = 256
"""Open files kept for what is not a knock: the store, the drivers' own connections."""
PYASIC_IN_FLIGHT = 50
"""Above some 300 at a time pyasic's identification finds nobody (its time-out of 3 s is fixed); 100 were safe."""
PYASIC_DEADLINE_S = 30.0
"""The first call waits for the bridge's worker, which imports for a second and more on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line, read."""

    ranges: Ranges
    ports: dict[str, int]
    config_path: str | None
    rate: float
    compare: bool
    exit_code: bool
    write: bool
    out: Path | None
    circuit: str | None
    replace_lost: bool
    include_pyasic: bool
    output: str

    @property
    def about_site(self) -> bool:
        """Whether it cannot be done without a configuration."""
        return self.compare or self.exit_code or self.write


@click.command()
@click.argument("ranges", nargs=-1, required=True, metavar="RANGE...")
@config_option
@click.option("--rate", type=Figure(min=1, max=20_000), default=1000.0, show_default=True, help="Per second.")
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
    asked = Asked(ranges=wanted, ports=_ports(options.pop("ports_text")), **options)
    return uvloop.run(_run(asked))


async def _run(asked: Asked) -> int:
    from farmctl.cli.places import journal_of, owned  # noqa: PLC0415 - as in scan()
    from farmctl.store.owner import OwnedElsewhereError  # noqa: PLC0415 - as in scan()

    loaded = _configuration(asked)
    circuit = _circuit(loaded, asked)
    if not asked.write or loaded is None:
        return await _scanned(asked, loaded, circuit, None)
    try:
        # Owned before the search: nobody wants to hear after two minutes that it was in vain.
        store = await owned(journal_of(loaded))
    except OwnedElsewhereError as error:
        say(f"farmctl: {error}; while the controller runs use --out FILE.csv, and farmctl inventory import later")
        return Exit.CONFLICT
    try:
        return await _scanned(asked, loaded, circuit, store)
    finally:
        await store.close()


async def _scanned(asked: Asked, loaded: Loaded | None, circuit: str | None, store: SqlStore | None) -> int:
    from farmctl.cli.scan_report import Outcome, print_outcome  # noqa: PLC0415 - as in scan()
    from farmctl.engine.scan import diff, take  # noqa: PLC0415 - as in scan()

    known = await _known(asked, loaded, store)
    report = await _search(asked, loaded)
    changes = diff(report.found, known, within=asked.ranges)
    taking: Taking | None = None
    if store is not None or asked.out is not None:
        # A CSV may leave the circuit open: a person fills it in before importing it.
        given = circuit if store is not None else circuit or ""
        taking = take(changes, known, circuit=given, replace_lost=asked.replace_lost)
        await _write(asked, loaded, store, known, taking)
    compared = changes if asked.about_site or asked.out else None
    print_outcome(Outcome(report=report, changes=compared, taking=taking, out=asked.out), asked.output)
    if taking is not None and taking.held:
        return Exit.PARTIAL
    return Exit.PENDING if asked.exit_code and not changes.is_empty else Exit.OK


async def _search(asked: Asked, loaded: Loaded | None) -> ScanReport:
    from farmctl.cli.scan_report import ProgressLine  # noqa: PLC0415 - as in scan()
    from farmctl.engine.scan import ScanRules, scan  # noqa: PLC0415 - as in scan()
    from farmctl.engine.scan.nouns import STANDARD_PORTS  # noqa: PLC0415 - as in scan()
    from farmctl.ports.devices import Endpoint  # noqa: PLC0415 - as in scan()
    from farmctl.wiring.drivers import LAST, driver_places, load_drivers  # noqa: PLC0415 - as in scan()

    names = [name for name in driver_places() if name != LAST or asked.include_pyasic]
    drivers = load_drivers(names)
    stages = _stages(drivers)
    knocks = len(asked.ports or STANDARD_PORTS)
    most = max((_open_files() - SPARE_FILES - sum(stage.in_flight for stage in stages)) // knocks, 1)
    rules = ScanRules(rate_per_s=asked.rate, in_flight=min(ScanRules().in_flight, most))
    line = ProgressLine()
    try:
        return await scan(
            (Endpoint(host=host, ports=asked.ports) for host in asked.ranges),
            len(asked.ranges),
            stages=stages,
            rules=rules,
            login=_logins(loaded),
            on_progress=line.show,
        )
    finally:
        line.close()
        for driver in drivers.values():
            if isinstance(driver, _Closes):
                await driver.close()


def _stages(drivers: Mapping[str, Driver]) -> tuple[Stage, ...]:
    """Natives together, the bridge to the long tail alone and after them."""
    from farmctl.engine.scan import Stage  # noqa: PLC0415 - as in scan()
    from farmctl.wiring.drivers import LAST  # noqa: PLC0415 - as in scan()

    natives = Stage(drivers=tuple(driver for name, driver in drivers.items() if name != LAST))
    if LAST not in drivers:
        return (natives,)
    bridge = Stage(drivers=(drivers[LAST],), in_flight=PYASIC_IN_FLIGHT, deadline_s=PYASIC_DEADLINE_S, tries=1)
    return natives, bridge


def _logins(loaded: Loaded | None) -> Callable[[str, str], Credentials]:
    """Logins by driver and host; an entry that selects by model or place cannot fit a machine not yet known."""
    from farmctl.config.credentials import credentials_for, read_secret  # noqa: PLC0415 - as in scan()
    from farmctl.ports.devices import Credentials  # noqa: PLC0415 - as in scan()

    entries = loaded.config.credentials if loaded else ()
    passwords = {entry.password_file: read_secret(entry.password_file) for entry in entries}

    def login(driver: str, host: str) -> Credentials:
        entry = credentials_for(entries, driver, {"host": host})
        if entry is None:
            return Credentials()
        return Credentials(user=entry.user or "", password=passwords[entry.password_file])

    return login


async def _known(asked: Asked, loaded: Loaded | None, store: SqlStore | None) -> tuple[InventoryRow, ...]:
    """What the result is compared with: the site's inventory, else the CSV that it goes into."""
    from farmctl.cli.places import journal_of, known_miners  # noqa: PLC0415 - as in scan()
    from farmctl.inventory.csv import read_miners  # noqa: PLC0415 - as in scan()

    if store is not None:
        return await store.inventory()
    if asked.out is not None:
        if not await asyncio.to_thread(asked.out.exists):
            return ()
        text = await asyncio.to_thread(asked.out.read_text, encoding="utf-8-sig")
        return read_miners(text, str(asked.out)).rows
    return await known_miners(journal_of(loaded)) if loaded is not None and asked.about_site else ()


async def _write(
    asked: Asked, loaded: Loaded | None, store: SqlStore | None, known: Sequence[InventoryRow], taking: Taking
) -> None:
    from farmctl.cli.places import noted, write_new  # noqa: PLC0415 - as in scan()
    from farmctl.inventory.csv import write_miners  # noqa: PLC0415 - as in scan()

    removed = [row.miner_id for row in taking.removed]
    if store is not None:
        await store.put_inventory(taking.put)
        await store.remove_inventory(removed)
        changed = [row.miner_id for row in (*taking.moved, *taking.updated)]
        added = [row.miner_id for row in taking.added]
        await noted(store, "scan", added=added, changed=changed, removed=removed)
    elif asked.out is not None:
        rows = {row.miner_id: row for row in (*known, *taking.put)}
        for miner in removed:
            del rows[miner]
        text = write_miners(list(rows.values()), loaded.config.site.name if loaded else "")
        await asyncio.to_thread(write_new, asked.out, text, force=True)


def _configuration(asked: Asked) -> Loaded | None:
    """The site's configuration; None where nothing of it is needed and there is none (factory logins are tried)."""
    from farmctl.cli.places import configuration  # noqa: PLC0415 - as in scan()
    from farmctl.config.load import search  # noqa: PLC0415 - as in scan()
    from farmctl.errors import ConfigError  # noqa: PLC0415 - as in scan()

    if not asked.about_site and asked.config_path is None:
        try:
            search(None, os.environ, Path.cwd())
        except ConfigError:
            return None
    return configuration(asked.config_path)


def _circuit(loaded: Loaded | None, asked: Asked) -> str | None:
    """The circuit of new miners; the site's only one without --circuit, None where it has several."""
    from farmctl.config.build import circuit_tree  # noqa: PLC0415 - as in scan()

    if loaded is None:
        return asked.circuit
    names = circuit_tree(loaded.config).names
    if asked.circuit is not None and asked.circuit not in names:
        text = f"{asked.circuit!r}: expected a circuit of the configuration: {', '.join(names)}"
        raise click.BadParameter(text, param_hint="--circuit")
    return asked.circuit or (names[0] if len(names) == 1 else None)


def _ports(text: str | None) -> dict[str, int]:
    from farmctl.inventory.cells import SEPARATOR, read_ports  # noqa: PLC0415 - as in scan()

    try:
        return read_ports((text or "").replace(",", SEPARATOR))
    except ValueError as error:
        raise click.BadParameter(str(error).replace(SEPARATOR, ","), param_hint="--ports") from None


def _open_files() -> int:
    """Raise the soft limit on open files to the hard one, and say how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else sys.maxsize


@runtime_checkable
class _Closes(Protocol):
    """A driver that holds something between two identifications."""

    async def close(self) -> None: ...
