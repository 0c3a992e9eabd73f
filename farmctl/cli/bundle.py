"""`farmctl support-bundle`: one archive with everything a maintainer needs, and no secret in it."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl import __version__
from farmctl.cli.asking import Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import object_option, print_object, say

if TYPE_CHECKING:
    from farmctl.cli.doctor.patient import Patient
    from farmctl.config.load import Loaded

ASKED = (
    "state", "alarms", "alarms/stats", "events", "overrides", "jobs", "containers", "racks", "circuits", "meters",
    "config", "whoami", "control/lease",
)  # fmt: skip
MOST_AUDIT = 500
MOST_MINERS = 2_000
LARGEST_LOG = 4 * 2**20


@click.command("support-bundle")
@asking
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Else farmctl-support-*.tgz."
)
@click.option("--log", "logs", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A log to take along, redacted; the last 4 MiB of it.")  # fmt: skip
@object_option
def support_bundle(*, door: Door, out: Path | None, logs: tuple[Path, ...], output: str) -> int:
    """Write configuration, doctor's report, alarms, audit and state into one archive; secrets are left out."""
    from farmctl.cli.doctor import examine  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.cli.doctor.patient import Patient  # noqa: PLC0415 - see above
    from farmctl.cli.redact import Redactor  # noqa: PLC0415 - see above

    if out is not None and (out.exists() or not out.parent.is_dir()):
        what = "is there already: expected a new file" if out.exists() else "expected a folder that is there"
        raise click.UsageError(f"--out {out}: {what}")
    patient = Patient(door, quick=True)
    redactor = Redactor.of(patient.loaded)
    path = out or Path(f"farmctl-support-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tgz")
    found = [{"check": f.check, "level": f.level, "found": f.found, "fix": f.fix} for f in examine(door, quick=True)]
    members = {"doctor.json": _json(found), **dict(_files(patient, patient.loaded, logs))}
    with tarfile.open(path, "x:gz") as archive:
        for name, text in members.items():
            data = redactor.clean(text).encode()
            info = tarfile.TarInfo(f"farmctl-support/{name}")
            info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
            archive.addfile(info, io.BytesIO(data))
    path.chmod(0o600)
    if output != "table":
        print_object({"file": str(path), "members": sorted(members), "redacted": redactor.hits}, output)
    else:
        click.echo(str(path))
    say(f"farmctl: {len(members)} files, {redactor.hits} secrets left out; look through it before you send it")
    return Exit.OK


def _files(patient: Patient, loaded: Loaded | None, logs: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    yield "version.txt", f"farmctl {__version__}\n"
    if loaded is not None:
        for file in loaded.files:
            yield f"config/{file.name}", file.read_text(encoding="utf-8", errors="replace")
    elif patient.config_error:
        yield "config/faults.txt", patient.config_error
    for path in ASKED:
        told = patient.ask(f"/v1/{path}")
        if told is not None:
            yield f"api/{path.replace('/', '_')}.json", _json(told)
    for name, query in (("audit", MOST_AUDIT), ("miners", MOST_MINERS)):
        told = patient.ask(f"/v1/{name}", limit=query)
        if told is not None:
            yield f"api/{name}.json", _json(told)
    if patient.controller_error:
        yield "api/error.txt", patient.controller_error
    for log in logs:
        yield f"logs/{log.name}", log.read_bytes()[-LARGEST_LOG:].decode(errors="replace")


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, sort_keys=True)
