"""A controller that is frozen for longer than systemd and the dead man wait, and thaws."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path

import pytest

from farmctl.wiring.deadman import DeadMan
from simulators.broker import find_mosquitto
from tests.farm.controller import daemon
from tests.farm.setting import FIRM, Setting
from tests.farm.site import site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
MIX = {"luxos-s19kpro": 16}
MARGIN = 1.02
FROZEN_S = 5.0


async def test_a_frozen_controller_is_given_up_by_systemd_and_the_dead_man_and_raises_nothing_when_it_thaws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(told))
        systemd.settimeout(0.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(told))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        setting = Setting(net=241, mix=MIX)
        async with site(tmp_path, setting) as there, daemon(there) as frozen:
            target_kw = 0.8 * there.full_kw
            await there.ask(target_kw, duration_s=300.0)
            await there.until(lambda: there.near(target_kw), "meter on the set-point", within_s=90.0)
            dog = DeadMan(there.loaded, after_s=FROZEN_S)
            await there.until(lambda: "WATCHDOG=1" in heard(systemd), "the watchdog is kicked")
            frozen.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.0)
            heard(systemd)
            began_s = time.monotonic()
            await acted(dog)
            assert time.monotonic() - began_s >= FROZEN_S - 2.0
            assert not heard(systemd), "a frozen controller kicks no watchdog"
            firm_kw = FIRM * there.rated_kw
            await there.until(lambda: there.shown_kw <= firm_kw * MARGIN, "the dead man's firm level")
            thawed_s = time.monotonic()
            frozen.process.send_signal(signal.SIGCONT)
            await there.until(lambda: "WATCHDOG=1" in heard(systemd), "the thawed controller decides again")
            await there.until(lambda: there.near(target_kw), "back on the set-point of the live event", within_s=90.0)
            assert max(there.shown_since(thawed_s)) <= target_kw * 1.03
            assert await frozen.end(signal.SIGTERM) == 0, await frozen.said()
        await there.journal()


async def acted(dog: DeadMan) -> None:
    """Let the dead man look until he acts."""
    async with asyncio.timeout(60.0):
        while not await dog.look():  # noqa: ASYNC110 - it looks, nobody tells it
            await asyncio.sleep(0.5)


def heard(systemd: socket.socket) -> set[str]:
    """What was said to systemd since the last look."""
    said: set[str] = set()
    while True:
        try:
            said.add(systemd.recv(200).decode())
        except BlockingIOError:
            return said
