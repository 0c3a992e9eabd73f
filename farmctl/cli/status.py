"""`farmctl status` and `check`: are we where the grid wants us, for people and for monitors."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from typing_extensions import override

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import object_option, print_object, say
from farmctl.control.client import ControlClient, ControllerRefusedError
from farmctl.control.sizes import span_s
from farmctl.errors import FarmError, SilentPeerError

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
"""Exit codes of `check`, as Nagios plug-ins have them."""
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
FEED_TIMEOUT_S = 5.0


@click.command(cls=ClientVerb)
@asking
@click.option("-w", "--watch", is_flag=True, help="Keep it live until Ctrl-C.")
@click.option("--every", default="1s", show_default=True, help="Time between two pictures with --watch.")
@click.option("--times", type=click.IntRange(1), default=None, help="With --watch: stop after so many pictures.")
@object_option
def status(*, door: Door, watch: bool, every: str, times: int | None, output: str) -> int:
    """One screen: target, actual, deviation, mode, miners by state, signal age, alarms."""
    client = door.client()
    if not watch:
        state = client.get("/v1/state")
        if output != "table":
            print_object(state, output)
        else:
            click.echo(screen(state))
        return 0
    pause_s = span_s(every)
    turn, seen = 0, False
    while times is None or turn < times:
        if turn:
            time.sleep(pause_s)
        seen = _redraw(client, output)
        turn += 1
    return Exit.OK if seen else Exit.UNREACHABLE


class _Misused(click.UsageError):
    """Wrong use of a monitor's probe, which knows nothing then."""

    exit_code = UNKNOWN


class _Probe(click.Command):
    """A verb whose wrong use is UNKNOWN to a monitor, and not the 2 that means CRITICAL there."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of the command line. Raises UsageError with the monitor's exit code."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _Misused(error.format_message(), ctx) from None


@click.command(cls=_Probe)
@asking
def check(*, door: Door) -> int:
    """Nagios-style health: 0 ok, 1 warning, 2 critical, 3 unknown."""
    try:
        state = door.client().get("/v1/state")
    except (SilentPeerError, ControllerRefusedError) as error:
        no_cycle = isinstance(error, ControllerRefusedError) and error.status == 503  # noqa: PLR2004 - HTTP: not ready
        level = CRITICAL if no_cycle or isinstance(error, SilentPeerError) else UNKNOWN
        click.echo(f"FARMCTL {WORDS[level]} - {error}")
        return level
    except FarmError as error:
        click.echo(f"FARMCTL {WORDS[UNKNOWN]} - {error}")
        return UNKNOWN
    level, why = verdict(state)
    figures = (
        f"power={state['power_kw']}kW target={state['target_kw']}kW;;{state['limit_kw']} "
        f"offline={state['miners']['offline']} hash_rate={state['hash_rate_ths']}"
    )
    click.echo(f"FARMCTL {WORDS[level]} - {why} | {figures}")
    return level


def verdict(state: dict[str, Any]) -> tuple[int, str]:
    """Level of a state, and the worst thing in it."""
    if not state["fresh"]:
        return CRITICAL, f"no decision for {state['age_s']:.0f} s"
    for alarm in state["alarm_list"]:
        level = CRITICAL if alarm["priority"] == 1 else WARNING
        return level, f"{alarm['alarm']}: {alarm['detail']}"
    where = f"{state['mode']}, {_kw(state['power_kw'])} of {_kw(state['target_kw'])}"
    if not state["in_band"]:
        return WARNING, f"{where}, deviation {state['deviation_pct']:+.1f} %"
    return OK, where


def screen(state: dict[str, Any]) -> str:
    """The state for people: a line per question."""
    return "\n".join(f"{label:<9} {text}" for label, text in _lines(state))


def one_line(state: dict[str, Any]) -> str:
    """The same on one line, for a log."""
    counts = " ".join(f"{name} {n}" for name, n in state["miners"].items() if n and name != "total")
    alarms = ", ".join(alarm["alarm"] for alarm in state["alarm_list"]) or "none"
    return (
        f"{state['at']} {state['mode']} power {_kw(state['power_kw'])} target {_kw(state['target_kw'])} "
        f"dev {state['deviation_pct']:+.1f} % signal {_age(state['signal_age_s'])} [{counts}] alarms: {alarms}"
    )


def _lines(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    stale = "" if state["fresh"] else _mark(f"  STALE {state['age_s']:.0f} s", fg="red", bold=True)
    flags = [name for name, on in (("STOPPED", state["stop_all"]), ("MAINTENANCE", state["maintenance"])) if on]
    flags += [] if state["armed"] else ["OBSERVE ONLY"]
    held = "".join(f"  {_mark(flag, fg='yellow', bold=True)}" for flag in flags)
    yield "site", f"{state['site']}  {state['mode']}, decided by the {state['authority']}{held}{stale}"
    off = f"{state['deviation_kw']:+.1f} kW ({state['deviation_pct']:+.1f} %)"
    off = off if state["in_band"] else _mark(off, fg="yellow")
    if state.get("crew"):
        workers = [member for member in state["crew"]["members"] if member["role"] == "worker"]
        held = ", ".join(f"{member['name']} {member['shards']}" for member in workers)
        yield "led by", f"{state['crew']['leader']}; shards held: {held or 'none'}"
    yield "power", f"{_kw(state['power_kw'])}   target {_kw(state['target_kw'])}   deviation {off}"
    yield "limit", f"{_kw(state['limit_kw'])} of {_kw(state['rated_kw'])} rated ({state['limit_reason']})"
    yield "why", f"{state['reason']}: {state['reason_help']}"
    yield "event", _event(state["event"])
    yield "signal", f"{_age(state['signal_age_s'])}   meter {state['meter_quality']}"
    if state.get("sites"):
        yield "sites", f"{state['sites']}: farmctl sites list, farmctl why SITE"
    counts = ", ".join(f"{name} {n}" for name, n in state["miners"].items() if n and name != "total")
    yield "miners", f"{state['miners']['total']}: {counts}   hash rate {state['hash_rate_ths']:.1f} TH/s"
    yield "alarms", "  ".join(f"{name.upper()} {n}" for name, n in state["alarms"].items())
    for alarm in state["alarm_list"]:
        mark = _mark(f"P{alarm['priority']} {alarm['alarm']}", fg="red" if alarm["priority"] == 1 else "yellow")
        yield "", f"{mark} {alarm['where']}: {alarm['detail']}"
    for order in state["overrides"]:
        who = f"by {order['owner']} until {order['expires_at']}: {order['reason']}"
        yield "override", f"{order['id']} {_kw(order['target_kw'])} {who}"


def _redraw(client: ControlClient, output: str) -> bool:
    """One picture of --watch; a lost link is said, and the watch goes on. False: there was none."""
    try:
        state = client.get("/v1/state")
    except FarmError as error:
        say(f"farmctl: {error}; trying again")
        return False
    if output != "table":
        print_object(state, output)
    elif sys.stdout.isatty():
        click.echo(f"\x1b[H\x1b[J{screen(state)}")
    else:
        click.echo(one_line(state))
    return True


def _mark(text: str, **style: Any) -> str:
    """Colour for what is abnormal; echo takes it off where there is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


def _event(event: dict[str, Any] | None) -> str:
    if event is None:
        return "none"
    asked = [f"limit {_kw(event['limit_kw'])}"] if event["limit_kw"] is not None else []
    asked += [f"set-point {_kw(event['setpoint_kw'])}"] if event["setpoint_kw"] is not None else []
    when = (
        f"starts in {_span(event['starts_in_s'])}" if event["starts_in_s"] else f"ends in {_span(event['ends_in_s'])}"
    )
    return f"{event['id']} {event['class']} {event['state']} {' '.join(asked)}, {when}"


def _kw(kilowatts: float) -> str:
    return f"{kilowatts:.1f} kW"


def _age(seconds: float | None) -> str:
    return "never heard" if seconds is None else f"{seconds:.1f} s old"


def _span(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}h{rest // 60:02d}m" if hours else f"{rest // 60}m{rest % 60:02d}s"
