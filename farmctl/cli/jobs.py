"""`farmctl jobs`: how far an order has got, by the meter."""

from __future__ import annotations

import time
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json, say
from farmctl.control.client import ControlClient, part
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
    return wait_for(door.client(), job_id, span_s(timeout), output)


def wait_for(client: ControlClient, job_id: str, timeout_s: float, output: str) -> int:
    """Show a job when it has ended or the time is over; the exit code says which."""
    try:
        job = _ended(client, job_id, time.monotonic() + timeout_s)
    except KeyboardInterrupt:
        say(f"farmctl: the order goes on; farmctl jobs wait {job_id} --timeout 60s looks again")
        return Exit.INTERRUPTED
    _show(job, output)
    return ENDS.get(job["state"], Exit.TIMEOUT)


def _ended(client: ControlClient, job_id: str, deadline: float) -> dict[str, Any]:
    """The job when it has ended, or as it is at the deadline; says how it goes meanwhile."""
    told = ""
    while True:
        job: dict[str, Any] = client.get(f"/v1/jobs/{part(job_id)}")["job"]
        if job["state"] in ENDS or time.monotonic() >= deadline:
            return job
        if (line := f"{job['state']}: {job['text']}") != told:
            say(line)
            told = line
        time.sleep(LOOK_S)


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
