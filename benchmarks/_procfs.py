"""What the kernel says of a process: memory, open files, sockets, threads (proc(5))."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

SOCKET = "socket:["
"""A link in /proc/PID/fd names a socket by its inode."""


def of_process(pid: int | str) -> dict[str, Any]:
    """RSS in MiB, open files, those of them that are sockets, which those are, threads; empty where it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text("ascii").splitlines() if ":" in line)
        files = [_target(link) for link in (folder / "fd").iterdir()]
    except OSError:
        return {}
    sockets = sorted(int(target[len(SOCKET) : -1]) for target in files if target.startswith(SOCKET))
    return {
        "rss_mib": round(int(status["VmRSS"].split()[0]) / 1024, 2),
        "fds": len(files),
        "sockets": len(sockets),
        "socket_ids": sockets,
        "kernel_threads": int(status["Threads"]),
    }


class _Mallinfo2(ctypes.Structure):
    """mallinfo2(3), glibc 2.33 and later."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def of_malloc() -> dict[str, float]:
    """MiB that glibc's malloc has handed out, mapped, and holds free; empty without glibc."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return {}
    ask.restype = _Mallinfo2
    told = ask()
    names = {"malloc_used_mib": "uordblks", "malloc_mapped_mib": "hblkhd", "malloc_free_mib": "fordblks"}
    return {name: round(getattr(told, field) / 2**20, 2) for name, field in names.items()}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed since it was listed
        return ""
