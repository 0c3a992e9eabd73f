"""Checks of a site of several processes: its database, the clock against it, replicas, leases and their terms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from farmctl.cli.doctor.finding import Finding, fail, ok, warn
from farmctl.cli.doctor.patient import Patient
from farmctl.cli.doctor.site import Check
from farmctl.errors import FarmError
from farmctl.store.health import Health, examine
from farmctl.store.places import Database
from farmctl.wiring.stores import place_of

SKEW_S = 1.0
"""Ages of readings and deadlines of commands are compared over hosts; leases have the database's clock alone."""
LAG_S = 5.0
CONNECT_S = 2.0
"""Longest wait of a command for its connection; what follows it is fenced at each write."""


def _database(patient: Patient) -> Iterator[Finding]:
    if patient.loaded is None or patient.loaded.config.store.kind != "postgres":
        return
    try:
        place = place_of(patient.loaded.config)
        if not isinstance(place, Database):
            return
        health = asyncio.run(examine(place.dsn))
    except (FarmError, ImportError) as error:
        yield fail("database", str(error), "see docs/runbooks/workers/database_gone.md")
        return
    yield from _judged(health)
    guard_s = patient.loaded.config.workers.lease_s / 3
    told = f"lease {patient.loaded.config.workers.lease_s:g} s, guard {guard_s:g} s, connections within {CONNECT_S:g} s"
    if guard_s < CONNECT_S:
        yield warn("lease terms", told, "workers.lease_s of 6 or more, or slow miners are commanded in vain")
    else:
        yield ok("lease terms", told)


def _judged(health: Health) -> Iterator[Finding]:
    if health.standby:
        yield fail("database", "a standby answers", "name both hosts in the DSN and target_session_attrs=primary")
    else:
        yield ok("database", "the primary answers")
    told = f"{health.skew_s:+.2f} s against the database, known to {health.within_s:.2f} s"
    off = abs(health.skew_s) > SKEW_S + health.within_s
    yield fail("database clock", told, "have both synchronised by NTP") if off else ok("database clock", told)
    if not health.replicas:
        yield warn("replication", "no replica", "a pair and a witness: configs/patroni")
    else:
        told = f"{health.replicas} replicas, the last {health.lag_s:.1f} s behind"
        late = health.lag_s > LAG_S
        yield warn("replication", told, "patronictl list; its network and disk") if late else ok("replication", told)
    told = f"{health.shards - health.orphans} of {health.shards} shards held, {health.leaders} leads"
    if health.orphans or not health.leaders:
        yield fail("leases", told, "start workers: docs/runbooks/workers/worker_lost.md, controller_lost.md")
    else:
        yield ok("leases", told)


CHECKS: tuple[Check, ...] = (_database,)
