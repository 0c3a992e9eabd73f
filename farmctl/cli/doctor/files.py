"""Checks of configuration and store: lint, disk, journal, alert route, unsigned mode, site keys, factory logins."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from farmctl.cli.doctor.finding import Finding, fail, ok, warn
from farmctl.cli.doctor.patient import Patient
from farmctl.cli.doctor.site import Check
from farmctl.cli.places import journal_of
from farmctl.config.unsigned import unsigned_sites, unsigned_sources
from farmctl.errors import FarmError
from farmctl.store.journal import Intact
from farmctl.store.places import open_reader

ROOM = 0.10
CHAIN_S = 60.0
GIB = 2**30


def _lint(patient: Patient) -> Iterator[Finding]:
    if patient.loaded is None:
        first = patient.config_error.splitlines()
        yield fail("config lint", "; ".join(first[:3]), "farmctl config validate lists every fault")
    else:
        yield ok("config lint", f"no fault in {', '.join(map(str, patient.loaded.files))}")


def _disk(patient: Patient) -> Iterator[Finding]:
    if patient.loaded is None:
        return
    folder = patient.loaded.config.store.dir
    try:
        total, _, free = shutil.disk_usage(folder)
    except OSError as error:
        yield fail("disk", f"{folder}: {error.strerror}", "make the folder, for the daemon's user")
        return
    told = f"{free / GIB:.1f} GiB ({free / total:.0%}) free at {folder}"
    yield ok("disk", told) if free > ROOM * total else fail("disk", told, "see docs/runbooks/store_filling.md")


def _chain(patient: Patient) -> Iterator[Finding]:
    if patient.loaded is None or patient.quick:
        return
    journal = journal_of(patient.loaded)

    async def walk() -> str:
        reader = await open_reader(journal)
        try:
            async with asyncio.timeout(CHAIN_S):
                verdict = await reader.verify()
        finally:
            await reader.close()
        return "" if isinstance(verdict, Intact) else f"record {verdict.seq} does not fit: {verdict.what.value}"

    try:
        broken = asyncio.run(walk())
    except TimeoutError:
        yield warn("journal chain", f"not walked within {CHAIN_S:.0f} s", "farmctl journal verify takes its time")
    except FarmError as error:
        yield warn("journal chain", str(error), "nothing was journalled here yet, or this user may not read it")
    else:
        fix = "see docs/runbooks/audit_chain_broken.md"
        yield fail("journal chain", broken, fix) if broken else ok("journal chain", "intact")


def _route(patient: Patient) -> Iterator[Finding]:
    if patient.loaded is None:
        return
    names = [channel.name for channel in patient.loaded.config.notify]
    late = [row["where"] for row in patient.alarms if row["alarm"] == "outbox_backlog"]
    if late:
        yield fail("alert route", f"{', '.join(late)} does not deliver", "farmctl notify test")
    elif names:
        yield ok("alert route", f"{', '.join(names)}; farmctl notify test proves it")
    else:
        yield warn(
            "alert route", "no [[notify]] channel", "name one, or have Alertmanager page on farmctl_alarm_active"
        )


def _unsigned(patient: Patient) -> Iterator[Finding]:
    if patient.loaded is None:
        return
    open_ones = unsigned_sources(patient.loaded.config)
    if open_ones:
        fix = 'auth = "ed25519" with the issuer\'s key; unsigned is for a demo, or only ever lowers the load'
        yield warn("unsigned mode", f"{', '.join(open_ones)} takes unsigned messages", fix)
    else:
        yield ok("unsigned mode", "no source takes unsigned messages")


def _sites(patient: Patient) -> Iterator[Finding]:
    """Sites of a programme that cannot prove what they say."""
    programme = None if patient.loaded is None else patient.loaded.config.programme
    if patient.loaded is None or programme is None:
        return
    now = datetime.now(UTC)
    keyless = unsigned_sites(patient.loaded.config)
    over = [unit.name for unit in programme.site if unit.keys and not any(key.valid_at(now) for key in unit.keys)]
    bare = [unit.name for unit in programme.site if unit.keys and not unit.signs_telemetry]
    if keyless:
        fix = "[[programme.site.keys]] with the public half of the site's signing_key_file; unsigned is for a demo"
        yield warn("site keys", f"{', '.join(keyless)}: no key, so whoever can publish there speaks for it", fix)
    if over:
        fix = "[[programme.site.keys]] with the key that the site signs with now"
        yield fail("site keys", f"{', '.join(over)}: no key is valid now, nothing that it says counts", fix)
    if bare:
        fix = "have it sign telemetry, then take signs_telemetry out"
        yield warn("site keys", f"{', '.join(bare)}: its telemetry is not signed; it counts at its share at least", fix)
    if not (keyless or over or bare):
        yield ok("site keys", f"all {len(programme.site)} sites sign what they say")


def _logins(patient: Patient) -> Iterator[Finding]:
    from farmctl.wiring.drivers import load_drivers  # noqa: PLC0415 - drivers are heavy, and only this check asks them
    from farmctl.wiring.logins import factory_logins  # noqa: PLC0415 - see above

    if patient.loaded is None or not patient.inventory:
        return
    entries, rows = patient.loaded.config.credentials, patient.inventory
    try:
        found = factory_logins(entries, rows, load_drivers(sorted({row.driver for row in rows})))
    except FarmError as error:
        yield fail("factory passwords", str(error), "mend the file that [[credentials]] names")
        return
    if not found:
        yield ok("factory passwords", f"none is in use among {len(rows)} miners")
        return
    first, why = next(iter(sorted(found.items())))
    fix = "change them on the machines, then give them by [[credentials]] from a file"
    yield warn("factory passwords", f"{len(found)} of {len(rows)} miners; {first}: {why}", fix)


CHECKS: tuple[Check, ...] = (_lint, _disk, _chain, _route, _unsigned, _sites, _logins)
