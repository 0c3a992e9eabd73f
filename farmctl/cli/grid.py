"""`farmctl grid`: a small dispatcher's console: send an event, watch a site's answers, certify a site."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.cli.exits import Exit
from farmctl.cli.figures import LARGEST_KW, Figure
from farmctl.cli.output import print_json, say, table

if TYPE_CHECKING:
    from farmctl.signals.kit import Console
    from farmctl.signals.kit.certify.run import Row
    from farmctl.signals.kit.heard import Said
    from farmctl.wiring.demo.seat import Seat

CLASSES = ("LIMIT", "TARGET", "ECONOMIC", "TEST", "EMERGENCY")
ANSWER_S = 5.0
"""A site answers within 2 s; after this long a person is told why it may not have."""
COLUMNS = ("scenario", "sections", "result", "took_s", "measured", "detail")
_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--broker", default=None, help="HOST:PORT of the MQTT broker."),
    click.option("--site", default="demo", show_default=True, help="Site id, as in its topics."),
    click.option("--op", default="grid-op", show_default=True, help="Operator id, also the issuer of the messages."),
    click.option("--key", "key_file", type=_PATH, default=None, help="Signing key, as `farmctl keys new` makes it."),
    click.option("--ca", type=_PATH, default=None, help="Authority of the broker's certificate: speak TLS."),
    click.option("--cert", type=_PATH, default=None, help="The operator's certificate."),
    click.option("--cert-key", type=_PATH, default=None, help="Private key of --cert."),
    click.option("--user", default=None, help="User at the broker, where certificates do not say it."),
    click.option("--password-file", type=_PATH, default=None, help="File with that user's password."),
    click.option("--programme", default="surplus-dispatch", show_default=True),
    click.option("--state", "state_file", type=click.Path(dir_okay=False, path_type=Path), default=None,
                 help="Counters and live events between calls; default ~/.local/state/farmctl/grid-OP-SITE.json."),
)  # fmt: skip


def _dispatcher(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def grid() -> None:
    """Speak to a site as its grid operator: send, watch, certify."""


@grid.command()
@_dispatcher
@click.argument("event_id", required=False)
@click.option("--limit-kw", type=Figure(0, LARGEST_KW), default=None, help="Import no more than this.")
@click.option("--target-kw", type=Figure(0, LARGEST_KW), default=None, help="Consume this.")
@click.option("--class", "event_class", type=click.Choice(CLASSES), default=None, help="Default: LIMIT or TARGET.")
@click.option("--in", "starts_in_s", type=click.IntRange(0, 604_800), default=0, help="Seconds until it begins.")
@click.option("--for", "for_s", type=click.IntRange(1, 604_800), default=300, show_default=True, help="Seconds.")
@click.option("--respond-within", "respond_s", type=click.IntRange(0, 3_600), default=None, help="Seconds to comply.")
@click.option("--tolerance-kw", type=Figure(0, LARGEST_KW), default=None)
@click.option("--priority", type=click.IntRange(min=0), default=10, show_default=True, help="0 is the highest.")
@click.option("--update", is_flag=True, help="Replace an event that was sent before.")
@click.option("--delete", is_flag=True, help="Withdraw an event that was sent before.")
@click.option("--release", is_flag=True, help="With --delete: end an EMERGENCY.")
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Keep the link alive and show the answers until the event is over.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
def send(**options: Any) -> int:
    """Sign and send one event, and show every answer until it is over.

    A site follows an operator only while heartbeats come: with --no-wait something else has to send them.
    """
    withdraws = options["delete"]
    if not withdraws and options["limit_kw"] is None and options["target_kw"] is None:
        raise click.UsageError("nothing to send: give --limit-kw, --target-kw or both, or --delete")
    if withdraws and not options["event_id"]:
        raise click.UsageError("--delete needs the id of the event")
    return asyncio.run(_send(options))


@grid.command()
@_dispatcher
@click.option("--for", "for_s", type=Figure(min=0), default=None, help="Seconds; default: until stopped.")
@click.option("--telemetry/--no-telemetry", default=True, show_default=True)
@click.option("-o", "--output", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
def watch(**options: Any) -> int:
    """Show acks, state and telemetry of a site as they come; sends nothing."""
    return asyncio.run(_watch(options))


@grid.command()
@_dispatcher
@click.option("--demo", "with_demo", is_flag=True, help="Start a signed demo without a dispatcher, certify it.")
@click.option("--miners", type=click.IntRange(1, 10_000), default=60, show_default=True, help="Size of the --demo.")
@click.option("--port-base", type=int, default=None, help="Miners of the --demo on 127.0.0.1, from this port on.")
@click.option("--only", multiple=True, help="Play only these scenarios (and link).")
@click.option("--site-key", default=None, help="The site's public key in base64: check that its acks are signed.")
@click.option("--respond-within", "respond_s", type=click.IntRange(1, 3_600), default=60, show_default=True,
              help="Seconds that the site has for limits and set-points.")  # fmt: skip
@click.option("--emergency-within", "emergency_s", type=click.IntRange(1, 3_600), default=60, show_default=True)
@click.option("--yes", is_flag=True, help="Move real load without asking.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def certify(**options: Any) -> int:
    """Play the conformance scenarios against a site and print a certificate; exit 1 where one fails.

    It takes about ten minutes and moves load: limits, set-points, an EMERGENCY and a silent grid.
    """
    from farmctl.signals.kit.certify.run import SCENARIOS  # noqa: PLC0415 - start-up of every verb would pay for it

    unknown = set(options["only"]) - {name for name, _, _ in SCENARIOS}
    if unknown:
        raise click.UsageError(f"--only {sorted(unknown)}: expected {', '.join(name for name, _, _ in SCENARIOS)}")
    if options["with_demo"]:
        return asyncio.run(_certified_demo(options))
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise click.UsageError("this moves real load: without a terminal to ask on, expected --yes")
        click.confirm(
            f"site {options['site']}: this moves real load for about ten minutes. Go on?", abort=True, err=True
        )
    return asyncio.run(_certified(options, options["broker"]))


async def _send(options: dict[str, Any]) -> int:
    from farmctl.core.events import TERMINAL  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.signals.kit import Wish  # noqa: PLC0415 - see above

    show = _printer(options["output"], telemetry=options["wait"])
    async with _console(options, options["broker"]) as console:
        console.heard.told = show
        event_id = options["event_id"] or f"ev-{console.book.epoch}-{console.book.seq + 1}"
        begun = console.book.epoch
        await console.speak()
        if console.book.epoch != begun:
            say(f"the site had heard another dispatcher: epoch {console.book.epoch} takes over from it")
        since = len(console.heard.acks)
        if options["delete"]:
            if event_id not in console.book.live:
                live = ", ".join(console.book.live) or "none"
                raise click.UsageError(f"{event_id}: not sent from here, or over; live events of this console: {live}")
            message = await console.withdraw(event_id, release=options["release"])
        else:
            wish = Wish(
                event_id=event_id,
                limit_kw=options["limit_kw"],
                target_kw=options["target_kw"],
                event_class=options["event_class"] or "",
                starts_in_s=options["starts_in_s"],
                for_s=options["for_s"],
                respond_within_s=options["respond_s"],
                tolerance_kw=options["tolerance_kw"],
                priority=options["priority"],
                programme=options["programme"],
            )
            message = await console.create(wish, operation="UPDATE" if options["update"] else "CREATE")
        say(f"sent: {_told(message, console.voice.kid if console.voice.seed else '')}")
        ends = {str(state) for state in TERMINAL}
        wanted = ends if options["wait"] or options["delete"] else {*ends, "ACCEPTED"}
        whole_s = 10.0 if not options["wait"] or options["delete"] else options["starts_in_s"] + options["for_s"] + 90.0
        if options["event_class"] == "EMERGENCY" and options["wait"]:
            whole_s = float("inf")  # it lasts until it is released
        if not await console.until(lambda: console.heard.states(event_id, since=since), min(ANSWER_S, whole_s)):
            say(f"{event_id}: no answer yet: {console.why_silent()}")
        try:
            await console.until(lambda: console.heard.first(event_id, wanted, since=since), min(whole_s, 1e9))
        finally:
            if event_id in console.book.live and console.book.live[event_id]["x-farmctl"]["class"] == "EMERGENCY":
                say(f"{event_id} is an EMERGENCY and lasts until: farmctl grid send {event_id} --delete --release")
        last = console.heard.states(event_id, since=since)[-1:]
        if not options["wait"] and not options["delete"]:
            say("no heartbeat comes from here any more: the site goes to its fail-safe limit unless another one does")
        if not last:
            say(f"{event_id}: no answer; the retained snapshot lists it until it is over or withdrawn with --delete")
            return Exit.TIMEOUT
        if last[0] in ends:
            console.book.live.pop(event_id, None)
        return Exit.OK if last[0] in {"COMPLETED", "CANCELLED", "ACCEPTED", "SCHEDULED", "ACTIVE"} else Exit.ERROR


async def _watch(options: dict[str, Any]) -> int:
    for_s = options["for_s"] if options["for_s"] is not None else 1e9
    async with _console(options, options["broker"], listens=True) as console:
        began_ms = console.clock.now_ms()
        console.heard.told = _printer(options["output"], telemetry=options["telemetry"])
        for said in console.heard.latest.values():
            console.heard.told(said)
        if not await console.until(lambda: console.heard.latest, min(ANSWER_S, for_s)):
            say(console.why_silent())
        await console.until(lambda: False, for_s - (console.clock.now_ms() - began_ms) / 1_000)
        return Exit.OK if console.heard.latest else Exit.TIMEOUT


async def _certified(options: dict[str, Any], broker: str) -> int:
    import base64  # noqa: PLC0415 - start-up of every verb would pay for it
    import binascii  # noqa: PLC0415 - see above

    from farmctl.signals.kit.certify.run import certify as run  # noqa: PLC0415 - see above
    from farmctl.signals.kit.certify.stage import Allowance  # noqa: PLC0415 - see above

    try:
        site_key = None if options["site_key"] is None else base64.b64decode(options["site_key"], validate=True)
    except binascii.Error:
        raise click.UsageError("--site-key: expected a public key in base64") from None
    allow = Allowance(respond_s=options["respond_s"], emergency_s=options["emergency_s"])
    async with _console(options, broker) as console:
        paper = await run(
            console,
            programme=options["programme"],
            allow=allow,
            only=options["only"],
            site_key=site_key,
            told=lambda row: say(f"{row.scenario}: {row.result} after {row.took_s:g} s {row.detail}"),
        )
    rows = [_line(row) for row in paper.rows]
    if options["output"] == "json":
        kept = [{**line, "measured": row.measured} for line, row in zip(rows, paper.rows, strict=True)]
        print_json(
            {"site": paper.site, "op": paper.op, "signed": paper.signed, "passed": paper.passed, "scenarios": kept}
        )
    else:
        click.echo(table(rows, COLUMNS))
        click.echo(f"\nsite {paper.site}, operator {paper.op}: {'PASSED' if paper.passed else 'FAILED'}")
    return Exit.OK if paper.passed else Exit.ERROR


async def _certified_demo(options: dict[str, Any]) -> int:
    from farmctl.wiring.demo.certify import beside_demo  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.wiring.logs import configure_logs  # noqa: PLC0415 - see above

    def seated(seat: Seat) -> dict[str, Any]:
        trust = {} if seat.keys is None else {"key_file": seat.keys.grid.file, "site_key": seat.keys.site.public_key}
        return {"site": "demo", "op": "grid-op", **trust}

    configure_logs(least=logging.ERROR)
    return await beside_demo(
        options["miners"],
        lambda seat: _certified({**options, **seated(seat)}, seat.broker),
        say=say,
        port_base=options["port_base"],
    )


def _console(options: dict[str, Any], broker: str | None, *, listens: bool = False) -> Console:
    from farmctl.config.credentials import read_secret  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.engine.clock import SystemClock  # noqa: PLC0415 - see above
    from farmctl.signals.keyfiles import key_in, seed_in  # noqa: PLC0415 - see above
    from farmctl.signals.kit import BrokerAddress, Console  # noqa: PLC0415 - see above
    from farmctl.signals.kit.book import opened  # noqa: PLC0415 - see above
    from farmctl.signals.kit.shelf import Shelf  # noqa: PLC0415 - see above
    from farmctl.signals.kit.voice import Voice  # noqa: PLC0415 - see above

    host, _, port = (broker or "").rpartition(":")
    if not host or not port.isdecimal():
        said = "expected --broker HOST:PORT" if broker is None else f"--broker {broker!r}: expected HOST:PORT"
        raise click.UsageError(said)
    op, site, key = options["op"], options["site"], options["key_file"]
    file = options["state_file"] or Path("~/.local/state/farmctl").expanduser() / f"grid-{op}-{site}.json"
    if options.get("with_demo"):
        file = None
    clock = SystemClock()
    secret = options["password_file"]
    return Console(
        BrokerAddress(
            host=host.strip("[]"),
            port=int(port),
            ca=options["ca"],
            cert=options["cert"],
            key=options["cert_key"],
            user=options["user"],
            password=None if secret is None else read_secret(secret),
        ),
        Voice(
            op=op,
            site=site,
            kid=f"{op}-unsigned" if key is None else key_in(key).kid,
            seed=None if key is None else seed_in(key),
        ),
        opened(file, epoch=clock.now_ms() // 1_000),
        clock,
        keeper=None if file is None or listens else Shelf(file=file.with_suffix(".said.jsonl")),
    )


def _printer(output: str, *, telemetry: bool) -> Callable[[Said], None]:
    def show(said: Said) -> None:
        if said.channel == "telemetry" and not telemetry:
            return
        if output == "jsonl":
            click.echo(json.dumps({"topic": said.channel, "retained": said.retained, "body": said.body}))
        else:
            click.echo(_sentence(said))

    return show


def _sentence(said: Said) -> str:
    body = said.body
    match said.channel:
        case "ack":
            names = ("targetKw", "expectedKw", "shortfallKw", "measuredKw", "meterQuality", "reason")
            found = " ".join(f"{name}={body[name]}" for name in names if body.get(name) not in (None, ""))
            return (
                f"{body.get('ts')}  ack        {body.get('eventId')}  {body.get('state')} {body.get('code')}  {found}"
            )
        case "telemetry":
            stated = " ".join(f"{name}={body.get(name)}" for name in ("kw", "setpointKw", "limitKw", "quality", "mode"))
            return f"{body.get('ts')}  telemetry  {stated}"
        case "state":
            stated = " ".join(f"{name}={body.get(name)}" for name in ("limitKw", "setpointKw", "liveEvents"))
            return f"{body.get('ts')}  state      {body.get('mode')} {stated}"
        case "status":
            return f"{body.get('ts')}  status     {body.get('status')}"
        case "capability":
            able = ("ratedKw", "failsafeLimitKw", "subscriptionKw", "downKwIn", "upKwIn")
            stated = " ".join(f"{name}={json.dumps(body.get(name), separators=(',', ':'))}" for name in able)
            return f"{body.get('ts')}  capability {stated}"
        case _:
            return f"{body.get('ts', '')}  {said.channel:<9}  {json.dumps(body, separators=(',', ':'))}"


def _told(message: dict[str, Any], kid: str) -> str:
    """One event as a person says it."""
    body = message["object"]
    more = body["x-farmctl"]
    trust = f"signed by {kid}" if kid else "unsigned"
    if message["operation"] == "DELETE":
        release = ", released" if more.get("release") else ""
        return f"DELETE {body['id']}{release}, seq {more['seq']}, {trust}"
    asked = " ".join(f"{load['type']} {load['values'][0]:g} kW" for load in body["intervals"][0]["payloads"])
    when = f"from {body['intervalPeriod']['start']} to {more['expiresAt']}"
    return f"{message['operation']} {body['id']}: {more['class']}, {asked}, {when}, seq {more['seq']}, {trust}"


def _line(row: Row) -> dict[str, Any]:
    told = " ".join(f"{name}={value:g}" for name, value in row.measured.items())
    return {
        "scenario": row.scenario,
        "sections": row.sections,
        "result": str(row.result),
        "took_s": row.took_s,
        "measured": told,
        "detail": row.detail,
    }
