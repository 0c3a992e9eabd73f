"""`farmctl demo` at a terminal: the demo in a process of its own, the glass in this one until the person leaves it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from farmctl.cli.asking import Door
from farmctl.cli.output import say
from farmctl.cli.places import JOURNAL
from farmctl.cli.tui import doctor_of
from farmctl.errors import ConfigError
from farmctl.wiring.demo.children import with_us

if TYPE_CHECKING:
    from farmctl.ports.replay import PastFeed

START_S = 120.0
END_S = 20.0
LOOK_S = 0.2


def shown(words: Sequence[str], folder: Path) -> dict[str, Any] | None:
    """Start the demo in a folder, show its glass, end it; its summary, None where it could not tell one.

    Raises ConfigError with the demo's own words where it did not come up.
    """
    log = folder / "demo.log"
    command = [sys.executable, "-m", "farmctl", "demo", "--headless", *words, "--folder", str(folder), "-o", "json"]
    with log.open("w+", encoding="utf-8") as told, _running(command, told) as demo:
        _await_socket(demo, folder / "farmctl.sock", log)
        _glass(folder / "farmctl.sock")
        demo.send_signal(signal.SIGTERM)
        answer, _ = demo.communicate(timeout=END_S)
    with contextlib.suppress(ValueError):
        summary: dict[str, Any] = json.loads(answer)
        return summary
    return None


@contextlib.contextmanager
def _running(command: Sequence[str], told: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """The demo, in a session of its own: ctrl+c is the glass's, and no demo outlives it."""
    with subprocess.Popen(  # noqa: S603 - our own program
        with_us(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=told,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()


def _await_socket(demo: subprocess.Popen[str], socket: Path, log: Path) -> None:
    """Until the controller listens; what the demo says meanwhile is said on."""
    end_s, said = time.monotonic() + START_S, 0
    while not socket.exists():
        lines = log.read_text(encoding="utf-8").splitlines()
        for line in lines[said:]:
            say(line)
        said = len(lines)
        if demo.poll() is not None or time.monotonic() > end_s:
            message = f"demo: {lines[-1] if lines else 'it ended without a word'}"
            raise ConfigError(message)
        time.sleep(LOOK_S)


def _glass(socket: Path) -> None:
    from farmctl.control.feed import SocketFeed  # noqa: PLC0415 - textual and aiohttp cost 0.6 s
    from farmctl.tui.app import run_tui  # noqa: PLC0415 - see above
    from farmctl.tui.settings import load_settings, settings_path  # noqa: PLC0415 - see above

    async def past(wanted: str) -> PastFeed:
        from farmctl.wiring.replaying import open_replay  # noqa: PLC0415 - the whole engine comes with it

        return await open_replay(socket.parent / JOURNAL, socket.parent, wanted)

    where = Door(socket_path=str(socket), config_path=str(socket.parent / "farm.toml"))
    settings = load_settings(settings_path(os.environ))
    asyncio.run(
        run_tui(SocketFeed(str(socket)), read_only=False, settings=settings, past=past, doctor=doctor_of(where))
    )
