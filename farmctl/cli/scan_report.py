"""How a scan shows itself: a bar or a line per tenth on the way, then a table, JSON or CSV."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from farmctl.cli.output import print_json, print_rows, say
from farmctl.engine.scan import Diff, Found, Progress, ScanReport, Taking

COLUMNS = ("miner_id", "host", "driver", "model", "firmware", "serial")
REDRAW_S = 0.2
BAR_CELLS = 30
TENTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished scan and what became of it."""

    report: ScanReport
    changes: Diff | None
    """None where nothing was compared."""
    taking: Taking | None
    """None for a dry run."""
    out: Path | None


class ProgressLine:
    """Progress on stderr: one redrawn line on a terminal, elsewhere one line per 10 %."""

    def __init__(self) -> None:
        """NO_COLOR asks for plain lines, too."""
        self._live = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        self._tenth = 0
        self._last_s = 0.0

    def show(self, progress: Progress) -> None:
        """Take one step."""
        if self._live:
            now_s = time.monotonic()
            if now_s - self._last_s >= REDRAW_S or progress.done == progress.total:
                self._last_s = now_s
                click.echo(f"\r\x1b[K{bar(progress)} {_words(progress)}", nl=False, err=True)
            return
        tenth = progress.done * TENTHS // max(progress.total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            say(f"scan: {tenth * 10} %, {_words(progress)}")

    def close(self) -> None:
        """Leave the line."""
        if self._live:
            click.echo("", err=True)


def bar(progress: Progress) -> str:
    """Three segments: settled, under way, to come."""
    total = max(progress.total, 1)
    settled = progress.done * BAR_CELLS // total
    under_way = progress.started * BAR_CELLS // total - settled
    return f"[{'=' * settled}{'>' * under_way}{'.' * (BAR_CELLS - settled - under_way)}]"


def print_outcome(outcome: Outcome, output: str) -> None:
    """Data on stdout, sums on stderr."""
    if output == "json":
        print_json(_told(outcome))
    else:
        rows = list(_rows(outcome))
        columns = (*COLUMNS, "change") if outcome.changes is not None else COLUMNS
        print_rows([{column: _plain(row.get(column)) for column in columns} for row in rows], columns, output)
    _sums(outcome)


def _words(progress: Progress) -> str:
    left = "" if progress.eta_s is None or progress.done == progress.total else f", {progress.eta_s:.0f} s left"
    return f"{progress.done} of {progress.total} addresses, {progress.found} miners{left}"


def _told(outcome: Outcome) -> dict[str, Any]:
    report, changes, taking = outcome.report, outcome.changes, outcome.taking
    return {
        "addresses": report.addresses,
        "wall_s": round(report.wall_s, 3),
        "found": [_miner(found) for found in report.found],
        "unknown": [
            {
                "host": spot.endpoint.host,
                "ports": dict(spot.endpoint.ports),
                "listening": list(spot.listening),
                "locked": spot.locked,
                "why": spot.why,
            }
            for spot in report.unknown
        ],
        "diff": None if changes is None else _diff(changes),
        "written": None if taking is None else _written(taking, outcome.out),
    }


def _miner(found: Found) -> dict[str, Any]:
    who = found.identity
    return {
        "miner_id": who.miner_id,
        "host": found.endpoint.host,
        "ports": dict(found.endpoint.ports),
        "driver": who.driver,
        "model": who.model,
        "firmware": who.firmware,
        "mac": who.mac,
        "serial": who.serial,
    }


def _diff(changes: Diff) -> dict[str, Any]:
    return {
        "new": [found.identity.miner_id for found in changes.new],
        "moved": [
            {"miner_id": m.known.miner_id, "from": m.known.host, "to": m.found.endpoint.host} for m in changes.moved
        ],
        "swapped": [
            {
                "miner_id": m.known.miner_id,
                "from": m.known.host,
                "to": m.found.endpoint.host,
                "place_of": None if m.owner is None else m.owner.miner_id,
            }
            for m in changes.swapped
        ],
        "missing": [{"miner_id": row.miner_id, "host": row.host} for row in changes.missing],
        "doubled": [{"miner_id": f.identity.miner_id, "host": f.endpoint.host} for f in changes.doubled],
        "unchanged": len(changes.unchanged),
    }


def _written(taking: Taking, out: Path | None) -> dict[str, Any]:
    return {
        "to": "inventory" if out is None else str(out),
        "added": [row.miner_id for row in taking.added],
        "moved": [row.miner_id for row in taking.moved],
        "updated": [row.miner_id for row in taking.updated],
        "removed": [row.miner_id for row in taking.removed],
        "held": [
            {"miner_id": held.found.identity.miner_id, "host": held.found.endpoint.host, "why": held.why}
            for held in taking.held
        ],
    }


def _rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    changes = outcome.changes
    what: dict[tuple[str, str], str] = {}
    if changes is not None:
        what = {_key(found): "new" for found in changes.new} | {_key(found): "doubled" for found in changes.doubled}
        what |= {_key(move.found): f"moved from {move.known.host}" for move in changes.moved}
        for move in changes.swapped:
            of = move.owner.miner_id if move.owner else ""
            what[_key(move.found)] = f"moved from {move.known.host} to the place of {of}"
    for found in outcome.report.found:
        yield {**_miner(found), "change": what.get(_key(found), "")}
    for row in changes.missing if changes is not None else ():
        yield {name: getattr(row, name) for name in COLUMNS} | {"change": "missing"}


def _plain(text: object) -> str:
    """Without control characters: a stranger's model name must not steer the terminal (JSON escapes them itself)."""
    return "".join(each if each.isprintable() else "?" for each in str(text))


def _key(found: Found) -> tuple[str, str]:
    return found.identity.miner_id, f"{found.endpoint.host} {sorted(found.endpoint.ports.items())}"


def _sums(outcome: Outcome) -> None:
    report, changes, taking = outcome.report, outcome.changes, outcome.taking
    for spot in report.unknown:
        say(f"unknown: {spot.endpoint.host} listens on {', '.join(spot.listening)}: {_plain(spot.why)}")
    counts = f"{len(report.found)} miners and {len(report.unknown)} unknown devices at {report.addresses} addresses"
    say(f"scan: {counts} in {report.wall_s:.1f} s")
    if changes is not None:
        say(
            f"scan: {len(changes.new)} new, {len(changes.moved)} moved, "
            f"{len(changes.swapped)} on the place of another, {len(changes.missing)} missing, "
            f"{len(changes.doubled)} doubled, {len(changes.unchanged)} unchanged"
        )
    if taking is None:
        say("scan: nothing was written; --write takes this into the inventory")
        return
    for held in taking.held:
        say(f"held back: {held.found.identity.miner_id} at {held.found.endpoint.host}: {held.why}")
    to = "the inventory" if outcome.out is None else str(outcome.out)
    say(
        f"scan: {to}: {len(taking.added)} added, {len(taking.moved)} moved, {len(taking.updated)} updated, "
        f"{len(taking.removed)} removed, {len(taking.held)} held back"
    )
