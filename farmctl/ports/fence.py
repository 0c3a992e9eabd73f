"""The last word before a socket write: whoever sends a command may set a fence, and the wire asks it.

A process that was stopped or suspended in the middle of a conversation wakes up and goes on where it was; only a look
at the clock right before the bytes leave keeps a command of the past off the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from farmctl.errors import RefusedError

_FENCE: ContextVar[Callable[[], bool] | None] = ContextVar("fence", default=None)


class FencedOffError(RefusedError):
    """The right to command this miner has ended: nothing more is sent."""


@contextmanager
def fenced(may_send: Callable[[], bool]) -> Iterator[None]:
    """Whatever is written to miners inside asks `may_send` first."""
    token = _FENCE.set(may_send)
    try:
        yield
    finally:
        _FENCE.reset(token)


def fence() -> Callable[[], bool] | None:
    """The fence of this conversation, for a wire that writes from a callback; None: there is none."""
    return _FENCE.get()


def must_be_open() -> None:
    """Ask the fence; the last thing before a socket write. Raises FencedOffError."""
    may_send = _FENCE.get()
    if may_send is not None and not may_send():
        raise FencedOffError
