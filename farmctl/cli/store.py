"""`farmctl store`: the engine under the journal: bring its schema up to date, carry it to another one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json

if TYPE_CHECKING:
    # aiosqlite and asyncpg come with these: imported when a verb is called.
    from farmctl.store.sqlstore import SqlStore

PLACES = ("sqlite", "postgres")
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form of output."
)


@click.group()
def store() -> None:
    """Migrate the store, or copy it from SQLite to PostgreSQL and back."""


@store.command()
@click.argument("place")
@output_option
def migrate(place: str, output: str) -> int:
    """Bring the schema of PLACE up to date, sqlite:JOURNAL_FILE or postgres:DSN_FILE, making it where there is none.

    With PostgreSQL, as the owner of its tables; a controller's own login needs no more than the role farmctl_writer.
    """

    async def run() -> None:
        await (await _end(place, existing=False)).close()

    asyncio.run(run())
    if output == "json":
        print_json({"place": place, "migrated": True})
    else:
        click.echo(f"{place} is up to date")
    return Exit.OK


@store.command()
@click.argument("source")
@click.argument("target")
@output_option
def copy(source: str, target: str, output: str) -> int:
    """Copy SOURCE to TARGET, each sqlite:JOURNAL_FILE or postgres:DSN_FILE; no controller may write meanwhile.

    The chain is verified on the way and once more in the target; a copy that was cut off goes on where it was.
    """
    from farmctl.store.copying import copy as carry  # noqa: PLC0415 - start-up of every verb would pay for it

    async def run() -> dict[str, object]:
        async with AsyncExitStack() as stack:
            ends = []
            for place, existing in ((source, True), (target, False)):
                ends.append(end := await _end(place, existing=existing))
                stack.push_async_callback(end.close)
            copied = await carry(*ends)
            return {"records": copied.records, "head": copied.head, "states": copied.states, "miners": copied.miners}

    told = asyncio.run(run())
    if output == "json":
        print_json(told)
    else:
        click.echo(
            "{records} records copied and verified, head {head}, {states} states, {miners} miners".format(**told)
        )
    return Exit.OK


async def _end(place: str, *, existing: bool) -> SqlStore:
    kind, colon, where = place.partition(":")
    if kind not in PLACES or not colon or not where:
        raise click.BadParameter(f"{place!r}: expected sqlite:JOURNAL_FILE or postgres:DSN_FILE")
    path = Path(where)
    if kind == "postgres":
        from farmctl.config.credentials import read_secret  # noqa: PLC0415 - see above
        from farmctl.store.postgres import open_postgres  # noqa: PLC0415 - see above

        return await open_postgres(read_secret(path))
    from farmctl.store.sqlite import open_sqlite  # noqa: PLC0415 - see above

    if existing and not await asyncio.to_thread(path.is_file):
        raise click.BadParameter(f"{path}: there is no journal here")
    return await open_sqlite(path)
