"""A real browser, driven over its own debugging protocol: what the page got, what it shows, and keys pressed in it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1400,800",
    "--remote-debugging-port=0",
)
LISTENING = """
const Plain = window.WebSocket; window.received = ""; window.asked = [];
window.WebSocket = class extends Plain {
  constructor(...how) {
    super(...how); window.asked.push(how[0]);
    const reader = new TextDecoder();
    this.addEventListener("message", async (event) => {
      const data = event.data instanceof Blob ? await event.data.arrayBuffer() : event.data;
      window.received += typeof data === "string" ? data : reader.decode(data);
    });
  }
};
"""
START_S = 20.0


def found() -> str | None:
    """Chromium's own program, where it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


KEY_CODES = {"ArrowDown": 40, "Enter": 13, "Escape": 27}


class Page:
    """One page."""

    def __init__(self, line: aiohttp.ClientWebSocketResponse) -> None:
        self._line = line
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """One call of the protocol."""
        number = next(self._numbers)
        await self._line.send_json({"id": number, "method": method, "params": params})
        while True:
            told = await self._line.receive_json()
            if told.get("id") == number:
                result: dict[str, Any] = told.get("result", {})
                return result

    async def value(self, expression: str) -> Any:
        """What JavaScript says."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    async def got(self, text: str, within_s: float = START_S) -> bool:
        """The page received a text from its glass in time."""
        for _ in range(int(within_s / 0.1)):
            if text in (await self.value("window.received") or ""):
                return True
            await asyncio.sleep(0.1)
        return False

    async def press(self, key: str) -> None:
        """A key of the keyboard: a letter, or one of those with a name."""
        code = KEY_CODES.get(key)
        told = {"text": key} if code is None else {"windowsVirtualKeyCode": code, "code": key}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **told)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browsing(url: str, folder: Path) -> AsyncIterator[Page]:
    """Open a page in a browser of its own; it notes what its web sockets receive."""
    program = found() or "chromium"
    none = asyncio.subprocess.DEVNULL
    command = (program, *FLAGS, f"--user-data-dir={folder}", "about:blank")
    browser = await asyncio.create_subprocess_exec(*command, stdout=none, stderr=none)
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as line:
                page = Page(line)
                await page.call("Page.enable")
                await page.call("Page.addScriptToEvaluateOnNewDocument", source=LISTENING)
                await page.call("Page.navigate", url=url)
                yield page
    finally:
        browser.terminate()
        await browser.wait()


async def _port(file: Path) -> int:
    for _ in range(int(START_S / 0.1)):
        if await asyncio.to_thread(file.exists):
            text = await asyncio.to_thread(file.read_text)
            if text.strip():
                return int(text.split()[0])
        await asyncio.sleep(0.1)
    message = f"the browser did not open its debugging port within {START_S:.0f} s"
    raise TimeoutError(message)
