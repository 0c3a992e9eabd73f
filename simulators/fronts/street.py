"""All the doors of a farm: a socket for each, or one for each port where files are too few for that."""

from __future__ import annotations

import errno
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simulators.fronts.door import listening_places
from simulators.fronts.gate import Gate, is_possible
from simulators.fronts.listen import doors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.fronts.door import Door
    from simulators.miner import SimMiner

SPARE_FILES = 512
"""Descriptors for connections of one request, the control API and the rest of the process."""

Listening = Literal["auto", "each", "shared"]


class Street:
    """The doors of every miner by row; how they listen is settled by `open`."""

    def __init__(self, miners: Sequence[SimMiner], *, allow_remote: bool, listen: Listening) -> None:
        self._miners = miners
        self._allow_remote = allow_remote
        self._listen: Listening = listen
        self._gates: dict[int, Gate] = {}
        self.doors: list[tuple[Door, ...]] = [doors(miner, allow_remote=allow_remote) for miner in miners]

    @property
    def listening(self) -> Literal["each", "shared"]:
        """What `open` decided."""
        return "shared" if self._gates else "each"

    async def open(self) -> None:
        """Open every door.

        Raises OSError when an address cannot be bound, ValueError when the limit on open files is too low.
        """
        need = self._need()
        self._check_free()
        try:
            if self._listen == "shared" or (self._listen == "auto" and need.comfortable > need.limit):
                await self._share(need)
            elif need.each > need.limit:
                raise need.error()
            for row in self.doors:
                for door in row:
                    await door.open()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close every door."""
        for row in self.doors:
            for door in row:
                door.close()
        for gate in self._gates.values():
            gate.close()

    def rebuild(self, row: int) -> None:
        """Make the doors of a miner anew, closed, where its endpoint is now."""
        for door in self.doors[row]:
            door.close()
        self.doors[row] = doors(self._miners[row], allow_remote=self._allow_remote)
        for door in self.doors[row]:
            door.shared = self._gates.get(door.port)

    def _check_free(self) -> None:
        taken = listening_places()
        for row in self.doors:
            for door in row:
                if (door.host, door.port) in taken:
                    raise OSError(errno.EADDRINUSE, f"cannot listen on {door.host}:{door.port}: address already in use")

    def _need(self) -> _Need:
        listeners = sum(len(row) for row in self.doors)
        # A web client keeps its connection; on port 4028 one lives for the length of an answer.
        kept = sum(not door.is_api for row in self.doors for door in row)
        return _Need(limit=raise_file_limit(), each=listeners + SPARE_FILES, comfortable=listeners + kept + SPARE_FILES)

    async def _share(self, need: _Need) -> None:
        """One socket per port; where "auto" finds a port taken, sockets for each if they fit at all."""
        if not is_possible(miner.endpoint.host for miner in self._miners):
            raise need.error() if self._listen == "auto" else ValueError("farm.listen: shared needs Linux and IPv4")
        try:
            await self._open_gates()
        except OSError:
            for gate in self._gates.values():
                gate.close()
            self._gates.clear()
            if self._listen == "shared" or need.each > need.limit:
                raise

    async def _open_gates(self) -> None:
        hosts: dict[int, list[str]] = {}
        for row in self.doors:
            for door in row:
                hosts.setdefault(door.port, []).append(door.host)
        for port, called in hosts.items():
            self._gates[port] = Gate(port, allow_remote=self._allow_remote)
            await self._gates[port].open(called)
        for row in self.doors:
            for door in row:
                door.shared = self._gates[door.port]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """Open files: what there are, and what a socket for each door takes."""

    limit: int
    each: int
    """Without connections that clients keep: below it there is no service at all."""
    comfortable: int
    """With one connection kept to every web server: above the limit, doors share sockets."""

    def error(self) -> ValueError:
        return ValueError(
            f"open files: the hard limit is {self.limit}, expected at least {self.comfortable} (ulimit -Hn)"
        )


def raise_file_limit() -> int:
    """Raise the soft limit on open files to the hard one, and say how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 30 if hard in (resource.RLIM_INFINITY, -1) else hard
