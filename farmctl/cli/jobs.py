"""`farmctl jobs`: how far an order has got, by the meter."""

from __future__ import annotations

import time
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json, say
from farmctl.control.client import part
from farmctl.control.sizes import span_s

LOOK_S = 0.5
ENDS = {"done": Exit.OK, "partial": Exit.PARTIAL, "superseded": Exit.CONFLICT}
"""State that an order ends in -> what the shell sees."""
_output = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group()
def jobs() -> None:
    """Watch orders that were taken."""


@jobs.command("get", cls=ClientVerb)
@asking
@click.argument("job_id")
@_output
def get_job(*, door: Door, job_id: str, output: str) -> int:
    """How far one order has got."""
    _show(door.client().get(f"/v1/jobs/{part(job_id)}")["job"], output)
    return Exit.OK


@jobs.command("wait", cls=ClientVerb)
@asking
@click.argument("job_id")
@click.option("--timeout", required=True, help="Longest wait: 60s, 5m.")
@_output
def wait_job(*, door: Door, job_id: str, timeout: str, output: str) -> int:
    """Wait until an order is carried out, as measured; Ctrl-C leaves it running."""
    client, deadline, told = door.client(), time.monotonic() + span_s(timeout), ""
    while True:
        job = client.get(f"/v1/jobs/{part(job_id)}")["job"]
        if job["state"] in ENDS or time.monotonic() >= deadline:
            break
        if (line := f"{job['state']}: {job['text']}") != told:
            say(line)
            told = line
        time.sleep(LOOK_S)
    _show(job, output)
    return ENDS.get(job["state"], Exit.TIMEOUT)


def _show(job: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json({"job": job})
        return
    click.echo(f"{job['id']} {job['verb']} by {job['owner']}: {job['state']}, {job['text']} ({job['reason']})")
    if job["progress"]:
        counts = job["progress"]
        click.echo(
            f"{counts['ok']} of {counts['total']} miners, {counts['failed']} failed, {counts['pending']} pending"
        )
