"""One shift at the glass, in a real terminal on the running demo: from the first look to a daemon that came back."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmctl.control.client import ControlClient
from tests.glass import tmux

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(240),
    pytest.mark.skipif(tmux.found() is None, reason="tmux is not here (Debian package tmux)"),
]
FARMCTL = (sys.executable, "-m", "farmctl")
START_S = 60.0
SETTLED_S = 60.0
AGAIN = re.compile(r"Not sent, the site has moved.*MW.*MW", re.DOTALL)
STRIP = re.compile(r"POWER ([\d.]+) MW\??\s+target ([\d.]+)")


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`farmctl demo`, until the stories are told; its folder has a short path, as sockets must."""
    with tempfile.TemporaryDirectory(prefix="glass") as name:
        folder = Path(name)
        command = [*FARMCTL, "demo", "--headless", "--for", "200s", "--miners", "120", "--folder", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
            socket = folder / "farmctl.sock"
            end_s = time.monotonic() + START_S
            while not socket.exists() and daemon.poll() is None and time.monotonic() < end_s:
                time.sleep(0.2)
            assert socket.exists(), "the demo did not come up"
            try:
                yield daemon, socket
            finally:
                daemon.send_signal(signal.SIGCONT)
                daemon.terminate()


@pytest.fixture
def terminal(demo: tuple[subprocess.Popen[bytes], Path], tmp_path: Path) -> Iterator[tmux.Terminal]:
    """The glass of the demo at 120x36."""
    shown = tmux.Terminal(tmp_path)
    shown.run([*FARMCTL, "tui", "--socket", str(demo[1])])
    try:
        shown.until(r"live \d+s", START_S)
        yield shown
    finally:
        shown.close()


def power_and_target(text: str) -> tuple[float, float]:
    found = STRIP.search(text)
    return (float(found[1]), float(found[2])) if found else (-1.0, 0.0)


def in_band(text: str) -> bool:
    power, target = power_and_target(text)
    return "LOCAL_OVERRIDE" in text and abs(power - target) <= 0.025 * max(target, 0.01)


def test_a_shift_from_the_first_look_to_a_daemon_that_came_back(
    demo: tuple[subprocess.Popen[bytes], Path], terminal: tmux.Terminal
) -> None:
    daemon, socket = demo
    client = ControlClient(str(socket))
    rated_mw = client.get("/v1/state")["rated_kw"] / 1_000
    assert power_and_target(terminal.until(r"target [\d.]+"))[1] > 0

    send_a_set_point(terminal, client)
    text = terminal.until(in_band, SETTLED_S)
    assert power_and_target(text)[1] == pytest.approx(0.7 * rated_mw, rel=0.02)
    # `partial` is as good an end: on a starved host some miner may be given up, and the rest make up for it
    terminal.until(r"override_set by \S+: (done|partial,)", SETTLED_S)

    terminal.press("3", "f")
    assert "ID" in terminal.until("FAULTS ONLY")
    terminal.press("/")
    terminal.type("state=hashing")
    terminal.press("Enter")
    terminal.until("/state=hashing")

    preview_a_stop_of_one_container(terminal)
    terminal.press("Escape")
    terminal.until(lambda shown: "Stop C002" not in shown)
    assert [order["selector"] for order in client.get("/v1/overrides")["rows"]] == [""]
    preview_a_stop_of_one_container(terminal)
    send(terminal, client, "smoke smelled")
    terminal.press("6")
    assert "feeder work" in terminal.until("done .*smoke smelled", SETTLED_S)
    assert client.get("/v1/miners?filter=cont%3DC002%20w%3E200")["total"] == 0
    told = [row for row in client.get("/v1/audit")["rows"] if row.get("reason") == "smoke smelled"]
    assert {row["owner"] for row in told} == {client.get("/v1/whoami")["name"]}

    daemon.send_signal(signal.SIGSTOP)
    assert "smoke smelled" in terminal.until(r"STALE \d+s - reconnecting")
    terminal.press("x")
    terminal.until(r"\(the picture is stale\)")
    terminal.press("Escape")
    daemon.send_signal(signal.SIGCONT)
    assert "STALE" not in terminal.until(r"live \d+s")
    terminal.press("C-c")
    assert terminal.alive
    terminal.press("q")
    assert terminal.ended(START_S)


def send_a_set_point(terminal: tmux.Terminal, client: ControlClient) -> None:
    terminal.press(":")
    terminal.type("curtail --to 70% --for 10m --reason 'feeder work'")
    terminal.press("Enter")
    assert "Hold the whole site" in terminal.until(r"site +[\d.]+ -> [\d.]+ MW")
    send(terminal, client, "")


def preview_a_stop_of_one_container(terminal: tmux.Terminal) -> None:
    terminal.press("2")
    terminal.until("next metric")
    if "> C002" not in terminal.screen().replace(">C002", "> C002"):
        terminal.press("Down")
    terminal.press("x")
    terminal.until("Stop C002 for a time")
    terminal.press("Down", "Down", "Enter")
    terminal.until(r"C002 +[\d.]+ -> 0\.0\d+ MW")


def send(terminal: tmux.Terminal, client: ControlClient, reason: str) -> None:
    """Until it is taken: it comes back where the demo's next event has made the change a large one."""
    taken = len(client.get("/v1/jobs")["rows"])

    def is_taken() -> bool:
        return len(client.get("/v1/jobs")["rows"]) > taken

    fill(terminal, reason)
    while AGAIN.search(terminal.until(lambda shown: AGAIN.search(shown) or is_taken())):
        fill(terminal, "")
        terminal.until(lambda shown: not AGAIN.search(shown))


def fill(terminal: tmux.Terminal, reason: str) -> None:
    """From Cancel, which has the keyboard, back to what must be typed, then to Send."""
    large = "type demo to confirm" in terminal.screen()
    if reason:
        terminal.press("BTab", *(["BTab"] if large else []))
        terminal.type(reason)
        terminal.press("Tab")
    elif large:
        terminal.press("BTab")
    if large:
        terminal.type("demo")
        terminal.press("Tab")
    terminal.press("Tab", "Tab", "Enter")
