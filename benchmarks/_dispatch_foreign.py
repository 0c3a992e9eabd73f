"""The same stop by pyasic, on a sample: its miners stand on the real ports, if possible in a network of their own.

pyasic knows no other ports, and a farm on those would meet every other farm of this machine.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import logging
import os
import socket
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks._crowd import crowd

SAMPLE = 40
NET = 150
DEADLINE_S = 60.0
CLONE_NEWNET = 0x40000000
"""unshare(2); `os.unshare` is of Python 3.12."""
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def main() -> None:
    """Print one JSON object; the model is the argument."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    alone = _own_network()
    sys.stdout.write(json.dumps(uvloop.run(_measure(sys.argv[1])) | {"pyasic_own_network": alone}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # in a network of its own the interpreter hangs at its end, with no Python frame left


def _own_network() -> bool:
    """Whether this process has a loopback of its own now; root only."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        fcntl.ioctl(link, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING))
    return True


async def _measure(mix: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="farmctl-foreign-") as folder:
        async with crowd(SAMPLE, mix, Path(folder), net=NET, real_ports=True) as farms:
            return await _stopped([place["host"] for place in farms.places])


async def _stopped(hosts: Sequence[str]) -> dict[str, Any]:
    import pyasic  # noqa: PLC0415 - costs most of a second, and comes after the farm is up

    found = [m for m in [await asyncio.wait_for(pyasic.get_miner(host), DEADLINE_S) for host in hosts] if m]
    cpu_s, began_s = time.process_time(), time.monotonic()
    said = await asyncio.gather(*(asyncio.wait_for(m.stop_mining(), DEADLINE_S) for m in found))
    wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    return {
        "pyasic_sample": len(found),
        "pyasic_said_yes": sum(answer is True for answer in said),
        "pyasic_stop_s": round(wall_s, 2),
        "pyasic_cpu_ms_per_stop": round(1e3 * cpu_s / max(len(found), 1), 3),
    }


if __name__ == "__main__":
    main()
