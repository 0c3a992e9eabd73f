"""The host has a bad day: the disk is full, the open files are used up."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farmctl.core.grid import SiteMode
from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from tests.farm.controller import controller, daemon
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
MIX = {"luxos-s19kpro": 16}
MARGIN = 1.02
FILES = 12
"""Fewer than a controller has open when nothing happens."""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of this size."""
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"mount -t tmpfs is not possible here: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def fill(disk: Path) -> Path:
    """Use up every byte; the file that holds them."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(65_536))
        except OSError:
            pass
    return ballast


async def on_target(there: Site, share: float, *, name: str = "") -> float:
    """Ask for a share of full load and wait until the meter shows it."""
    target_kw = share * there.full_kw
    order = await there.ask(target_kw, name=name, duration_s=300.0)
    await there.grid.wait_for(order, {"REACHED"}, within_s=90.0)
    await there.until(lambda: there.near(target_kw), f"meter on {target_kw:.0f} kW", within_s=90.0)
    return target_kw


async def test_a_full_disk_raises_nothing_lowers_still_and_the_journal_tells_it_all_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        async with site(disk, Setting(net=242, mix=MIX)) as there, controller(there) as farm:
            target_kw = await on_target(there, 0.6)
            ballast = fill(disk)
            full_s = time.monotonic()
            raise_to = await there.ask(0.9 * there.full_kw, name="up")
            await there.until(lambda: "store_failed" in farm.seen.alarms, "the alarm of a store that refuses")
            await asyncio.sleep(3.0)
            assert max(there.shown_since(full_s)) <= target_kw * 1.03, "nothing is raised that cannot be written down"
            lower_kw = 0.3 * there.full_kw
            await there.grid.delete(raise_to)
            await there.ask(lower_kw, name="down")
            await there.until(lambda: there.shown_kw < 0.5 * there.full_kw, "lowering works without a journal")
            ballast.unlink()
            await there.until(lambda: there.near(lower_kw, 0.05), "the order that lowers is followed", within_s=90.0)
            higher_kw = await on_target(there, 0.7, name="again")
            assert farm.seen.mode is SiteMode.FOLLOWING
            assert there.near(higher_kw)
        written = await there.journal(RecordKind.EVENT)
        ended = {str(each.record.body["event"]) for each in written if each.record.body["state"] == "CANCELLED"}
        assert there.grid.ledger.wire_ids(raise_to) & ended, "what ended while the disk was full is in the journal"
        assert len(await there.journal(RecordKind.COMMAND)) > 2


async def test_a_controller_without_open_files_lives_counts_nobody_as_shed_and_goes_on_when_there_are_some(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, Setting(net=243, mix=MIX, lost_s=60.0)) as there, daemon(there) as starved:
        target_kw = await on_target(there, 0.7)
        pid = starved.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES, hard))
        starved_s = time.monotonic()
        await asyncio.sleep(10.0)
        assert not starved.ended, await starved.said()
        assert max(there.shown_since(starved_s)) <= target_kw * 1.03
        assert there.near(target_kw, 0.05)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        await on_target(there, 0.5, name="again")
        assert await starved.end(signal.SIGTERM) == 0, await starved.said()
    await there.journal()
