"""Draws every screen of the glass as SVG, from a running site: `python -m benchmarks.screens [--socket S]`.

Without --socket it starts `farmctl demo`, waits until the site follows the grid, and stops it afterwards; with
--headquarters two of them under one `farmctl hq`, and draws the screen that a site does not have.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textual.pilot import Pilot

from benchmarks._headquarters import running_headquarters
from farmctl.cli.asking import Door
from farmctl.cli.tui import doctor_of
from farmctl.control.feed import SocketFeed
from farmctl.tui.app import FarmApp
from farmctl.tui.settings import Settings

SCREENS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("1-overview", ("1",)),
    ("2-map", ("2",)),
    ("3-miners", ("3",)),
    ("3-miner", ("3", "enter")),
    ("4-alarms", ("4",)),
    ("5-power", ("5",)),
    ("6-events", ("6",)),
    ("7-system", ("7",)),
    ("help", ("2", "question_mark")),
    ("menu", ("2", "x")),
    ("preview", ("2", "x", "down", "down", "enter")),
)
HEADQUARTERS: tuple[tuple[str, tuple[str, ...]], ...] = (("8-programme", ("8",)),)
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
FAMILY = "font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace"
FONTS = '"DejaVu Sans Mono", Menlo, Consolas, monospace'
START_S = 60.0
WATCH_S = 40.0
"""So much of a day stands in the trends."""
LOOK_S = 1.5
DOCTOR_LOOKS = 20
PENDING = "the&#160;doctor&#160;is&#160;asked"


def plain(svg: str) -> str:
    """Without fonts from elsewhere: a picture loads nothing."""
    return WEB_FONT.sub("", svg).replace("Fira Code, monospace", FONTS).replace("font-family: Fira Code", FAMILY)


async def draw(
    socket: str,
    folder: Path,
    size: tuple[int, int],
    *,
    theme: str,
    watch_s: float,
    screens: tuple[tuple[str, tuple[str, ...]], ...] = SCREENS,
) -> None:
    """Every screen at one size."""
    doctor = doctor_of(Door(socket_path=socket, config_path=None))
    app = FarmApp(SocketFeed(socket), settings=Settings(theme=theme), doctor=doctor)
    async with app.run_test(size=size) as pilot:
        await asyncio.sleep(watch_s)
        for name, keys in screens:
            await _shown(pilot, keys)
            for _ in range(DOCTOR_LOOKS):
                if PENDING not in app.export_screenshot():
                    break
                await asyncio.sleep(LOOK_S)
            file = folder / f"{name}.svg"
            await asyncio.to_thread(file.write_text, plain(app.export_screenshot()), encoding="utf-8")
            while app.screen is not app.glass:
                await pilot.press("escape")


async def _shown(pilot: Pilot[None], keys: tuple[str, ...]) -> None:
    for key in keys:
        await pilot.press(key)
        await asyncio.sleep(LOOK_S)


@contextmanager
def running_demo() -> Iterator[str]:
    """The socket of a demo that has found the grid."""
    with tempfile.TemporaryDirectory(prefix="screens") as name:
        socket = Path(name) / "farmctl.sock"
        command = [sys.executable, "-m", "farmctl", "demo", "--headless", "--miners", "300", "--folder", name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as demo:  # noqa: S603 - our own program
            try:
                end_s = time.monotonic() + START_S
                while not socket.exists() and time.monotonic() < end_s:
                    time.sleep(0.5)
                yield str(socket)
            finally:
                demo.terminate()


@contextmanager
def running_headquarters_here() -> Iterator[str]:
    """The socket of a headquarters with two demo sites, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="screens") as name, running_headquarters(Path(name)) as socket:
        yield socket


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description="Every screen of the glass as SVG.")
    parser.add_argument("--socket", default="", help="a running site; default: a demo of its own")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "docs" / "screens")
    parser.add_argument("--size", default="120x36")
    parser.add_argument("--theme", default="hmi-dark")
    parser.add_argument("--watch", type=float, default=WATCH_S, help="seconds of trend before the first picture")
    parser.add_argument("--headquarters", action="store_true", help="draw its own screen; with --socket: of that one")
    options = parser.parse_args()
    columns, lines = (int(number) for number in options.size.split("x"))
    os.environ.pop("NO_COLOR", None)
    options.to.mkdir(parents=True, exist_ok=True)
    how = {"theme": options.theme, "watch_s": options.watch}
    if options.headquarters:
        how["screens"] = HEADQUARTERS
    if options.socket:
        asyncio.run(draw(options.socket, options.to, (columns, lines), **how))
        return
    with running_headquarters_here() if options.headquarters else running_demo() as socket:
        asyncio.run(draw(socket, options.to, (columns, lines), **how))


if __name__ == "__main__":
    main()
