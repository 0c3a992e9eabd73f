"""Two demo sites under one `farmctl hq`, and a figure for both: each a process of its own, all on loopback."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

SITES = ("north", "south")
RATED_KW = 139.0
"""Of 40 simulated miners."""
START_S = 180.0
BROKER = re.compile(r"--broker (127\.0\.0\.1:\d+)")
HEAD = """
[site]
name = "programme"
rated_kw = {rated}
safe_min_kw = 5.0
standing_kw = {rated}
failsafe_limit_kw = 60.0
[store]
dir = "{folder}/store"
[api]
socket = "{folder}/hq.sock"
[metrics]
listen = "127.0.0.1:{port}"
[[signal]]
name = "grid"
kind = "mqtt"
brokers = ["{broker}"]
op = "top-op"
programmes = ["surplus-dispatch"]
auth = "unsigned-demo"
[[signal.issuers]]
name = "top-op"
[programme]
step_kw = 60.0
step_window_s = 20.0
spread_s = 20.0
"""
SITE = """
[[programme.site]]
name = "{name}"
broker = "{broker}"
op = "grid-op"
rated_kw = {rated}
firm_kw = 28.0
"""


@contextmanager
def running_headquarters(folder: Path, *, target_kw: float = 180.0, for_s: int = 1_800) -> Iterator[str]:
    """The socket of a headquarters that follows a figure, with two sites below it."""
    with ExitStack() as stack:
        brokers = [_broker(stack, folder, name) for name in SITES]
        (folder / "store").mkdir()
        names = {"folder": folder, "broker": brokers[0], "port": _free_port(), "rated": len(SITES) * RATED_KW}
        sites = (SITE.format(name=n, broker=b, rated=RATED_KW) for n, b in zip(SITES, brokers, strict=True))
        (folder / "hq.toml").write_text(HEAD.format(**names) + "".join(sites), encoding="utf-8")
        _started(stack, folder / "hq.log", "hq", "--config", str(folder / "hq.toml"))
        _until((folder / "hq.sock").exists, "headquarters did not come up", folder / "hq.log")
        figure = ("--target-kw", str(target_kw), "--for", str(for_s), "--wait", "--state", str(folder / "top.json"))
        where = ("--broker", brokers[0], "--site", "programme", "--op", "top-op")
        _started(stack, folder / "send.log", "grid", "send", "figure-1", *where, *figure)
        yield str(folder / "hq.sock")


def _broker(stack: ExitStack, folder: Path, name: str) -> str:
    """A site of its own; the address of its broker."""
    log = folder / f"{name}.log"
    words = ("--headless", "--no-grid", "--no-faults", "--miners", "40", "--site", name)
    _started(stack, log, "demo", *words, "--folder", str(folder / name))
    _until(lambda: BROKER.search(log.read_text(encoding="utf-8")), f"site {name} did not come up", log)
    found = BROKER.search(log.read_text(encoding="utf-8"))
    return "" if found is None else found.group(1)


def _started(stack: ExitStack, log: Path, *words: str) -> None:
    out: IO[bytes] = stack.enter_context(log.open("wb"))
    command = [sys.executable, "-m", "farmctl", *words]
    child = stack.enter_context(subprocess.Popen(command, stdout=out, stderr=out))  # noqa: S603 - our own program
    stack.callback(_ended, child)


def _ended(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(30)


def _until(holds: Callable[[], object], complaint: str, log: Path) -> None:
    end_s = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > end_s:
            raise TimeoutError(f"{complaint}: {log.read_text(encoding='utf-8')[-500:]}")
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
