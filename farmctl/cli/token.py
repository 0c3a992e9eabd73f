"""`farmctl token`: who may come in over TCP, as what, and until when."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, output_option, print_json, print_rows, say
from farmctl.control.sizes import SizeError, lasting_s

if TYPE_CHECKING:
    from farmctl.control.tokens import Token

COLUMNS = ("id", "name", "role", "state", "made_at", "expires_at", "made_by", "reason")
ROLES = ("viewer", "operator", "engineer")
_output = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of people; each is kept as a hash, beside the journal."""


@token.command()
@config_option
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the person may do.")
@click.option("--for", "for_text", required=True, help="How long it lives: 12h, 90d.")
@click.option("--reason", required=True, help="Why; it stands beside the hash.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, mode 0600.")
@_output
def make(
    name: str, *, config_path: str | None, role: str, for_text: str, reason: str, out: Path | None, output: str
) -> int:
    """Make a token for NAME; it is shown this once and cannot be shown again."""
    from farmctl.control import tokens  # noqa: PLC0415 - start-up of every verb would pay for it

    try:
        life_ms = int(lasting_s(for_text) * 1000)
    except SizeError as error:
        raise click.UsageError(str(error)) from None
    path, now_ms = _file(config_path), int(time.time() * 1000)
    text, kept = tokens.make(name, role, now_ms, now_ms + life_ms, made_by=_me(), reason=reason)
    tokens.write(path, (*tokens.read(path), kept))
    if out is not None:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    told = {**_row(kept, now_ms), **({"file": str(out)} if out is not None else {"token": text})}
    if output == "json":
        print_json(told)
    else:
        click.echo(str(out) if out is not None else text)
    say(f"farmctl: {kept.token_id} for {name}, {role}, until {told['expires_at']}; kept as a hash, not shown again")
    return Exit.OK


@token.command("list")
@config_option
@output_option
def list_tokens(config_path: str | None, output: str) -> int:
    """Every token, also those that are over or revoked."""
    from farmctl.control import tokens  # noqa: PLC0415 - see above

    now_ms = int(time.time() * 1000)
    print_rows([_row(each, now_ms) for each in tokens.read(_file(config_path))], COLUMNS, output)
    return Exit.OK


@token.command()
@config_option
@click.argument("which", metavar="ID|NAME")
@click.option("--reason", required=True, help="Why: lost, stolen, left.")
def revoke(which: str, *, config_path: str | None, reason: str) -> int:
    """Revoke a token, or every token of a person; a running controller heeds it at the next request."""
    from farmctl.control import tokens  # noqa: PLC0415 - see above

    path = _file(config_path)
    tokens.write(path, tokens.revoked(tokens.read(path), which, int(time.time() * 1000), f"{_me()}: {reason}"))
    say(f"farmctl: {which} is revoked")
    return Exit.OK


def _file(config_path: str | None) -> Path:
    from farmctl.cli.places import configuration  # noqa: PLC0415 - see above
    from farmctl.control.tokens import FILE  # noqa: PLC0415 - see above

    return configuration(config_path).config.store.dir / FILE


def _row(kept: Token, now_ms: int) -> dict[str, str]:
    return {
        "id": kept.token_id,
        "name": kept.name,
        "role": kept.role,
        "state": kept.state(now_ms),
        "made_at": _moment(kept.made_ms),
        "expires_at": _moment(kept.expires_ms),
        "made_by": kept.made_by,
        "reason": kept.revoked_why or kept.reason,
    }


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _me() -> str:
    import getpass  # noqa: PLC0415 - see above

    return getpass.getuser()
