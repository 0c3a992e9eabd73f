"""`farmctl run` for the chaos: stopped where it hurts most, and, to see the laws broken, without the deadline check."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from farmctl.cli import main
from farmctl.engine import actuator
from farmctl.ports.fence import fenced
from farmctl.store.leases import Lease, LeaseKeeper
from farmctl.wiring import crew

FREEZE = "FARMCTL_CHAOS_FREEZE"
"""A file: where it is there, the next command takes it away and stops the process right before its fence is asked."""


class Unchecked(LeaseKeeper):
    """Sends whatever it ever held."""

    @override
    def may_send(self, lease: Lease) -> bool:
        return True


@contextmanager
def frozen(may_send: Callable[[], bool]) -> Iterator[None]:
    """The fence of a command, asked after a stop that the kernel may always put there."""

    def asked() -> bool:
        try:
            Path(os.environ[FREEZE]).unlink()
        except (KeyError, FileNotFoundError):
            return may_send()
        os.kill(os.getpid(), signal.SIGSTOP)
        return may_send()

    with fenced(asked):
        yield


if __name__ == "__main__":
    if sys.argv[1] == "--unchecked":
        del sys.argv[1]
        crew.LeaseKeeper = Unchecked  # type: ignore[attr-defined]
    actuator.fenced = frozen  # type: ignore[attr-defined]
    main()
