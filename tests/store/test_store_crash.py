"""Nothing that was acknowledged is lost: kill -9 at any moment, and a disk without room."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmctl.errors import StoreError
from farmctl.ports.store import JournalRecord, RecordKind, StoredRecord
from farmctl.store.journal import Intact
from farmctl.store.sqlite import SqliteStore, open_sqlite

ROOT = Path(__file__).parents[2]
HAMMER = Path(__file__).with_name("journal_hammer.py")
KILLS = 10
READY_S = 40.0


async def hammered(path: Path, after_s: float) -> list[str]:
    """The acknowledgements of one hammer, killed some time after its first one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HAMMER),
        str(path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            first = await process.stdout.readline()
            await asyncio.sleep(after_s)
    finally:
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
    lines = (first + rest).decode().splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    dice = random.Random(20)  # noqa: S311 - moments to kill at, not secrets
    acknowledged: dict[int, str] = {}
    for _ in range(KILLS):
        numbers: dict[str, int] = {}
        for line in await hammered(path, dice.uniform(0.0, 0.3)):
            seq, digest, caller, number = line.split()
            acknowledged[int(seq)] = digest
            numbers[caller] = int(number)
        store = await open_sqlite(path)
        verdict = await store.verify()
        assert isinstance(verdict, Intact)
        found = {each.seq: each.hash async for each in store.records()}
        assert acknowledged.items() <= found.items()
        for caller, least in numbers.items():
            value = await store.state(f"caller-{caller}")
            assert value is not None
            assert int(value) >= least
        await store.close()
    assert len(acknowledged) > KILLS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"mount -t tmpfs is not possible here: {error}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=20)


async def test_a_full_disk_loses_nothing_acknowledged_and_appends_go_on_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = await open_sqlite(path)
    acknowledged: list[StoredRecord] = []
    with pytest.raises(StoreError, match=r"journal\.db: .*(SQLITE_FULL|SQLITE_IOERR)"):
        await fill(store, acknowledged)
    with pytest.raises(StoreError):
        await store.append([packed(0)])
    assert acknowledged == [each async for each in store.records()]
    assert await store.verify() == Intact(count=len(acknowledged), head=acknowledged[-1].hash)
    ballast.unlink()
    last = await store.append([packed(1)])
    assert last is not None
    assert (last.seq, last.prev_hash) == (len(acknowledged) + 1, acknowledged[-1].hash)
    await store.close()
    store = await open_sqlite(path)
    assert await store.verify() == Intact(count=last.seq, head=last.hash)
    await store.close()


async def fill(store: SqliteStore, acknowledged: list[StoredRecord]) -> None:
    while True:
        last = await store.append([packed(len(acknowledged))])
        assert last is not None
        acknowledged.append(last)


def packed(number: int) -> JournalRecord:
    return JournalRecord(kind=RecordKind.DECISION, at_ms=number, body={"n": number}, blob=bytes(9_000))
