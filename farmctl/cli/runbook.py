"""`farmctl runbook`: what to do about an alarm, at the terminal."""

from __future__ import annotations

from difflib import get_close_matches

import click

from farmctl.cli.exits import Exit


@click.command()
@click.argument("alarm", required=False)
def runbook(alarm: str | None) -> int:
    """The page of one ALARM, such as signal_stale or signal_stale@site; without one: the names of all."""
    from farmctl.config import shipped  # noqa: PLC0415 - start-up of every verb would pay for it

    names = shipped.runbooks()
    if alarm is None:
        click.echo("\n".join(names))
        return Exit.OK
    page = shipped.runbook(alarm.partition("@")[0])
    if page is None:
        near = get_close_matches(alarm, names, n=1)
        raise click.UsageError(
            f"no runbook {alarm!r}; {f'did you mean {near[0]}?' if near else 'farmctl runbook lists'}"
        )
    click.echo(page, nl=False)
    return Exit.OK
