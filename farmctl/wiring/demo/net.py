"""A part of 127.0.0.0/8 of one's own: demos, tests and simulated farms run side by side on one machine."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

from farmctl.errors import AskHumanError

API_PORT = 4028
NETS = range(10, 200, 10)
"""First networks, 127.N.0.0/16; a farm takes one for each make."""
MAKES = 10
LOOK_S = 0.2
"""A refusal on loopback comes at once; silence is nobody, too."""


class NoRoomError(AskHumanError):
    """Every network of the demo is in use."""


@contextlib.contextmanager
def reserved_net() -> Iterator[int]:
    """A free N, held until the end. Raises NoRoomError."""
    start = os.getpid() % len(NETS)
    for net in (*NETS[start:], *NETS[:start]):
        with contextlib.ExitStack() as stack:
            if _holds(net, stack) and not any(_answers(f"127.{net + make}.0.1") for make in range(MAKES)):
                yield net
                return
    raise NoRoomError(
        f"127.{NETS[0]}.0.0 to 127.{NETS[-1]}.0.0: expected one network where nobody listens on {API_PORT}"
    )


def _holds(net: int, stack: contextlib.ExitStack) -> bool:
    """Claim a network; a name in Linux's abstract namespace goes with the process that bound it."""
    if not hasattr(socket, "AF_UNIX"):
        return True
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    try:
        sock.bind(f"\0farmctl-demo-net-{net}")
    except OSError:
        return False
    return True


def _answers(host: str) -> bool:
    try:
        socket.create_connection((host, API_PORT), timeout=LOOK_S).close()
    except OSError:
        return False
    return True
