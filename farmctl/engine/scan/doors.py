"""Knocking: which ports of an address accept a connection; the cheapest probe there is."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping
from enum import Enum

from farmctl.engine.scan.nouns import ScanStoppedError

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What this machine lacks, not the peer: a miner must never count as dead for it."""
PATIENCE = 20
"""Tries of one knock in a shortage, PAUSE_S apart: sockets in flight end within the connect deadline."""
PAUSE_S = 0.25


class Door(Enum):
    """What came of one knock."""

    OPEN = "open"
    CLOSED = "closed"
    """Refused, unreachable, or silent until the deadline."""


async def open_doors(host: str, ports: Mapping[str, int], connect_s: float) -> tuple[str, ...] | ScanStoppedError:
    """Names of the ports that accept, all knocked at together; the error as a value where this machine fell short."""
    try:
        async with asyncio.TaskGroup() as tasks:
            knocks = {name: tasks.create_task(_knock(host, port, connect_s)) for name, port in ports.items()}
    except* ScanStoppedError as group:
        stopped = ScanStoppedError(str(group.exceptions[0]))
    else:
        return tuple(name for name, knock in knocks.items() if knock.result() is Door.OPEN)
    return stopped


async def _knock(host: str, port: int, connect_s: float) -> Door:
    for _ in range(PATIENCE):
        try:
            return await _connects(host, port, connect_s)
        except OSError as error:
            shortage = error
            await asyncio.sleep(PAUSE_S)
    raise ScanStoppedError(
        f"{host}:{port}: {shortage.strerror}: expected more open files (ulimit -n) and room in the neighbour table "
        "(net.ipv4.neigh.default.gc_thresh3), or a lower --rate"
    )


async def _connects(host: str, port: int, connect_s: float) -> Door:
    """Connect and hang up; raises OSError for a shortage of this machine alone."""
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        door.settimeout(0.0)
        async with asyncio.timeout(connect_s):
            await asyncio.get_running_loop().sock_connect(door, (host, port))
    except TimeoutError:
        return Door.OPEN if _has_connected(door) else Door.CLOSED
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        return Door.CLOSED
    else:
        return Door.OPEN
    finally:
        door.close()


def _has_connected(door: socket.socket) -> bool:
    """Whether the peer has answered while we were held up; without this a starved host missed half of a fleet."""
    try:
        door.getpeername()
    except OSError:
        return False
    return True
