"""The glass in a browser: read-only on loopback, typed into at once, and closed to pages of other sites."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from benchmarks._tui_site import ServedSite
from simulators.broker import free_port
from tests.glass import chromium

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]
START_S = 40.0


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """`farmctl tui --serve` on a synthetic site."""
    path, ready, done = tmp_path / "site.sock", asyncio.Event(), asyncio.Event()
    site = ServedSite(miners=300, changing_per_s=20)
    serving = asyncio.create_task(site.serve(str(path), ready, done))
    await ready.wait()
    port = free_port()
    words = ("-m", "farmctl", "tui", "--serve", "--socket", str(path), "--port", str(port))
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(sys.executable, *words, stderr=pipe)
    try:
        assert server.stderr is not None
        async with asyncio.timeout(START_S):
            told = (await server.stderr.readline()).decode()
        assert f"http://127.0.0.1:{port} (read-only)" in told
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        await server.wait()
        done.set()
        await serving


async def test_a_page_of_another_site_can_neither_look_nor_type(address: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path, headers in (("", {"Host": "evil.example"}), ("ws", {"Origin": "https://evil.example"})):
            async with session.get(address + path, headers=headers) as answer:
                assert answer.status == 403
        async with session.get(address) as answer:
            page = await answer.text()
            assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
    assert "https://" not in page.replace('"https:"', "")


@pytest.mark.skipif(chromium.found() is None, reason="chromium is not here (Debian package chromium)")
async def test_a_browser_shows_the_live_site_cannot_order_and_leaves_nothing_behind(
    address: str, tmp_path: Path
) -> None:
    async with chromium.browsing(address, tmp_path / "profile") as page:
        assert await page.got("site-07", START_S)
        assert await page.got("READ-ONLY")
        await page.press("3")
        assert await page.got("Tmax C")
        await page.press("x")
        assert await page.got("(this glass is read-only)")
        for key in ("ArrowDown", "Enter", "Escape", "4"):
            await page.press(key)
        assert await page.got("Response")
        assert "it stands in the journal" not in await page.value("window.received")
        assert (await page.picture()).startswith(b"\x89PNG")
        assert _glasses(str(tmp_path / "site.sock"))
    for _ in range(100):
        if not _glasses(str(tmp_path / "site.sock")):
            return
        await asyncio.sleep(0.2)
    pytest.fail("a glass still runs 20 s after its page was closed")


def _glasses(socket_path: str) -> list[str]:
    """Processes that show this site."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if socket_path.encode() in words and b"--serve" not in words:
            lines.append(file.parent.name)
    return lines
