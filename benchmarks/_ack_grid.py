"""The grid of the ack benchmark in a process of its own: sends events, times the answers by its own clock.

It connects, says `ready`, waits for a line on stdin and ends with one JSON object: seconds per answer, and each answer
that was not the expected one with its reason.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field

import uvloop

from simulators.grid.dispatcher import Dispatcher
from simulators.grid.ledger import Sent
from simulators.grid.orders import Order

ANSWER_S = 30.0
PAUSE_S = 0.3
LIVE_AT_MOST = 10
"""Older events are withdrawn again: a grid has a handful of live events per site, and a snapshot at most 64 KiB."""
EVERY_BAD = 4
"""Every fourth event has a fault and must be refused."""


@dataclass(slots=True)
class Answers:
    """What came back, s since the send."""

    received: list[float] = field(default_factory=list)
    judged: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers that were not the expected one, as `event: state code reason`."""


async def main(port: int, signals: int) -> None:
    """Ask once told to, print the answers."""
    async with Dispatcher("127.0.0.1", port, op="grid-op", site="crowd") as grid:
        await grid.wait_online()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = Answers()
        for number in range(signals):
            await _ask(grid, number, answers)
            await asyncio.sleep(PAUSE_S)
        print(json.dumps(asdict(answers)), flush=True)


async def _ask(grid: Dispatcher, number: int, answers: Answers) -> None:
    bad = number % EVERY_BAD == EVERY_BAD - 1
    # Limits above the load: what is timed is the answer, not the shed.
    order = Order(limit_kw=-1.0 if bad else 1e6 - number, duration_s=600.0, name="bad" if bad else "good")
    sent = await grid.create_event(order)
    await _judged(grid, sent, "REJECTED" if bad else "ACCEPTED", answers)
    if bad:
        grid.ledger.live.pop(sent.order_id, None)  # a refused event has no place in the snapshot
    if len(grid.ledger.live) > LIVE_AT_MOST:
        await grid.delete(next(iter(grid.ledger.live)))


async def _judged(grid: Dispatcher, sent: Sent, expected: str, answers: Answers) -> None:
    try:
        told = await grid.wait_for(sent.order_id, {"ACCEPTED", "REJECTED"}, within_s=ANSWER_S)
        if told.state != expected:
            answers.wrong.append(f"{sent.order_id}: {told.state} {told.code} {told.reason}")
            return
        answers.judged.append(told.received_s - sent.sent_s)
        if expected == "ACCEPTED":
            first = await grid.wait_for(sent.order_id, {"RECEIVED"}, within_s=ANSWER_S)
            answers.received.append(first.received_s - sent.sent_s)
    except TimeoutError as missing:
        answers.wrong.append(str(missing))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--signals", type=int, required=True)
    asked = parser.parse_args()
    uvloop.run(main(asked.port, asked.signals))
