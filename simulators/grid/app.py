"""`farmsim grid`: plays a trace to one site and ends with one JSON line about what the site made of it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from simulators.grid.dispatcher import Dispatcher, Form
from simulators.grid.signing import Signer
from simulators.grid.trace import Trace, TraceError, play
from simulators.grid.uplink import TERMINAL

TRACES = Path(__file__).parent.parent / "traces"
CANCEL_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What became of one order."""

    id: str
    event_class: str
    target_kw: float | None
    limit_kw: float | None
    states: tuple[str, ...]
    received_s: float | None
    """From sending to RECEIVED."""
    reached_s: float | None
    """From the start of the interval to the first REACHED; None when it never was."""
    final: str | None
    reason: str


def stories(dispatcher: Dispatcher) -> list[Story]:
    """One story per order, in the order they were first sent."""
    firsts = {sent.order_id: sent for sent in reversed(dispatcher.ledger.sent)}
    told: list[Story] = []
    for sent in reversed(firsts.values()):
        wire_ids = dispatcher.ledger.wire_ids(sent.order_id)
        received = dispatcher.uplink.first(wire_ids, {"RECEIVED"})
        reached = dispatcher.uplink.first(wire_ids, {"REACHED"})
        final = dispatcher.uplink.first(wire_ids, TERMINAL)
        told.append(
            Story(
                id=sent.order_id,
                event_class=sent.order.effective_class.value,
                target_kw=sent.order.target_kw,
                limit_kw=sent.order.limit_kw,
                states=dispatcher.uplink.states(wire_ids),
                received_s=None if received is None else round(received.received_s - sent.sent_s, 3),
                reached_s=None if reached is None else round(max(0.0, reached.received_s - sent.starts_s), 3),
                final=None if final is None else final.state,
                reason="" if final is None else final.reason,
            )
        )
    return told


def find_trace(name: str) -> Path:
    """A file, or the name of a trace that ships with the simulators; raises click.BadParameter."""
    for path in (Path(name), TRACES / name, TRACES / f"{name}.csv"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(path.stem for path in TRACES.glob("*.csv")))
    raise click.BadParameter(f"--trace {name!r}: expected a CSV file or one of {shipped}")


@click.command("grid")
@click.option("--broker", required=True, help="HOST:PORT of the MQTT broker.")
@click.option("--site", required=True)
@click.option("--op", required=True, help="Grid operator's id, also the issuer of its messages.")
@click.option("--trace", "trace_name", required=True, help="CSV file, or the name of a shipped trace.")
@click.option("--programme", default="surplus-dispatch", show_default=True)
@click.option("--form", type=click.Choice(["openadr", "simple"]), default="openadr", show_default=True)
@click.option("--rated-kw", type=float, default=None, help="Rated power of the site, for traces in fractions.")
@click.option("--scale", default=1.0, show_default=True, help="Multiplies the kW of a trace.")
@click.option("--speed", default=1.0, show_default=True, help="Plays the trace this many times faster.")
@click.option("--for", "for_s", type=float, default=None, help="Send nothing new after this many seconds.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              help="32 secret bytes of an Ed25519 key; without it messages are unsigned.")  # fmt: skip
@click.option("--kid", default=None, help="Id of that key; default OP-1.")
def main(  # noqa: PLR0913, PLR0917 - one parameter per option
    broker: str,
    site: str,
    op: str,
    trace_name: str,
    programme: str,
    form: Form,
    rated_kw: float | None,
    scale: float,
    speed: float,
    for_s: float | None,
    key_file: Path | None,
    kid: str | None,
) -> None:
    """Play a trace to one site, as its grid operator."""
    host, _, port = broker.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"--broker {broker!r}: expected HOST:PORT")
    try:
        trace = Trace.load(find_trace(trace_name)).scaled(rated_kw=rated_kw, factor=scale).faster(speed)
    except TraceError as error:
        raise click.ClickException(str(error)) from error
    if for_s is not None:
        trace = trace.until(for_s)
    signer = None if key_file is None else Signer.from_seed(key_file.read_bytes(), kid=kid or f"{op}-1")
    asyncio.run(
        _run(host, int(port), trace, op=op, site=site, programme=programme, form=form, signer=signer, rated_kw=rated_kw)
    )


async def _run(  # noqa: PLR0913 - hands the options on
    host: str,
    port: int,
    trace: Trace,
    *,
    op: str,
    site: str,
    programme: str,
    form: Form,
    signer: Signer | None,
    rated_kw: float | None,
) -> None:
    began_s = time.monotonic()
    async with Dispatcher(
        host, port, op=op, site=site, programme_id=programme, form=form, signer=signer, standing_kw=rated_kw
    ) as dispatcher:
        try:
            await dispatcher.wait_online()
        except TimeoutError as error:
            raise click.ClickException(f"no MQTT broker at {host}:{port}") from error
        # Ended early, by the demo or by Ctrl-C, the summary is about what was played so far.
        playing, told_to_stop = asyncio.ensure_future(play(dispatcher, trace)), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
        stopping = asyncio.ensure_future(told_to_stop.wait())
        await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        while not playing.done():
            # Again until it ends: wait_for of 3.11 loses a cancel that comes with what it waits for (CPython #86296).
            playing.cancel()
            await asyncio.wait([playing], timeout=CANCEL_AGAIN_S)
        complete = not playing.cancelled()
        if complete:
            playing.result()
    summary = {
        "site": site,
        "op": op,
        "form": form,
        "trace": trace.name,
        "signed": signer is not None,
        "complete": complete,
        "events": [asdict(story) for story in stories(dispatcher)],
        "acks": len(dispatcher.acks),
        "telemetry": len(dispatcher.uplink.telemetry),
        "unreadable": len(dispatcher.uplink.unreadable),
        "modes": [mode for _, mode in dispatcher.uplink.modes],
        "snapshots": dispatcher.snapshots,
        "heartbeats": dispatcher.heartbeats,
        "connections": dispatcher.connections,
        "wall_s": round(time.monotonic() - began_s, 3),
    }
    click.echo(json.dumps(summary))
