"""`farmctl doctor`: every check with ok, warn or fail, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.cli.asking import Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import output_option, print_rows, say

if TYPE_CHECKING:
    from farmctl.cli.doctor.finding import Finding

COLUMNS = ("check", "level", "found", "fix")


@click.command()
@asking
@click.option("--quick", is_flag=True, help="Leave out what takes long: walking the journal, knocking at miners.")
@output_option
def doctor(*, door: Door, quick: bool, output: str) -> int:
    """Check this host, its configuration and the running controller; exit 1 where a check fails."""
    findings = examine(door, quick=quick)
    rows = [{"check": f.check, "level": f.level, "found": f.found, "fix": f.fix} for f in findings]
    print_rows(rows, COLUMNS, output)
    counts = {level: sum(f.level == level for f in findings) for level in ("ok", "warn", "fail")}
    say("farmctl: " + ", ".join(f"{n} {level}" for level, n in counts.items()))
    return Exit.ERROR if counts["fail"] else Exit.OK


def examine(door: Door, *, quick: bool) -> list[Finding]:
    """Every check; one that cannot be made says why, and hinders no other."""
    from farmctl.cli.doctor import crew, files, host, site  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.cli.doctor.patient import Patient  # noqa: PLC0415 - see above

    patient = Patient(door, quick=quick)
    checks = (*site.CHECKS, *files.CHECKS, *crew.CHECKS, *host.CHECKS)
    return [finding for check in checks for finding in check(patient)]
