"""One writer per journal: a lock file that says who it is."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from farmctl.errors import StoreError


class OwnedElsewhereError(StoreError):
    """Another process is writing this journal."""


class Ownership:
    """The exclusive right to write one file, held until released or until the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Own `path` by locking `path`.lock; raises OwnedElsewhereError naming the owner's pid.

        The lock is the kernel's (flock), so a killed owner leaves none behind; the file stays, because removing it
        would let two processes lock two files of the same name.
        """
        lock = path.with_name(path.name + ".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError as error:
            raise StoreError(f"{path.parent}: no such folder; expected store.dir to be there, ours to write") from error
        except OSError as error:
            raise StoreError(f"cannot open lock file {lock}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise OwnedElsewhereError(
                f"{path} is being written by process {pid}: stop it, or open it to read"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"cannot lock {lock}: {error.strerror}") from error
        _say_who(descriptor)
        return cls(descriptor)

    def release(self) -> None:
        """Give the right back; once."""
        os.close(self._descriptor)


def _say_who(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        # A full disk must not keep the controller from starting; the lock holds without its label.
        return
