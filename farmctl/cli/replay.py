"""`farmctl replay`: prove that the recorded inputs lead to the recorded decisions."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json, say
from farmctl.cli.past import FORMS, Moment


@click.command()
@click.argument("journal", type=click.Path(exists=True, path_type=Path))
@click.option("--from", "since", type=Moment(FORMS), metavar="TIME", help="2026-11-24T10:05, UTC.")
@click.option("--to", "until", type=Moment(FORMS), metavar="TIME", help="2026-11-24T10:05, UTC.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def replay(journal: Path, since: datetime | None, until: datetime | None, output: str) -> int:
    """Re-run the core on the inputs recorded beside JOURNAL (a journal.db, or its folder).

    Exit 0: every decision came out identical. Exit 1: the journal is altered, or a decision differs; the first
    such record or cycle is named.
    """
    from farmctl.engine.replay import Differs  # noqa: PLC0415 - numpy comes with it
    from farmctl.engine.replay import replay as replayed  # noqa: PLC0415 - see above
    from farmctl.store.recording import DayFiles  # noqa: PLC0415 - see above

    path = journal / "journal.db" if journal.is_dir() else journal
    broken = asyncio.run(_broken_record(path))
    if broken is not None:
        return _tell({"identical": False, "cycles": 0, "broken_record": broken[0], "what": broken[1]}, output)
    cycles, commands, differs = 0, 0, None
    frames = DayFiles(path.parent).frames(since_ms=_ms(since), until_ms=_ms(until))
    for step in replayed(frames):
        if isinstance(step, Differs):
            differs = step
            break
        cycles += 1
        commands += len(step.decision.commands)
        if cycles % 1000 == 0 and sys.stderr.isatty():
            say(f"{cycles} cycles identical")
    result: dict[str, object] = {"identical": differs is None and cycles > 0, "cycles": cycles, "commands": commands}
    if differs is not None:
        result |= {"differs_at_cycle": differs.cycle, "at_ms": differs.at_ms, "what": differs.what}
    elif cycles == 0:
        result |= {"what": f"no recording beside {path}"}
    return _tell(result, output)


async def _broken_record(path: Path) -> tuple[int, str] | None:
    """Number of the first altered record and what is wrong with it; None for an intact chain."""
    from farmctl.store.journal import Broken  # noqa: PLC0415 - see above
    from farmctl.store.reader import open_reader  # noqa: PLC0415 - see above

    reader = await open_reader(path)
    try:
        verdict = await reader.verify()
    finally:
        await reader.close()
    return (verdict.seq, str(verdict.what)) if isinstance(verdict, Broken) else None


def _tell(result: dict[str, object], output: str) -> int:
    if output == "json":
        print_json(result)
    elif "broken_record" in result:
        click.echo(f"refused: the journal is altered at record {result['broken_record']}: {result['what']}")
    elif result["identical"]:
        click.echo(f"identical: {result['cycles']} cycles with {result['commands']} commands")
    elif result["cycles"] == 0 and "differs_at_cycle" not in result:
        click.echo(f"nothing is proved: {result['what']}")
    else:
        where = f" at cycle {result['differs_at_cycle']}" if "differs_at_cycle" in result else ""
        click.echo(f"NOT identical{where}: {result['what']} (after {result['cycles']} identical cycles)")
    return Exit.OK if result["identical"] else Exit.ERROR


def _ms(moment: datetime | None) -> int | None:

    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * 1000)
