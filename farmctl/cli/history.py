"""`farmctl history`: lines over time of the site, a container, an owner or a miner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import print_json, print_rows, say
from farmctl.errors import ConfigError

if TYPE_CHECKING:
    from farmctl.store.reader import SqlReader

BARS = "\N{LOWER ONE EIGHTH BLOCK}\N{LOWER ONE QUARTER BLOCK}\N{LOWER THREE EIGHTHS BLOCK}\N{LOWER HALF BLOCK}"
BARS += "\N{LOWER FIVE EIGHTHS BLOCK}\N{LOWER THREE QUARTERS BLOCK}\N{LOWER SEVEN EIGHTHS BLOCK}\N{FULL BLOCK}"
GAP = "\N{MIDDLE DOT}"
WIDTH = 72
FLAT = "\N{LOWER ONE EIGHTH BLOCK}"


class ParquetMissingError(ConfigError):
    """The extra that writes Parquet is not installed."""


@click.command(cls=ClientVerb)
@asking
@click.argument("series", nargs=-1, required=True, metavar="SERIES...")
@click.option("--from", "since", default="1h", show_default=True, help="How long ago, or a date and time (UTC).")
@click.option("--to", "until", help="The same; now where left out.")
@click.option("--step", help="Such as 10s, 1m, 15m; 1s for the site and its parts.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "spark", "json", "csv", "parquet"]),
    default="table",
    show_default=True,
)
@click.option("-f", "--file", "target", type=click.Path(dir_okay=False, path_type=Path), help="Of the Parquet.")
@click.option("--offline", is_flag=True, help="Read the store itself: no controller is needed.")
def history(*, door: Door, series: tuple[str, ...], output: str, offline: bool, **options: Any) -> int:
    """Lines over time: site.power_w, cont:C001.hash_ths, owner:ACME.power_w, MINER.temperature_c ...

    Of the site: power_w (devices), meter_w, target_w, hash_ths, running. Of a miner: power_w, hash_ths, temperature_c,
    state, step, wanted, reason, age_s; in steps of 15 minutes also power_w_min, power_w_max and the like.
    """
    if output == "parquet" and options["target"] is None:
        raise click.UsageError("Parquet is no text: expected --file")
    asked = {"series": ",".join(series), "from": options["since"], "to": options["until"], "step": options["step"]}
    found = _offline(door, asked) if offline else door.client().get("/v1/history", **asked)
    _print(found, output, options["target"])
    empty = [line["name"] for line in found["series"] if all(value is None for value in line["values"])]
    if empty:
        say(f"farmctl: nothing is recorded of {', '.join(empty)} in this time")
    return Exit.OK


def _offline(door: Door, asked: Mapping[str, str | None]) -> Mapping[str, Any]:
    from farmctl.cli.places import configuration, journal_of  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.control.past import lines  # noqa: PLC0415 - see above
    from farmctl.control.wire import ApiError  # noqa: PLC0415 - see above
    from farmctl.store.places import open_reader  # noqa: PLC0415 - see above
    from farmctl.wiring.history import site_history  # noqa: PLC0415 - see above

    loaded = configuration(door.config_path, door)

    async def read() -> Mapping[str, Any]:
        reader: SqlReader = await open_reader(journal_of(loaded))
        try:
            query = {name: text for name, text in asked.items() if text is not None}
            return await lines(site_history(loaded.config, reader), query, int(time.time() * 1000))
        except ApiError as error:
            raise click.UsageError(str(error)) from None
        finally:
            await reader.close()

    return asyncio.run(read())


def _print(found: Mapping[str, Any], output: str, target: Path | None) -> None:
    at_ms, series = found["at_ms"], found["series"]
    if output == "json":
        print_json({key: value for key, value in found.items() if key != "schema"})
    elif output == "spark":
        for line in series:
            click.echo(f"{line['name']}  {spark(line['values'])}  {_range(line['values'])}")
        click.echo(f"{_utc(at_ms[0])} to {_utc(at_ms[-1])}, {found['step_s']} s a step, from the {found['source']}")
    elif output == "parquet" and target is not None:
        _parquet(found, target)
        say(f"{target}: {len(at_ms)} rows of {len(series)} series, {found['step_s']} s a step")
    else:
        names = [line["name"] for line in series]
        columns = zip(*(line["values"] for line in series), strict=True)
        rows = [
            {"at": _utc(at), **dict(zip(names, values, strict=True))} for at, values in zip(at_ms, columns, strict=True)
        ]
        print_rows(rows, ["at", *names], output)


def spark(values: Sequence[float | None], width: int = WIDTH) -> str:
    """A line of blocks; means where there are more values than columns, a dot where nothing is known."""
    if len(values) > width:
        edges = [len(values) * index // width for index in range(width + 1)]
        values = [_mean(values[low:high]) for low, high in pairwise(edges)]
    known = [value for value in values if value is not None]
    if not known:
        return GAP * len(values)
    low, high = min(known), max(known)
    if high == low:
        return "".join(GAP if value is None else FLAT for value in values)
    scale = (len(BARS) - 1) / (high - low)
    return "".join(GAP if value is None else BARS[round((value - low) * scale)] for value in values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):g} to {max(known):g}, last {known[-1]:g}" if known else "nothing is known"


def _parquet(found: Mapping[str, Any], target: Path) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra of 170 MB
        from pyarrow import parquet  # noqa: PLC0415 - see above
    except ImportError:
        raise ParquetMissingError(
            "Parquet needs the extra `parquet`: pip install 'farmctl[parquet]' (CSV and JSON work without it)"
        ) from None
    columns = {"at": pa.array(found["at_ms"], type=pa.timestamp("ms", tz="UTC"))}
    columns |= {line["name"]: pa.array(line["values"], type=pa.float64()) for line in found["series"]}
    parquet.write_table(pa.table(columns), target, compression="zstd")


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
