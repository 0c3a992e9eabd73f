"""Exit codes, the same for every verb except `check`."""

from __future__ import annotations

from enum import IntEnum

from farmctl.errors import ConfigError, FarmError, RefusedError, SilentPeerError


class Exit(IntEnum):
    """What the shell sees (OPERATIONS section 2)."""

    OK = 0
    ERROR = 1
    USAGE = 2
    UNREACHABLE = 3
    DENIED = 4
    PARTIAL = 5
    CONFLICT = 6
    TIMEOUT = 7
    PENDING = 8
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "ok",
    Exit.ERROR: "error",
    Exit.USAGE: "usage or config",
    Exit.UNREACHABLE: "controller unreachable",
    Exit.DENIED: "not permitted or read-only",
    Exit.PARTIAL: "partial: some miners failed",
    Exit.CONFLICT: "conflict: override active, lease held, revision changed, idempotency key reused",
    Exit.TIMEOUT: "timeout: target not reached",
    Exit.PENDING: "changes pending (--dry-run --exit-code)",
    Exit.INTERRUPTED: "interrupted",
}


def exit_of(error: FarmError) -> Exit:
    """The exit code of an error that ended a verb."""
    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, SilentPeerError):
        return Exit.UNREACHABLE
    if isinstance(error, RefusedError):
        return Exit.DENIED
    return Exit.ERROR
