"""`farmctl demo`: the main job on a simulated farm, with or without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from farmctl.cli.figures import Figure
from farmctl.cli.output import print_json, say
from farmctl.errors import FarmError

if TYPE_CHECKING:
    from farmctl.engine.cycle import Picture
    from farmctl.wiring.demo.setting import Setting

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SITE = re.compile(r"[a-z0-9-]{1,40}")
STATUS_S = 5.0
FIRST_WORDS = "farmctl grid send --limit-kw 100 --for 60 --broker"


class SiteName(click.ParamType[str]):
    """An id of a site (SIGNALS section 2)."""

    name = "name"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id; a usage error for anything else."""
        if not isinstance(value, str) or _SITE.fullmatch(value) is None:
            self.fail(f"{value!r}: expected 1 to 40 of a-z, 0-9 and -, such as north-01", param, ctx)
        return value


@click.command()
@click.option("--headless", is_flag=True, help="No terminal: progress on stderr, one JSON object at the end.")
@click.option("--for", "for_text", default=None, help="How long, such as 60s or 5m; default: until stopped.")
@click.option("--miners", type=click.IntRange(1, 10_000), default=300, show_default=True)
@click.option("--site", type=SiteName(), default="demo", show_default=True, help="Id of the site, as in its topics.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--faults/--no-faults", default=True, show_default=True, help="Let some machines misbehave.")
@click.option("--grid/--no-grid", default=True, show_default=True,
              help="Let a dispatcher play a day; without it the grid is you: farmctl grid send, certify.")  # fmt: skip
@click.option("--mix", default=None, help="model=weight,model=weight; models as farmsim names them.")
@click.option("--trace", default=None, help="CSV of the dispatcher's orders, or a shipped trace; played over and over.")
@click.option("--report-error", type=Figure(-0.5, 0.5), default=None, help="Miners report so much less.")
@click.option("--warming-c", type=float, default=0.0, help="Air gets so much warmer in the time of --for; 30: +7 % W.")
@click.option("--meter-lost-after", "meter_lost", default=None, help="Such as 5m: then the site meter is gone.")
@click.option("--port-base", type=int, default=None, help="All miners on 127.0.0.1, from this port on.")
@click.option("--metrics-port", type=click.IntRange(1, 65_535), default=None, help="Of /metrics; default: a free one.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=None, help="Keep the files here.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def demo(**options: Any) -> int:
    """Run a simulated farm that follows the grid: broker, miners, meter, dispatcher and the real controller.

    At a terminal the glass (farmctl tui) shows it; leaving the glass ends the demo.
    """
    if not options["headless"] and sys.stdin.isatty() and sys.stdout.isatty():
        return _at_the_glass(options)
    import uvloop  # noqa: PLC0415 - only what runs a loop pays for it

    return uvloop.run(_demo(**options))


def _at_the_glass(options: dict[str, Any]) -> int:
    """The demo in a child, its glass here."""
    from farmctl.cli.demo_glass import shown  # noqa: PLC0415 - textual comes with it

    words = ["--miners", str(options["miners"]), "--seed", str(options["seed"]), "--site", options["site"]]
    words.append("--faults" if options["faults"] else "--no-faults")
    words += [] if options["grid"] else ["--no-grid"]
    given = (
        *(("--for", "for_text"), ("--port-base", "port_base"), ("--metrics-port", "metrics_port"), ("--mix", "mix")),
        *(("--trace", "trace"), ("--report-error", "report_error"), ("--warming-c", "warming_c")),
        ("--meter-lost-after", "meter_lost"),
    )
    for option, value in ((option, options[name]) for option, name in given):
        words += [] if value is None else [option, str(value)]
    kept: Path | None = options["folder"]
    with tempfile.TemporaryDirectory(prefix="farmctl-demo-") if kept is None else contextlib.nullcontext(kept) as name:
        Path(name).mkdir(parents=True, exist_ok=True)
        summary = shown(words, Path(name))
    if summary is None:
        say("farmctl: the demo ended without a summary")
    elif options["output"] == "json":
        print_json(summary)
    else:
        _tell(summary)
    return 0


async def _demo(*, headless: bool, for_text: str | None, folder: Path | None, output: str, **size: Any) -> int:
    from farmctl.engine.supervisor import stop_on_signals  # noqa: PLC0415 - see above
    from farmctl.wiring.demo.play import DemoPlan, default_port_base, play  # noqa: PLC0415 - see above
    from farmctl.wiring.logs import configure_logs  # noqa: PLC0415 - see above

    configure_logs(least=logging.WARNING)
    stop = asyncio.Event()
    stop_on_signals(stop, [])
    board = StatusBoard(live=not headless and sys.stdout.isatty())
    if folder is not None:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    named = "" if size["site"] == "demo" else f" --site {size['site']}"
    plan = DemoPlan(
        miners=size["miners"],
        seed=size["seed"],
        site=size["site"],
        for_s=seconds_of(for_text) if for_text else None,
        faults=size["faults"],
        setting=_setting(size),
        metrics_port=size["metrics_port"],
        port_base=size["port_base"] if size["port_base"] is not None else default_port_base(),
        say=board.say,
        picture=board.show,
        folder=folder,
        dispatcher=None
        if size["grid"]
        else lambda seat: board.say(f"the grid is you: {FIRST_WORDS} {seat.broker}{named}"),
    )
    try:
        summary = await play(plan, stop)
    except* FarmError as group:
        raise _first(group) from group
    board.close()
    if output == "json" or headless:
        print_json(summary)
    else:
        _tell(summary)
    return 0


def _setting(given: dict[str, Any]) -> Setting:
    from farmctl.wiring.demo.setting import SURPLUS_DAY, Setting  # noqa: PLC0415 - see above

    return Setting(
        mix=given["mix"],
        trace=given["trace"] or SURPLUS_DAY,
        report_error=given["report_error"],
        warming_c=given["warming_c"],
        meter_lost_s=seconds_of(given["meter_lost"], "--meter-lost-after") if given["meter_lost"] else None,
    )


class StatusBoard:
    """Progress for people: start-up messages, then the status line every few seconds."""

    def __init__(self, *, live: bool) -> None:
        """`live` redraws one line of a terminal."""
        self._live = live
        self._started = time.monotonic()
        self._last = 0.0

    def say(self, message: str) -> None:
        """One line on stderr, with the seconds since the start."""
        say(f"[{time.monotonic() - self._started:6.1f} s] {message}")

    def show(self, picture: Picture) -> None:
        """The status line, redrawn each cycle on a terminal and printed now and then elsewhere."""
        now = time.monotonic()
        if now - self._last < (0.5 if self._live else STATUS_S):
            return
        self._last = now
        line = status_line(picture)
        if self._live:
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
        else:
            self.say(line)

    def close(self) -> None:
        """Leave the line."""
        if self._live:
            click.echo("", err=True)


def status_line(picture: Picture) -> str:
    """Target, actual, deviation, mode, states and alarms on one line."""
    from farmctl.wiring.strip import strip_of  # noqa: PLC0415 - numpy comes with it

    strip = strip_of(picture)
    states = " ".join(f"{name} {count}" for name, count in strip.states.items() if count)
    alarms = ", ".join(strip.alarms) or "none"
    return (
        f"{strip.mode:<13} power {strip.power_kw:8.1f} kW  target {strip.target_kw:8.1f}  "
        f"dev {strip.deviation_pct:+5.1f} %  limit {strip.limit_kw:8.1f}  {strip.reason}  [{states}]  alarms: {alarms}"
    )


def seconds_of(text: str, option: str = "--for") -> float:
    """`90s`, `5m`, `2h` in seconds; a bare number is a usage error."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r}: expected a time with a unit, such as 60s, 5m or 2h", param_hint=option)
    return float(match[1]) * _SECONDS[match[2]]


def _first(group: BaseExceptionGroup[FarmError]) -> FarmError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, FarmError) else FarmError(str(error))


def _tell(summary: dict[str, Any]) -> None:
    for event in summary["events"]:
        asked = f"target {event['target_kw']}" if event["target_kw"] is not None else f"limit {event['limit_kw']}"
        reached = "not reached" if event["reached_s"] is None else f"reached after {event['reached_s']} s"
        error = "" if event["mean_error_pct"] is None else f"mean error {event['mean_error_pct']} %"
        click.echo(f"{event['id']:<40} {event['state']:<10} {asked} kW  {reached}  {error}".rstrip())
    tracking, journal = summary["tracking"], summary["journal"]
    click.echo(
        f"{summary['miners']} miners, {summary['polls']} polls, tracking error {tracking['mean_error_pct']} %, "
        f"{summary['limit_violations']} limit violations, journal of {journal['records']} records "
        f"{'intact' if journal['chain_ok'] else 'BROKEN'}"
    )
