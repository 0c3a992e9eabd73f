"""A terminal that a program believes in: a tmux server of its own, keys in, the screen as text out."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STEP_S = 0.2


def found() -> str | None:
    """Where tmux is."""
    return shutil.which("tmux")


class Terminal:
    """One session."""

    def __init__(self, folder: Path, columns: int = 120, lines: int = 36) -> None:
        self._socket = str(folder / "tmux")
        self._size = (columns, lines)

    def run(self, words: Sequence[str]) -> None:
        """Start a program; the session is over when it ends."""
        width, height = (str(number) for number in self._size)
        command = f"env -u COLUMNS -u LINES -u NO_COLOR TERM=xterm-256color COLORTERM=truecolor {shlex.join(words)}"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "glass", "-x", width, "-y", height, command)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, Escape, Tab, BTab, Down."""
        for key in keys:
            self._tmux("send-keys", "-t", "glass", key)
            time.sleep(STEP_S / 2)

    def type(self, text: str) -> None:
        """Letters as they are."""
        self._tmux("send-keys", "-t", "glass", "-l", text)
        time.sleep(STEP_S)

    def screen(self) -> str:
        """What is shown."""
        return self._tmux("capture-pane", "-p", "-t", "glass")

    def until(self, what: str | Callable[[str], object], within_s: float = 30.0) -> str:
        """The screen once it fits a pattern or a question. Raises TimeoutError that shows the screen."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            text = self.screen()
            if re.search(what, text) if isinstance(what, str) else what(text):
                return text
            time.sleep(STEP_S)
        message = f"{what!r} did not come within {within_s:.0f} s; the screen shows\n{self.screen()}"
        raise TimeoutError(message)

    @property
    def alive(self) -> bool:
        """The program still runs."""
        command = ["tmux", "-S", self._socket, "has-session", "-t", "glass"]
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0

    def ended(self, within_s: float) -> bool:
        """The program left in time."""
        end_s = time.monotonic() + within_s
        while self.alive and time.monotonic() < end_s:
            time.sleep(STEP_S)
        return not self.alive

    def close(self) -> None:
        """End the server and what runs in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False, timeout=10)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
