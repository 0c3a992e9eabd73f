"""`farmctl simulate`: a day of signals through the real core, in virtual time, against modelled devices."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.cli.figures import Figure
from farmctl.cli.output import print_json, say, table
from farmctl.cli.past import FORMS, Moment

if TYPE_CHECKING:
    from farmctl.engine.virtual.day import Turn
    from farmctl.wiring.virtual import SimulationPlan

RECORD_UP_TO = 5_000
"""Miners up to which every cycle's inputs are kept unless asked otherwise: a day of more is gigabytes."""
W_PER_KW = 1_000.0


@click.command()
@click.option(
    "--signals", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The day as CSV."
)
@click.option(
    "--farm",
    "config_path",
    type=click.Path(exists=True, dir_okay=False),
    help="farm.toml of the site; without it a site is made up.",
)
@click.option("--inventory", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Miners as CSV.")
@click.option(
    "--miners",
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="Made-up miners where there is no inventory.",
)
@click.option(
    "--start",
    type=Moment((*FORMS, "%Y-%m-%d")),
    metavar="TIME",
    help="2026-11-24 or 2026-11-24T10:05, UTC; default: today 00:00.",
)
@click.option("--for", "for_text", default=None, help="How long, such as 4h; default: until the last order has ended.")
@click.option("--policy", default=None, help="Instead of the configured one.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--ambient-swing",
    type=Figure(0, 0.3),
    default=0.07,
    show_default=True,
    help="Draw of the warmest hour over the coldest.",
)
@click.option(
    "--report-error",
    type=Figure(-0.3, 0.3),
    default=0.05,
    show_default=True,
    help="Devices say so much less than they draw.",
)
@click.option(
    "--deaf",
    type=Figure(0, 1),
    default=0.002,
    show_default=True,
    help="Share that says yes and does nothing.",
)
@click.option("--silent", type=Figure(0, 1), default=0.003, show_default=True, help="Share that never answers.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Keep journal and recording in this new folder.",
)
@click.option(
    "--record/--no-record",
    default=None,
    help="Keep every cycle's inputs for `farmctl replay`; default: up to 5,000 miners.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def simulate(output: str, **options: Any) -> int:
    """Play a day of signals through the real core in virtual time, and report as after a live day.

    The signals are CSV with the columns t_s, kind, name, target_kw or target_pu, limit_kw or limit_pu, duration_s,
    lead_s, class, ...; kind is create, update, delete, emergency, release, link_lost, link_back, meter_lost or
    meter_back. With --out the folder holds a journal that `farmctl journal` and `farmctl replay` read.
    """
    from farmctl.wiring.virtual import simulate as played  # noqa: PLC0415 - numpy comes with it

    bar = Progress(live=sys.stderr.isatty())
    report = asyncio.run(played(_plan(bar, **options)))
    bar.close()
    if output == "json":
        print_json(report)
    else:
        _tell(report)
    return 0


class Progress:
    """Share of the day that is over: a bar on a terminal, a line every tenth elsewhere."""

    def __init__(self, *, live: bool) -> None:
        """`live` redraws one line."""
        self._live = live
        self._told = -1

    def show(self, turn: Turn, share: float) -> None:
        """Redraw at every percent, print at every tenth."""
        percent = int(100 * share)
        if percent == self._told or (not self._live and percent // 10 == self._told // 10):
            return
        self._told = percent
        decision = turn.decision
        at = datetime.fromtimestamp(decision.at_ms / 1000, tz=UTC).strftime("%H:%M")
        power_kw, target_kw = turn.power_w / W_PER_KW, decision.budget.target_w / W_PER_KW
        text = f"{at}  {power_kw:12,.0f} kW of {target_kw:12,.0f}  {decision.mode.value}"
        if self._live:
            done = percent * 30 // 100
            click.echo(f"\r\x1b[K[{'#' * done}{'.' * (30 - done)}] {percent:3d} %  {text}", nl=False, err=True)
        else:
            say(f"{percent:3d} %  {text}")

    def close(self) -> None:
        """Leave the line."""
        if self._live:
            click.echo("", err=True)


def _plan(bar: Progress, *, signals: Path, out: Path | None, record: bool | None, **options: Any) -> SimulationPlan:
    from farmctl.cli.demo import seconds_of  # noqa: PLC0415 - see above
    from farmctl.config.load import load  # noqa: PLC0415 - see above
    from farmctl.core.policies import POLICIES  # noqa: PLC0415 - see above
    from farmctl.engine.virtual.devices import World  # noqa: PLC0415 - see above
    from farmctl.inventory.csv import read_miners  # noqa: PLC0415 - see above
    from farmctl.wiring.virtual import SimulationPlan  # noqa: PLC0415 - see above

    path, inventory = options["config_path"], options["inventory"]
    config = load(Path(path), environment=os.environ).config if path else None
    rows = (
        read_miners(inventory.read_text(encoding="utf-8", errors="replace"), inventory.name).rows if inventory else ()
    )
    if options["policy"] is not None and options["policy"] not in POLICIES:
        raise click.UsageError(f"--policy {options['policy']}: expected one of {', '.join(sorted(POLICIES))}")
    if rows and config is None:
        raise click.UsageError("--inventory needs --farm: its circuits are those of the configuration")
    if out is not None:
        if out.exists() and any(out.iterdir()):
            raise click.UsageError(f"--out {out}: expected a new or empty folder")
        out.mkdir(parents=True, exist_ok=True)
    miners = len(rows) or options["miners"]
    midnight = datetime.now(tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = options["start"].replace(tzinfo=UTC) if options["start"] else midnight
    return SimulationPlan(
        signals=signals,
        config=config,
        inventory=rows,
        miners=miners,
        start_ms=int(start.timestamp() * 1000),
        for_s=seconds_of(options["for_text"]) if options["for_text"] else None,
        seed=options["seed"],
        policy=options["policy"] or (config.control.policy if config else "efficiency_first"),
        world=World(
            ambient_swing=options["ambient_swing"],
            report_error=options["report_error"],
            deaf_share=options["deaf"],
            silent_share=options["silent"],
        ),
        folder=out,
        record=out is not None and (miners <= RECORD_UP_TO if record is None else record),
        tell=bar.show,
    )


def _tell(report: dict[str, Any]) -> None:
    columns = ["id", "state", "target_kw", "limit_kw", "reached_s", "mean_error_pct"]
    if report["events"]:
        click.echo(table(report["events"], columns))
    tracking, journal, commands = report["tracking"], report["journal"], report["commands"]
    speed = report["virtual_s"] / max(report["wall_s"], 0.1)
    click.echo(
        f"{report['miners']} miners, {report['virtual_s'] / 3600:.1f} h in {report['wall_s']} s "
        f"({speed:,.0f} times real time, {report['cycles']} cycles)\n"
        f"tracking error {_figure(tracking['mean_error_pct'])} % mean, {_figure(tracking['p95_error_pct'])} % p95; "
        f"{report['limit_violations']} limit violations; peak {report['peak_kw']} kW, {report['energy_mwh']} MWh\n"
        f"{commands['sent']} commands, {commands['confirmed']} confirmed, {commands['retried']} retried, "
        f"{commands['failed']} given up; journal of {journal['records']} records"
    )


def _figure(value: float | None) -> str:
    """A share that may not be there: nothing was judged."""
    return "-" if value is None else str(value)
