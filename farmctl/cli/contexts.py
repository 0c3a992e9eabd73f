"""`farmctl context`: controllers by name, in a file of the user's own, apart from any site's configuration."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import output_option, print_rows, say
from farmctl.control.client import Where
from farmctl.errors import ConfigError

FILE = "contexts.toml"
KEYS = ("socket", "url", "ca_file", "token_file", "colour")
COLUMNS = ("name", "current", "where", "ca_file", "token_file")
LONGEST_TOKEN = 4096
_URL = re.compile(r"https://[^/\s]+/?")


class ContextError(ConfigError):
    """A context that is not there, or cannot be read."""


@click.group()
def context() -> None:
    """Name controllers and choose one; the file is $XDG_CONFIG_HOME/farmctl/contexts.toml."""


@context.command("list")
@output_option
def list_contexts(output: str) -> int:
    """Every context, and which one is in use."""
    current, known = _read(contexts_file())
    rows = [
        {
            "name": name,
            "current": "*" if name == current else "",
            "where": table.get("url") or table.get("socket", ""),
            "ca_file": table.get("ca_file", ""),
            "token_file": table.get("token_file", ""),
        }
        for name, table in sorted(known.items())
    ]
    print_rows(rows, COLUMNS, output)
    return Exit.OK


@context.command()
@click.argument("name", required=False)
def use(name: str | None) -> int:
    """Use a context from now on; without a name none, so that the configuration's socket is asked."""
    path = contexts_file()
    _, known = _read(path)
    if name is not None and name not in known:
        raise ContextError(f"{path}: no context {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    _write(path, name, known)
    say(f"farmctl: {f'{name} is in use' if name else 'no context is in use'}")
    return Exit.OK


@context.command("set")
@click.argument("name")
@click.option("--socket", help="Path of the controller's Unix socket.")
@click.option("--url", help="https://HOST:PORT of the controller.")
@click.option("--ca-file", help="Who vouches for the controller's certificate.")
@click.option("--token-file", help="File with the token, mode 0600.")
def set_context(name: str, **table: str | None) -> int:
    """Name a controller, or change what a name means."""
    if (table["socket"] is None) == (table["url"] is None):
        raise click.UsageError("expected one of --socket PATH and --url https://HOST:PORT")
    if table["url"] is not None and not _URL.fullmatch(table["url"]):
        raise click.UsageError(f"--url {table['url']}: expected https://HOST:PORT")
    path = contexts_file()
    current, known = _read(path)
    known[name] = {key: value for key, value in table.items() if value is not None}
    _write(path, current, known)
    say(f"farmctl: {name} is set in {path}; farmctl context use {name} makes it the usual one")
    return Exit.OK


def where_of(name: str | None, *, explicit: bool) -> Where | None:
    """The named context, else $FARMCTL_CONTEXT, else the one in use; None: none is meant.

    `explicit` says that a configuration was named, which beats a context that was not. Raises ContextError.
    """
    path = contexts_file()
    asked = name or os.environ.get("FARMCTL_CONTEXT")
    if asked is None and (explicit or not path.is_file()):
        return None
    current, known = _read(path)
    asked = asked or current
    if asked is None:
        return None
    table = known.get(asked)
    if table is None:
        raise ContextError(f"{path}: no context {asked!r}; known: {', '.join(sorted(known)) or 'none'}")
    token_file = table.get("token_file")
    return Where(
        socket=table.get("socket", ""),
        url=table.get("url", ""),
        ca_file=str(path.parent / table["ca_file"]) if "ca_file" in table else "",
        token=_secret(path.parent / token_file) if token_file else "",
    )


def contexts_file() -> Path:
    """Where the user's contexts are."""
    xdg = os.environ.get("XDG_CONFIG_HOME")
    return (Path(xdg) if xdg else Path.home() / ".config") / "farmctl" / FILE


def _read(path: Path) -> tuple[str | None, dict[str, dict[str, str]]]:
    """(name in use, contexts)."""
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, {}
    except (OSError, ValueError) as error:
        raise ContextError(f"{path}: expected contexts as TOML: {error}") from error
    current, known = told.get("current"), told.get("context", {})
    for name, table in known.items():
        strange = [key for key, value in table.items() if key not in KEYS or not isinstance(value, str)]
        if strange:
            raise ContextError(f"{path}: context {name}: {strange[0]}: expected a text for one of {', '.join(KEYS)}")
    return current, known


def _write(path: Path, current: str | None, known: dict[str, dict[str, str]]) -> None:
    import json  # noqa: PLC0415 - a basic string of TOML is written as one of JSON

    lines = [f"current = {json.dumps(current)}\n"] if current else []
    for name, table in sorted(known.items()):
        lines.append(f"\n[context.{json.dumps(name)}]\n")
        lines += [f"{key} = {json.dumps(value)}\n" for key, value in table.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ContextError(f"{path}: expected a file that can be written: {error.strerror}") from error


def _secret(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(LONGEST_TOKEN).strip()
        mode = path.stat().st_mode & 0o777
    except (OSError, ValueError) as error:
        raise ContextError(f"{path}: expected a file with a token: {error}") from error
    if mode & 0o077:
        raise ContextError(f"{path}: expected mode 0600 or narrower, it has {mode:04o}")
    return secret
