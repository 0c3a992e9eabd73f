"""`farmctl keys`: make, list, rotate and revoke the Ed25519 keys that sign messages between grid and site."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json, print_rows, say

COLUMNS = ("kid", "public_key", "private", "file")
_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("secrets"),
    show_default=True,
    help="Folder of the key files.",
)
_output = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
_file = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke signing keys; a key's id is the name of its file."""


@keys.command()
@click.argument("kid")
@_folder
@_output
def new(kid: str, folder: Path, output: str) -> int:
    """Make a key file (mode 0600) and print its public key; nothing is ever overwritten."""
    from farmctl.signals.keyfiles import new_key  # noqa: PLC0415 - start-up of every verb would pay for it

    made = new_key(folder, kid)
    if output == "json":
        print_json({"kid": made.kid, "public_key": made.public_key, "file": str(made.file)})
    else:
        click.echo(f'{{ kid = "{made.kid}", public_key = "{made.public_key}" }}')
        say(f"{made.file}: written with mode 0600; the line above goes into the other side's configuration")
    return Exit.OK


@keys.command("list")
@_folder
@click.option("-o", "--output", type=click.Choice(["table", "json", "jsonl", "csv", "name"]), default="table")
def list_keys(folder: Path, output: str) -> int:
    """List the keys of a folder; exit 1 where others may read one of them."""
    from farmctl.signals.keyfiles import keys_in  # noqa: PLC0415 - start-up of every verb would pay for it

    found = keys_in(folder)
    rows = [{"kid": k.kid, "public_key": k.public_key, "private": k.private, "file": str(k.file)} for k in found]
    print_rows(rows, COLUMNS, output)
    for key in found:
        if not key.private:
            say(f"{key.file}: expected mode 0600 or narrower")
    return Exit.OK if all(key.private for key in found) else Exit.ERROR


@keys.command()
@click.argument("kid")
@click.option("--by", "by_file", type=_file, required=True, help="Key that signs: an older valid one, or root.pem.")
@click.option("--issuer", required=True, help="Issuer as sites know it.")
@click.option("--topic", required=True, help="Topic of the message, such as grid/v1/grid-op/site-07/keys.")
@click.option("--again", "again", type=_file, multiple=True, help="Further keys to announce in the same message.")
@click.option("--revoked", multiple=True, help="Key ids that were revoked before; a retained message holds them all.")
@_folder
def rotate(
    kid: str, by_file: Path, issuer: str, topic: str, again: tuple[Path, ...], revoked: tuple[str, ...], folder: Path
) -> int:
    """Make a new key and print the signed message that announces it; publish that retained on the topic."""
    from farmctl.signals.keyfiles import key_in, keys_message, new_key  # noqa: PLC0415 - start-up of every verb would pay for it

    by = key_in(by_file)
    made = new_key(folder, kid)
    announced = (made, *(key_in(file) for file in again))
    message = keys_message(
        topic=topic, issuer=issuer, by=by, announce=announced, revoke=revoked, issued_ms=time.time_ns() // 1_000_000
    )
    click.echo(json.dumps(message, separators=(",", ":")))
    say(f"{made.file}: written; sites take it once they read the message above, retained, on {topic}")
    return Exit.OK


@keys.command()
@click.argument("kid")
@click.option("--by", "by_file", type=_file, required=True, help="Key that signs: another valid one, or root.pem.")
@click.option("--issuer", required=True, help="Issuer as sites know it.")
@click.option("--topic", required=True, help="Topic of the message, such as grid/v1/grid-op/site-07/keys.")
@click.option("--again", "again", type=_file, multiple=True, help="Keys to announce again in the same message.")
@click.option("--revoked", multiple=True, help="Key ids that were revoked before; a retained message holds them all.")
def revoke(kid: str, by_file: Path, issuer: str, topic: str, again: tuple[Path, ...], revoked: tuple[str, ...]) -> int:
    """Print the signed message that revokes a key for good; publish that retained on the topic."""
    from farmctl.signals.keyfiles import key_in, keys_message  # noqa: PLC0415 - start-up of every verb would pay for it

    by = key_in(by_file)
    if by.kid == kid:
        raise click.UsageError(f"{kid} would sign its own revocation: sign with another valid key, or with the root")
    announced = tuple(key_in(file) for file in again)
    gone = (*revoked, kid)
    message = keys_message(
        topic=topic, issuer=issuer, by=by, announce=announced, revoke=gone, issued_ms=time.time_ns() // 1_000_000
    )
    click.echo(json.dumps(message, separators=(",", ":")))
    say(f"{kid}: revoked once sites read the message above, retained, on {topic}; it never becomes valid again")
    return Exit.OK
