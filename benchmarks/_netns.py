"""Hosts that are network namespaces, each with a wire to ours: their packets can be kept from the database alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MINERS = "10.213.0.0/16"
"""Every address of it is this host's own: the miners listen there, and so does the database's end."""
DATABASE = "10.213.0.1"


class Room:
    """One namespace; what runs in it is seen by its address."""

    def __init__(self, number: int) -> None:
        self.name = f"fc{os.getpid() % 10_000}-{number}"
        self._wire = f"fcw{os.getpid() % 10_000}-{number}"
        self.address = f"10.214.{number}.2"
        self._gateway = f"10.214.{number}.1"

    def made(self) -> Room:
        """Make it."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self._wire, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{self._gateway}/30", "dev", self._wire)
        _ip("link", "set", self._wire, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{self.address}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", self._gateway),
        ):
            _ip("-n", self.name, *words)
        return self

    def command(self, *words: str) -> list[str]:
        """The same command inside."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Packets to the database vanish; connections stay up, and the miners are reached as before."""
        _ip("-n", self.name, "route", "add", "blackhole", f"{DATABASE}/32")

    def mend(self) -> None:
        """They go through again."""
        with suppress(subprocess.CalledProcessError):
            _ip("-n", self.name, "route", "del", "blackhole", f"{DATABASE}/32")

    def gone(self) -> None:
        """Take it away."""
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._wire)


def possible() -> bool:
    """True where this user may make namespaces."""
    if os.geteuid() != 0:
        return False
    try:
        Room(250).made().gone()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextmanager
def rooms(count: int) -> Iterator[list[Room]]:
    """So many rooms, gone afterwards."""
    _ip("route", "replace", "local", MINERS, "dev", "lo")
    made: list[Room] = []
    try:
        for number in range(count):
            made.append(Room(number))
            made[-1].made()
        yield made
    finally:
        for room in made:
            room.gone()
        with suppress(subprocess.CalledProcessError):
            _ip("route", "del", "local", MINERS, "dev", "lo")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)  # noqa: S603, S607 - our own words
