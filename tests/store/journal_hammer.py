"""Append for ever and print what was acknowledged; made to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.sqlite import SqliteStore, open_sqlite

SIZES = (1, 7, 150)


async def hammer(store: SqliteStore, size: int) -> None:
    number = 0
    while True:
        number += 1
        batch = [
            JournalRecord(kind=RecordKind.COMMAND, at_ms=number, body={"size": size, "n": n}, blob=bytes(size))
            for n in range(size)
        ]
        last = await store.append(batch, {f"caller-{size}": str(number).encode()})
        if last is not None:
            sys.stdout.write(f"{last.seq} {last.hash} {size} {number}\n")
            sys.stdout.flush()


async def main(path: Path) -> None:
    store = await open_sqlite(path)
    async with asyncio.TaskGroup() as group:
        for size in SIZES:
            group.create_task(hammer(store, size))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
