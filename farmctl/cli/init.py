"""`farmctl init`: the first configuration of a site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

import click

from farmctl.cli.output import print_json, say

AnswerT = TypeVar("AnswerT", str, float)
KEY_PARTS = 3


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=Path("farm.toml"))
@click.option("--name", help="Site id: lower case letters, digits and dashes.")
@click.option("--rated-kw", type=click.FloatRange(min=0, min_open=True), help="Rated power of the whole site, kW.")
@click.option("--timezone", default="UTC", show_default=True, help="IANA zone of the people on site.")
@click.option("--meter", metavar="HOST:PORT", help="Site meter, Modbus TCP.")
@click.option("--broker", metavar="HOST:PORT", help="MQTT broker of the grid operator.")
@click.option("--op", default="grid-op", show_default=True, help="Grid operator's name in the topics.")
@click.option("--issuer-key", metavar="ISSUER:KID:KEY", help="Who may sign signals, and with which public key.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def init(path: Path, *, name: str | None, rated_kw: float | None, output: str, **answers: str | None) -> int:
    """Write a first farm.toml that observes and commands nothing; an existing file is never touched."""
    from farmctl.cli.places import InTheWayError, write_new  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.config.write import first_config  # noqa: PLC0415 - see above

    if path.exists():
        raise InTheWayError(f"{path} is there already: expected a new file")
    name = name or _asked("--name", "Site name (a-z, 0-9, -)", str)
    rated_kw = rated_kw or _asked("--rated-kw", "Rated power of the site, kW", float)
    text = first_config(
        name=name,
        rated_kw=rated_kw,
        timezone=answers["timezone"] or "UTC",
        meter=_host_port(answers["meter"]),
        broker=answers["broker"],
        issuer_key=_issuer_key(answers["issuer_key"]),
        op=answers["op"] or "grid-op",
    )
    write_new(path, text)
    if output == "json":
        print_json({"written": str(path), "site": name, "rated_kw": rated_kw})
    say(
        f"{path} written: it observes and commands nothing yet.\n"
        f"Next: farmctl scan RANGE --write --config {path}, then farmctl run --config {path}"
    )
    return 0


def _asked(flag: str, question: str, kind: type[AnswerT]) -> AnswerT:
    if not sys.stdin.isatty():
        raise click.UsageError(f"missing {flag}: expected it on the command line, because there is no terminal to ask")
    answer: AnswerT = click.prompt(question, type=kind, err=True)
    return answer


def _host_port(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter(f"{text!r}: expected HOST:PORT, such as 10.1.0.5:502", param_hint="--meter")
    return host, int(port)


def _issuer_key(text: str | None) -> tuple[str, str, str] | None:
    if text is None:
        return None
    parts = text.split(":", KEY_PARTS - 1)
    if len(parts) != KEY_PARTS or not all(parts):
        raise click.BadParameter(f"{text!r}: expected ISSUER:KID:KEY", param_hint="--issuer-key")
    return parts[0], parts[1], parts[2]
