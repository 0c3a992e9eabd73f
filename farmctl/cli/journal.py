"""`farmctl journal`: read the record of what happened, also while the controller writes it, and prove it whole."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, output_option, print_json, print_rows

if TYPE_CHECKING:
    # aiosqlite and rfc8785 come with these: imported when a verb is called.
    from farmctl.ports.store import RecordKind, StoredRecord
    from farmctl.store.journal import Verdict
    from farmctl.store.places import Place
    from farmctl.store.reader import SqlReader

SUMMARY_CHARACTERS = 100
FIRST_LOOK = 256
"""Records looked at first for the last few of a kind; four times as many with every further look."""
WIDER = 4

path_option = click.option(
    "--path", "journal", type=click.Path(dir_okay=False, path_type=Path), help="Journal file; else that of the site."
)


@click.group()
def journal() -> None:
    """Read and verify the journal."""


@journal.command("list")
@config_option
@path_option
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="The last so many.")
@click.option("--after", type=click.IntRange(min=0), help="Those after this record number, oldest first, instead.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only this kind; may be repeated.")
@output_option
def list_(
    config_path: str | None, journal: Path | None, number: int, after: int | None, output: str, **rest: Any
) -> int:
    """List records, oldest first."""
    from farmctl.store.places import open_reader  # noqa: PLC0415 - start-up of every verb would pay for it

    kinds = _kinds(rest["kinds"])

    async def read() -> list[StoredRecord]:
        reader = await open_reader(_journal(journal, config_path))
        try:
            if after is not None:
                return [each async for each in reader.records(after_seq=after, kinds=kinds, limit=number)]
            return await _last(reader, number, kinds)
        finally:
            await reader.close()

    records = asyncio.run(read())
    if output in {"json", "jsonl"}:
        print_rows([_told(each) for each in records], ["seq"], output)
    else:
        print_rows([_line(each) for each in records], ["seq", "at", "kind", "body"], output)
    return Exit.OK


@journal.command()
@click.argument("seq", type=click.IntRange(min=1))
@config_option
@path_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(seq: int, config_path: str | None, journal: Path | None, output: str) -> int:
    """Show one record whole."""
    from farmctl.store.places import open_reader  # noqa: PLC0415 - start-up of every verb would pay for it

    async def read() -> list[StoredRecord]:
        reader = await open_reader(_journal(journal, config_path))
        try:
            return [each async for each in reader.records(after_seq=seq - 1, limit=1)]
        finally:
            await reader.close()

    found = asyncio.run(read())
    if not found or found[0].seq != seq:
        raise click.ClickException(f"record {seq} is not in the journal")
    told = _told(found[0])
    if output == "json":
        print_json(told)
        return Exit.OK
    body = told.pop("body")
    click.echo("\n".join(f"{name:<10} {value}" for name, value in told.items()))
    click.echo(json.dumps(body, indent=2, ensure_ascii=False))
    return Exit.OK


@journal.command()
@config_option
@path_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def verify(config_path: str | None, journal: Path | None, output: str) -> int:
    """Walk the whole hash chain; exit 1 and the number of the first broken record where it is not as written."""
    from farmctl.store.journal import Broken  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.store.places import open_reader  # noqa: PLC0415 - see above

    path = _journal(journal, config_path)

    async def walk() -> Verdict:
        reader = await open_reader(path)
        try:
            return await reader.verify()
        finally:
            await reader.close()

    verdict = asyncio.run(walk())
    broken = isinstance(verdict, Broken)
    if output == "json":
        print_json({"path": str(path), "ok": not broken, **_verdict(verdict)})
    elif isinstance(verdict, Broken):
        what = verdict.what.value.replace("_", " ")
        click.echo(
            f"{path}: record {verdict.seq} is broken: {what}: expected {verdict.expected}, found {verdict.found}"
        )
    else:
        click.echo(f"{path}: {verdict.count} records intact, head {verdict.head}")
    return Exit.ERROR if broken else Exit.OK


async def _last(reader: SqlReader, number: int, kinds: frozenset[RecordKind] | None) -> list[StoredRecord]:
    """The last records of some kinds: looks back ever further, because a year of decisions lies before them."""
    head = await reader.head()
    if head is None:
        return []
    look = number if kinds is None else max(number, FIRST_LOOK)
    while True:
        after = max(head.seq - look, 0)
        found = [each async for each in reader.records(after_seq=after, kinds=kinds)]
        if len(found) >= number or after == 0:
            return found[-number:]
        look *= WIDER


def _journal(journal: Path | None, config_path: str | None) -> Place:
    from farmctl.cli.places import configuration, journal_of  # noqa: PLC0415 - start-up of every verb would pay for it

    return journal or journal_of(configuration(config_path))


def _kinds(names: tuple[str, ...]) -> frozenset[RecordKind] | None:
    from farmctl.ports.store import RecordKind  # noqa: PLC0415 - start-up of every verb would pay for it

    known = [kind.value for kind in RecordKind]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r}: expected one of {', '.join(known)}", param_hint="--kind")
    return frozenset(RecordKind(name) for name in names) or None


def _told(each: StoredRecord) -> dict[str, Any]:
    record = each.record
    return {
        "seq": each.seq,
        "at_ms": record.at_ms,
        "at": _utc(record.at_ms),
        "kind": record.kind.value,
        "body": record.body,
        "blob_bytes": len(record.blob),
        "prev_hash": each.prev_hash,
        "hash": each.hash,
    }


def _line(each: StoredRecord) -> dict[str, Any]:
    body = json.dumps(each.record.body, ensure_ascii=False, separators=(",", ":"))
    short = body if len(body) <= SUMMARY_CHARACTERS else body[: SUMMARY_CHARACTERS - 1] + "…"
    return {"seq": each.seq, "at": _utc(each.record.at_ms), "kind": each.record.kind.value, "body": short}


def _utc(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"


def _verdict(verdict: Verdict) -> dict[str, Any]:
    from farmctl.store.journal import Broken  # noqa: PLC0415 - start-up of every verb would pay for it

    if isinstance(verdict, Broken):
        broken = {"seq": verdict.seq, "what": verdict.what.value, "expected": verdict.expected, "found": verdict.found}
        return {"records": None, "head": None, "broken": broken}
    return {"records": verdict.count, "head": verdict.head, "broken": None}
