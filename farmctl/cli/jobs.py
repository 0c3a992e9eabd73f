"""`farmctl jobs`: how far an order has got, by the meter."""

from __future__ import annotations

import time
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import object_option, output_option, print_object, print_rows, say
from farmctl.control.client import ControlClient, part
from farmctl.control.sizes import span_s

LOOK_S = 0.5
ENDS = {"done": Exit.OK, "partial": Exit.PARTIAL, "superseded": Exit.CONFLICT}
"""State that an order ends in -> what the shell sees."""


@click.group()
def jobs() -> None:
    """Watch orders that were taken."""


@jobs.command("list", cls=ClientVerb)
@asking
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True)
@output_option
def list_jobs(*, door: Door, limit: int, output: str) -> int:
    """Orders since the controller started, newest first."""
    rows = door.client().get("/v1/jobs", limit=limit)["rows"]
    print_rows(rows, ("id", "verb", "owner", "state", "text", "at", "reason"), output)
    return Exit.OK


@jobs.command("cancel", cls=ClientVerb)
@asking
@click.argument("job_id")
@click.option("--reason", required=True, help="Why; it stands in the journal.")
@object_option
def cancel_job(*, door: Door, job_id: str, reason: str, output: str) -> int:
    """Take an order back as far as that is possible: commands on the wire are not called back."""
    told = door.client().delete(f"/v1/jobs/{part(job_id)}", {"reason": reason})
    if output != "table":
        print_object(told, output)
    else:
        sent = (told["job"]["progress"] or {}).get("total", 0)
        click.echo(f"{job_id} is taken back; {sent} miners had been commanded, new commands follow the new target")
    return Exit.OK


@jobs.command("get", cls=ClientVerb)
@asking
@click.argument("job_id")
@object_option
def get_job(*, door: Door, job_id: str, output: str) -> int:
    """How far one order has got."""
    _show(door.client().get(f"/v1/jobs/{part(job_id)}")["job"], output)
    return Exit.OK


@jobs.command("wait", cls=ClientVerb)
@asking
@click.argument("job_id")
@click.option("--timeout", required=True, help="Longest wait: 60s, 5m.")
@object_option
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
    if output != "table":
        print_object({"job": job}, output)
        return
    click.echo(f"{job['id']} {job['verb']} by {job['owner']}: {job['state']}, {job['text']} ({job['reason']})")
    if job["progress"]:
        counts = job["progress"]
        click.echo(
            f"{counts['ok']} of {counts['total']} miners, {counts['failed']} failed, {counts['pending']} pending"
        )
