"""A real mosquitto on a free loopback port, which a test may kill and start again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.broker import free_port

STARTS_WITHIN_S = 10.0


class Mosquitto:
    """One broker; after `kill` and `start` it has forgotten everything, as a crashed one without persistence."""

    host = "127.0.0.1"

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.program = program
        self._process: asyncio.subprocess.Process | None = None
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} {self.host}\nallow_anonymous true\n")

    def configured(self, text: str) -> None:
        """Run with another configuration, from the next start on."""
        self._config.write_text(text)

    async def start(self) -> None:
        """Run it; tried again while somebody else's short-lived connection sits on the port."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            while True:
                if self._process is None or self._process.returncode is not None:
                    self._process = await self._run()
                if await self._answers():
                    return
                await asyncio.sleep(0.02)

    async def _run(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(self.program, "-c", str(self._config)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A broker that is not started yet."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(program, tmp_path)
    yield broker
    await broker.kill()
