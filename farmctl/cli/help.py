"""`farmctl help` and `version`: the exit codes as a table, and what runs here."""

from __future__ import annotations

import click

from farmctl import __version__
from farmctl.cli.exits import MEANING, Exit
from farmctl.cli.output import object_option, output_option, print_object, print_rows


@click.group("help")
def help_group() -> None:
    """Topics that belong to no single verb."""


@help_group.command("exit-codes")
@output_option
def exit_codes(output: str) -> int:
    """What every exit code means; only `check` differs, which speaks Nagios."""
    rows = [{"exit": int(code), "meaning": text} for code, text in MEANING.items()]
    print_rows(rows, ("exit", "meaning"), output)
    return Exit.OK


@click.command()
@object_option
def version(output: str) -> int:
    """The version of this program and of the Python it runs on."""
    import platform  # noqa: PLC0415 - start-up of every verb would pay for it

    told = {"version": __version__, "python": platform.python_version(), "platform": platform.platform()}
    if output == "table":
        click.echo(f"farmctl {__version__} (Python {told['python']}, {told['platform']})")
    else:
        print_object(told, output)
    return Exit.OK
