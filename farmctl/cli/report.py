"""`farmctl report`: what an event, a day or a month came to, recomputed from the journal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.cli.exits import Exit
from farmctl.cli.figures import Figure
from farmctl.cli.output import config_option, say

if TYPE_CHECKING:
    from farmctl.report.event import Wanted
    from farmctl.store.reader import SqlReader

METHODS = ("MBMA", "FIRM", "BOTTOM_UP", "X_OF_Y")


@click.command()
@click.argument("event", required=False)
@click.option("--day", metavar="YYYY-MM-DD", help="A day's settlement file instead of one event.")
@click.option("--month", metavar="YYYY-MM", help="A month's settlement file.")
@click.option("-o", "--output", type=click.Choice(["html", "json", "csv", "pdf"]), default="html", show_default=True)
@click.option("-f", "--file", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write here, not stdout.")
@click.option("--raw", is_flag=True, help="With -o csv: the samples themselves, which the report's digest covers.")
@click.option("--verify", is_flag=True, help="Check the whole chain, rebuild the report, compare; exit 1 on a fault.")
@click.option(
    "--against", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Verify this JSON or HTML."
)
@click.option("--nth", type=click.IntRange(min=1), default=None, help="Which time that EVENT was live; else the last.")
@click.option("--method", type=click.Choice(METHODS), help="Baseline to count the money against.")
@click.option("--x-of-y", metavar="X:Y", help="Also the baseline X of Y, such as 5:10.")
@click.option("--tariff", type=Figure(min=0), help="Per kWh, instead of the journalled price.")
@click.option("--hash-price", type=Figure(min=0), help="Per TH/s and day, instead of the journalled one.")
@click.option("--path", "journal", type=click.Path(dir_okay=False, path_type=Path), help="Journal; else the site's.")
@config_option
def report(*, event: str | None, day: str | None, month: str | None, **options: Any) -> int:
    """What EVENT, or a day or month, came to: obligations, baselines, response, energy, money, proof.

    JSON is the truth and the other formats are views of it; the same journal always gives the same bytes.
    """
    if sum(each is not None for each in (event, day, month)) != 1:
        raise click.UsageError("expected one of EVENT, --day and --month")
    if options["raw"] and (options["output"] != "csv" or event is None):
        raise click.UsageError("--raw goes with EVENT and -o csv")
    shown = options["target"] is None and sys.stdout.isatty() and not (options["verify"] or options["against"])
    if options["output"] in {"html", "pdf"} and shown:
        raise click.UsageError(f"{options['output']} is not for a terminal: expected --file, -o json or a redirection")
    verifying = options["verify"] or options["against"] is not None
    from farmctl.report.source import NoSuchEventError  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.report.window import PeriodError  # noqa: PLC0415 - see above

    try:
        return asyncio.run(
            _verified(event, day or month, options) if verifying else _made(event, day or month, options)
        )
    except NoSuchEventError as error:
        raise click.ClickException(f"{error}; a day is --day YYYY-MM-DD, a month --month YYYY-MM") from None
    except PeriodError as error:
        raise click.UsageError(str(error)) from None


async def _made(event: str | None, period: str | None, options: Mapping[str, Any]) -> int:
    from farmctl.report.case import gather  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.report.series import raw_csv  # noqa: PLC0415 - see above

    reader = await _opened(options)
    try:
        if options["raw"] and event is not None:
            case = await gather(reader, event, nth=options["nth"] or 0)
            _write(raw_csv(case.series).encode(), options["target"])
            return Exit.OK
        built = await _built(reader, event, period, _wanted(options))
    finally:
        await reader.close()
    _write(_rendered(built, options["output"]), options["target"])
    return Exit.OK


async def _verified(event: str | None, period: str | None, options: Mapping[str, Any]) -> int:
    from farmctl.report.event import Wanted  # noqa: PLC0415 - see above
    from farmctl.report.verify import NotAReportError, compare, read_copy  # noqa: PLC0415 - see above
    from farmctl.store.journal import Broken  # noqa: PLC0415 - see above

    against, wanted = options["against"], _wanted(options)
    copy: Mapping[str, Any] | None = None
    if against is not None:
        try:
            copy = read_copy(await asyncio.to_thread(against.read_text, encoding="utf-8", errors="replace"))
        except NotAReportError as error:
            raise click.UsageError(f"--against {against}: {error}") from None
        wanted = Wanted.of({**copy.get("options", {}), "nth": copy.get("identity", {}).get("nth", 0)})
    reader = await _opened(options)
    try:
        verdict = await reader.verify()
        if isinstance(verdict, Broken):
            what = verdict.what.value.replace("_", " ")
            say(f"NOT verified: journal record {verdict.seq} is altered ({what}): expected {verdict.expected}, "
                f"found {verdict.found}")  # fmt: skip
            return Exit.ERROR
        built = await _built(reader, event, period, wanted)
        differs = compare(copy if copy is not None else await _built(reader, event, period, wanted), built)
    finally:
        await reader.close()
    if differs is not None:
        say(f"NOT verified: {differs.where}: the copy says {differs.copy}, the journal gives {differs.rebuilt}")
        return Exit.ERROR
    equals = f" and equals {against}" if against else ""
    click.echo(f"verified: {verdict.count} records of the chain intact, report {built['sha256']}{equals}")
    return Exit.OK


async def _built(reader: SqlReader, event: str | None, period: str | None, wanted: Wanted) -> dict[str, Any]:
    from farmctl.report.event import event_report  # noqa: PLC0415 - see above
    from farmctl.report.window import period_report  # noqa: PLC0415 - see above

    if event is not None:
        return await event_report(reader, event, wanted)
    return await period_report(reader, period or "", None, wanted)


def _wanted(options: Mapping[str, Any]) -> Wanted:
    from farmctl.report.event import Wanted  # noqa: PLC0415 - see above

    return Wanted(
        tariff_per_kwh=options["tariff"],
        hash_price_per_th_day=options["hash_price"],
        method=options["method"],
        nth=options["nth"] or 0,
        x_of_y=_pair(options["x_of_y"]) if options["x_of_y"] else None,
    )


def _pair(text: str) -> tuple[int, int]:
    most, _, of = text.partition(":")
    if not (most.isdigit() and of.isdigit() and 0 < int(most) <= int(of)):
        raise click.BadParameter(f"{text!r}: expected two whole numbers such as 5:10", param_hint="--x-of-y")
    return int(most), int(of)


def _rendered(built: Mapping[str, Any], output: str) -> bytes:
    if output == "json":
        from farmctl.report.canonical import text  # noqa: PLC0415 - see above

        return text(built).encode()
    if output == "csv":
        from farmctl.report.tables import as_csv  # noqa: PLC0415 - see above

        return as_csv(built).encode()
    from farmctl.report.html import as_html, as_pdf  # noqa: PLC0415 - see above

    return as_html(built).encode() if output == "html" else as_pdf(built)


def _write(data: bytes, target: Path | None) -> None:
    if target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        target.write_bytes(data)
    except OSError as error:
        raise click.ClickException(f"{target}: expected a file that can be written: {error.strerror}") from None
    say(f"{target}: {len(data)} bytes")


async def _opened(options: Mapping[str, Any]) -> SqlReader:
    from farmctl.cli.places import configuration, journal_of  # noqa: PLC0415 - see above
    from farmctl.store.places import open_reader  # noqa: PLC0415 - see above

    return await open_reader(options["journal"] or journal_of(configuration(options["config_path"])))
