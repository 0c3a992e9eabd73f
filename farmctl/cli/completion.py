"""`farmctl completion`: the script that makes a shell complete verbs, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from farmctl.cli.exits import Exit

PROGRAM = "farmctl"
VARIABLE = "_FARMCTL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the script; for bash: farmctl completion bash > ~/.local/share/bash-completion/completions/farmctl."""
    from farmctl.cli import cli  # noqa: PLC0415 - the group that this verb is part of

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"{shell}: expected a shell that click can complete for")
    click.echo(found(cli, {}, PROGRAM, VARIABLE).source())
    return Exit.OK
