"""People and machines that look at a controller during a long run, and go without a goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

SCRAPE_EVERY_S = 15.0
ASK_EVERY_S = 45.0
WATCH_S = 8.0
VERBS = (("status",), ("alarms", "list"), ("miners", "list", "--limit", "50"), ("events", "list"))


async def watching(listen: str, socket_path: Path) -> None:
    """Scrape, ask and watch until cancelled; `listen` is HOST:PORT of /metrics."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_scraping(f"http://{listen}/metrics"))
        tasks.create_task(_asking(socket_path))
        tasks.create_task(_looking(socket_path))


async def _scraping(url: str) -> None:
    def scrape() -> None:
        with contextlib.suppress(URLError, TimeoutError), urlopen(url, timeout=10.0) as answer:  # noqa: S310 - loopback
            answer.read()

    while True:
        await asyncio.to_thread(scrape)
        await asyncio.sleep(SCRAPE_EVERY_S)


async def _asking(socket_path: Path) -> None:
    while True:
        for verb in VERBS:
            null = asyncio.subprocess.DEVNULL
            words = (sys.executable, "-m", "farmctl", *verb, "--socket", str(socket_path))
            process = await asyncio.create_subprocess_exec(*words, stdout=null, stderr=null)
            await process.wait()
            await asyncio.sleep(ASK_EVERY_S)


async def _looking(socket_path: Path) -> None:
    """A glass that is closed by closing its terminal: no goodbye, unread bytes left behind."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            writer.write(b"GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.read(1000)
            await asyncio.sleep(WATCH_S)
            writer.transport.abort()
        await asyncio.sleep(WATCH_S)
