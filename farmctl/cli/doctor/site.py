"""Checks of the running controller: socket and role, version, freshness, miners, lag, duplicates."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from farmctl import __version__
from farmctl.cli.doctor.finding import Finding, fail, ok, warn
from farmctl.cli.doctor.patient import Patient

Check = Callable[[Patient], Iterator[Finding]]
SILENT_SHARE = 0.2
FRESH_S = 15.0
SIGNAL_S = 30.0


def _socket(patient: Patient) -> Iterator[Finding]:
    me = patient.whoami
    if me is not None:
        yield ok("socket and role", f"{me['name']} is {me['role']}")
    elif patient.refused:
        yield fail("socket and role", patient.controller_error, "have this user added to [api] viewers, or its group")
    else:
        yield fail("socket and role", patient.controller_error, "start it: systemctl start farmctl, or farmctl run")


def _version(patient: Patient) -> Iterator[Finding]:
    me = patient.whoami
    theirs = None if me is None else me.get("version")
    if theirs == __version__:
        yield ok("version skew", f"client and controller are {theirs}")
    elif theirs is not None:
        yield warn("version skew", f"client {__version__}, controller {theirs}", "restart it, or upgrade this client")


def _freshness(patient: Patient) -> Iterator[Finding]:
    state = patient.state
    if state is None:
        return
    meter = state["meter_quality"]
    if meter == "OK":
        yield ok("meter", "the site meter is good")
    else:
        level = warn if meter == "ESTIMATED" else fail
        yield level("meter", f"the site meter is {meter}", "see docs/runbooks/meter_lost_armed.md")
    age_s = state["signal_age_s"]
    if age_s is None:
        yield warn("signals", "no signal was heard yet", "check [[signal]], the broker and its keys")
    elif age_s > SIGNAL_S:
        yield fail("signals", f"the last signal is {age_s:.0f} s old", "see docs/runbooks/signal_stale.md")
    else:
        yield ok("signals", f"the last signal is {age_s:.1f} s old")
    if not state["fresh"]:
        fix = "see docs/runbooks/cycle_stalled.md"
        yield fail("control cycle", f"the last decision is {state['age_s']:.0f} s old", fix)


def _reachable(patient: Patient) -> Iterator[Finding]:
    """Share of each /24 that answers, by what the controller polls anyway."""
    hosts = {row.miner_id: row.host for row in patient.inventory}
    nets: dict[str, list[bool]] = defaultdict(list)
    for row in patient.miners:
        host = hosts.get(row["id"], "")
        answers = row["age"] is not None and row["age"] <= FRESH_S
        nets[_net(host)].append(answers)
    bad = {net: seen for net, seen in nets.items() if seen.count(False) > SILENT_SHARE * len(seen)}
    for net, seen in sorted(bad.items()):
        told = f"{seen.count(True)} of {len(seen)} miners answer"
        yield fail(f"subnet {net}", told, "check its switch and uplink; docs/runbooks/container_offline.md")
    if nets and not bad:
        yield ok("subnets", f"{len(nets)} subnets, {sum(map(len, nets.values()))} miners looked at")


def _net(host: str) -> str:
    try:
        return str(ipaddress.ip_network(f"{host}/24", strict=False))
    except ValueError:
        return "by name"


def _credentials(patient: Patient) -> Iterator[Finding]:
    """Miners that follow no command, by model and firmware: one firmware is one password."""
    deaf = Counter(f"{row['model']} {row['fw']}".strip() for row in patient.miners if row["reason"] == "GAVE_UP")
    for firmware, n in deaf.most_common():
        yield fail("credentials", f"{n} of {firmware} follow no command", "check [[credentials]] for this firmware")
    locked = Counter(row["model"] for row in patient.miners if row["reason"] == "OBSERVE_ONLY")
    for model, n in locked.most_common():
        fix = "its identity is not proved, or its driver cannot command: farmctl miners list -l reason=OBSERVE_ONLY"
        yield warn("credentials", f"{n} of {model} may not be commanded", fix)
    if patient.miners and not deaf and not locked:
        yield ok("credentials", "every firmware follows")


def _duplicates(patient: Patient) -> Iterator[Finding]:
    places = Counter((row.host, tuple(sorted(row.ports.items()))) for row in patient.inventory)
    doubles = [host for (host, _), n in places.items() if n > 1]
    moved = [row["where"] for row in patient.alarms if row["alarm"] == "address_conflict"]
    if doubles or moved:
        told = ", ".join(sorted({*doubles, *moved})[:5])
        yield warn("duplicate or moved miners", told, "farmctl scan RANGE --diff, then --write")
    elif patient.inventory:
        yield ok("duplicate or moved miners", f"none among {len(patient.inventory)}")
    elif patient.loaded is not None:
        yield warn("inventory", "no miner is listed here", "farmctl scan RANGE --write")


CHECKS: tuple[Check, ...] = (_socket, _version, _freshness, _reachable, _credentials, _duplicates)
