"""What systemd is told, on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from farmctl.engine.clock import SystemClock
from farmctl.engine.watchdog import Watchdog


@dataclass(slots=True)
class Systemd:
    """The receiving end of sd_notify."""

    address: str
    socket: socket.socket

    def heard(self) -> list[str]:
        said = []
        while True:
            try:
                said.append(self.socket.recv(256).decode())
            except BlockingIOError:
                return said


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        address = str(Path(folder) / "notify")
        listening.bind(address)
        listening.settimeout(0.0)
        yield Systemd(address, listening)


async def _for_a_while(dog: Watchdog) -> None:
    task = asyncio.ensure_future(dog.run())
    await asyncio.sleep(0.15)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_controller_that_decides_is_ready_and_keeps_the_dog_quiet(systemd: Systemd) -> None:
    clock = SystemClock()
    dog = Watchdog(clock, clock.now_ms, {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "100000"})
    await _for_a_while(dog)
    said = systemd.heard()
    assert said[0] == "READY=1"
    assert said.count("READY=1") == 1
    assert said.count("WATCHDOG=1") >= 2
    assert said[-1] == "STOPPING=1"


async def test_a_controller_that_stands_still_kicks_no_dog(systemd: Systemd) -> None:
    clock = SystemClock()
    environment = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "100000"}
    await _for_a_while(Watchdog(clock, lambda: clock.now_ms() - 10_000, environment))
    await _for_a_while(Watchdog(clock, lambda: 0, environment))
    assert set(systemd.heard()) == {"STOPPING=1"}


async def test_the_watchdog_of_another_process_is_left_alone(systemd: Systemd) -> None:
    clock = SystemClock()
    environment = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid() + 1)}
    dog = Watchdog(clock, clock.now_ms, environment)
    await _for_a_while(dog)
    assert "WATCHDOG=1" not in systemd.heard()


async def test_without_systemd_nothing_is_sent_and_nothing_fails() -> None:
    clock = SystemClock()
    dog = Watchdog(clock, clock.now_ms, {})
    assert dog.say("READY=1")
    await _for_a_while(dog)
    assert not Watchdog(clock, clock.now_ms, {"NOTIFY_SOCKET": "/nonexistent/notify"}).say("READY=1")


def test_a_systemd_that_does_not_listen_never_holds_the_controller(systemd: Systemd) -> None:
    clock = SystemClock()
    dog = Watchdog(clock, clock.now_ms, {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "100000"})
    queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text(encoding="ascii"))
    told = [dog.say("WATCHDOG=1") for _ in range(3 * queue)]
    assert told[0]
    assert not told[-1], "what nobody takes is dropped"
    systemd.heard()
    assert dog.say("WATCHDOG=1")
