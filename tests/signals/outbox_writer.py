"""A child process that queues acks for ever, and says of each that it is durable; it is killed in the middle."""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path

from farmctl.engine.inbox import GridInbox
from farmctl.signals.mqtt import Mark, Outbox, Parcel
from farmctl.store.sqlite import open_sqlite
from tests.signals.words import WallClock

TOPIC = "site/v1/site-07/ack"


def as_it_is(payload: str, _: Mark) -> Parcel:
    return Parcel(topic=TOPIC, payload=payload.encode())


async def main(journal: Path) -> None:
    store, clock = await open_sqlite(journal), WallClock()
    box = Outbox("grid", clock)
    await box.open(GridInbox(store, clock, asyncio.Event()))
    number = 0
    while True:
        payload = f'{{"eventId":"ev-{number}","state":"REACHED"}}'
        await box.put(functools.partial(as_it_is, payload))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
