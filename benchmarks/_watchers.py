"""Everybody who looks at a controller at once: mirrors like the glass, a shell that asks, slow readers."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

import click
import uvloop

from farmctl.control.feed import SocketFeed
from farmctl.ports.feed import FleetImage, LinkState

SIP_BYTES = 512
SIP_EVERY_S = 1.0
ASK_EVERY_S = 1.0
RECEIVE_BYTES = 4096
"""Buffer of a slow reader's socket: what it does not take stays with the controller."""


@dataclass(slots=True)
class Seen:
    """What became of everybody."""

    images: int = 0
    lost: int = 0
    asked: int = 0
    refused: int = 0
    sips: int = 0
    dropped: int = 0

    def on_image(self, _: FleetImage) -> None:
        """One more picture of one mirror."""
        self.images += 1

    def on_link(self, link: LinkState) -> None:
        """A mirror lost its link."""
        self.lost += not link.up


@click.command()
@click.argument("socket_path")
@click.option("--mirrors", default=2)
@click.option("--readers", default=50)
@click.option("--seconds", type=float, default=30.0)
def main(socket_path: str, mirrors: int, readers: int, seconds: float) -> None:
    """Look for so long, then say what was seen."""
    seen = Seen()

    async def look() -> None:
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for _ in range(mirrors):
                    tasks.create_task(SocketFeed(socket_path).run(seen.on_image, seen.on_link))
                for _ in range(readers):
                    tasks.create_task(_sipping(socket_path, seen))
                tasks.create_task(_asking(socket_path, seen))
        except TimeoutError:
            return

    uvloop.run(look())
    told: dict[str, Any] = {name: getattr(seen, name) for name in Seen.__slots__}
    click.echo(json.dumps(told))


async def _sipping(socket_path: str, seen: Seen) -> None:
    """Watch, and read so little that the controller has to drop it; then come again."""
    while True:
        reader, writer = await asyncio.open_unix_connection(socket_path, limit=RECEIVE_BYTES)
        writer.write(b"GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            await writer.drain()
            while await reader.read(SIP_BYTES):
                seen.sips += 1
                await asyncio.sleep(SIP_EVERY_S)
        except OSError:
            pass
        finally:
            writer.close()
        seen.dropped += 1
        await asyncio.sleep(SIP_EVERY_S)


async def _asking(socket_path: str, seen: Seen) -> None:
    """The program itself, once a second, as a script would."""
    verbs = (("status",), ("miners", "list", "-l", "state=hashing", "--limit", "50"), ("alarms", "list"))
    while True:
        for verb in verbs:
            program = (sys.executable, "-m", "farmctl", *verb, "--socket", socket_path)
            null = asyncio.subprocess.DEVNULL
            child = await asyncio.create_subprocess_exec(*program, stdout=null, stderr=null)
            try:
                code = await child.wait()
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            seen.asked += 1
            seen.refused += code != 0
            await asyncio.sleep(ASK_EVERY_S)


if __name__ == "__main__":
    main()
