"""`farmctl run` for the chaos: stopped where it hurts most, and, to see the laws broken, without the deadline check."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from typing_extensions import override

from drivers.luxos.session import Session
from farmctl.cli import main
from farmctl.ports.fence import fence, fenced
from farmctl.store.leases import Lease, LeaseKeeper
from farmctl.wiring import process

FREEZE = "FARMCTL_CHAOS_FREEZE"
"""A file: where it is there, the next write to a LuxOS miner that is not a sleep takes it away and stops the process in
front of its fence. What lowers may be sent by anybody, and would show nothing."""
ADDRESS = "FARMCTL_CHAOS_ADDRESS"
"""Where this process calls from, so that miners on the same host can tell it from the others."""


SLEEP = "sleep"
send = Session._send  # noqa: SLF001 - as above


class Unchecked(LeaseKeeper):
    """Sends whatever it ever held."""

    @override
    def may_send(self, lease: Lease) -> bool:
        return True


async def freezing(session: Session, command: str, parameter: str) -> dict[str, Any]:
    """One write of a session, its fence asked after a stop that the kernel may always put there."""
    may_send = fence()
    if may_send is None or parameter == SLEEP:
        return await send(session, command, parameter)

    def asked() -> bool:
        with suppress(KeyError, FileNotFoundError):
            Path(os.environ[FREEZE]).unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return may_send()

    with fenced(asked):
        return await send(session, command, parameter)


def _call_from(address: str) -> None:
    """Have every connection of this process begin at this address of loopback."""
    connect: Callable[..., Any] = uvloop.Loop.create_connection

    async def connected(loop: asyncio.AbstractEventLoop, factory: object, *args: object, **named: object) -> object:
        return await connect(loop, factory, *args, **{"local_addr": (address, 0)} | named)

    uvloop.Loop.create_connection = connected  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    if sys.argv[1] == "--unchecked":
        del sys.argv[1]
        process.LeaseKeeper = Unchecked  # type: ignore[attr-defined]
    if (address := os.environ.get(ADDRESS)) is not None:
        _call_from(address)
    Session._send = freezing  # type: ignore[method-assign, assignment]  # noqa: SLF001 - a benchmark that stops it there
    main()
