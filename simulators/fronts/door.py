"""A listening address of a miner, who may come in, and how faults spoil an answer on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from simulators.faults import Fault
from simulators.malform import malform

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

BACKLOG = 64
MAY_SHARE = sys.platform == "linux"
"""SO_REUSEPORT: a gate on the wildcard address of the same port may be open beside; see simulators.fronts.gate."""

LISTENERS, LISTENING = Path("/proc/net/tcp"), "0A"
"""proc(5); 0A is TCP_LISTEN."""

IDLE_S = 10.0
"""Whatsminer's API closes an idle connection after 10 s; cgminer and lighttpd are no slower."""

SLOW_S = 5.0
TRUNCATED_KEEP = 0.6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of an answer: None as `data` is silence."""

    data: bytes | None
    delay_s: float = 0.0
    reset: bool = False
    whole: bool = True


class SharedPort(Protocol):
    """A listener that many doors share; see simulators.fronts.gate."""

    def admit(self, host: str, build: Callable[[], asyncio.Protocol]) -> None:
        """Answer calls to `host` from now on."""
        ...

    def turn_away(self, host: str) -> None:
        """No longer answer calls to `host`."""
        ...


class Door:
    """One TCP port of a miner; open() and close() may be called in any order, any number of times."""

    def __init__(self, host: str, port: int, build: Callable[[], asyncio.Protocol], *, is_api: bool) -> None:
        self.host = host
        self.port = port
        self.is_api = is_api
        self.shared: SharedPort | None = None
        """Set before the first open(): listens for it instead of a socket of its own."""
        self._build = build
        self._server: asyncio.Server | None = None
        self._is_admitted = False

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._server is not None or self._is_admitted

    async def open(self) -> None:
        """Listen; raises OSError naming address and port when they cannot be bound."""
        if self.is_open:
            return
        if self.shared is not None:
            self.shared.admit(self.host, self._build)
            self._is_admitted = True
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._build, self.host, self.port, backlog=BACKLOG, reuse_address=True, reuse_port=MAY_SHARE
            )
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {self.host}:{self.port}: {error}") from error

    def close(self) -> None:
        """Stop listening; connections that are open live on until they end."""
        if self.shared is not None and self._is_admitted:
            self.shared.turn_away(self.host)
            self._is_admitted = False
        if self._server is not None:
            self._server.close()
            self._server = None


def listening_places() -> frozenset[tuple[str, int]]:
    """IPv4 addresses and ports that somebody listens on; empty where /proc does not tell.

    With SO_REUSEPORT the kernel no longer refuses an address that another farm has: it would deal out its callers.
    """
    if not LISTENERS.exists():
        return frozenset()
    rows = (line.split() for line in LISTENERS.read_text(encoding="ascii").splitlines()[1:])
    places = (row[1].split(":") for row in rows if row[3] == LISTENING)
    return frozenset((str(ipaddress.IPv4Address(bytes.fromhex(host)[::-1])), int(port, 16)) for host, port in places)


def is_served(peer: str, *, allow_remote: bool) -> bool:
    """Whether a caller from address `peer` may talk to the simulator."""
    if allow_remote or peer.startswith("127."):
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(peer.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback
    return False


def is_gone(miner: SimMiner) -> bool:
    """Whether nothing runs behind its ports: a connection that was open is as dead as a new one."""
    return Fault.UNPLUGGED in miner.faults or bool(miner.fleet.boot_left_s[miner.row] > 0)


def spoil(miner: SimMiner, reply: bytes) -> Outcome:
    """What the faults of `miner` make of `reply`."""
    faults = miner.faults
    if Fault.SILENT in faults:
        return Outcome(None)
    slow = faults.get(Fault.SLOW)
    delay_s = slow.number("delay_s", SLOW_S) if slow else 0.0
    if Fault.RESET in faults:
        return Outcome(b"", delay_s, reset=True)
    malformed = faults.get(Fault.MALFORMED)
    if malformed:
        reply = malform(reply, malformed.word("how", "comma_brace"))
    truncated = faults.get(Fault.TRUNCATED)
    if truncated:
        kept = int(len(reply) * truncated.number("keep", TRUNCATED_KEEP))
        return Outcome(reply[:kept], delay_s, whole=False)
    return Outcome(reply, delay_s)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
