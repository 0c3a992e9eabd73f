"""The Unix socket itself: bound with its mode from the first moment, a dead one cleared away, a live one left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import stat
from pathlib import Path

import structlog

from farmctl.errors import AskHumanError

log = structlog.get_logger(__name__)

MODE = 0o660
BACKLOG = 128
KNOCK_S = 2.0
ACCEPTED_TURNS = 4


class SocketError(AskHumanError):
    """The socket of the control API cannot be opened where the configuration puts it."""


def open_socket(path: Path, group: str | None) -> socket.socket:
    """Listen on `path`, mode 0660, owned by `group` where this user may give it away. Raises SocketError."""
    _clear(path)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        umask = os.umask(0o777 & ~MODE)
        try:
            door.bind(str(path))
        finally:
            os.umask(umask)
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        message = f"{path}: expected a place for a socket that this user may write: {error.strerror or error}"
        raise SocketError(message) from error
    door.settimeout(0.0)
    _give(path, group)
    return door


async def take_no_more(door: socket.socket) -> None:
    """Accept nobody from now on, and let whoever was accepted become a connection, which takes three turns of the loop.

    One whose server closes in between is closed by nobody: asyncio 3.11 gives up on it with an assertion.
    """
    with contextlib.suppress(RuntimeError, NotImplementedError):  # a loop that accepts in its own way, such as uvloop
        asyncio.get_running_loop().remove_reader(door)
    for _ in range(ACCEPTED_TURNS):
        await asyncio.sleep(0)


def close_socket(door: socket.socket, path: Path) -> None:
    """Stop listening and take the file away."""
    door.close()
    path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove what a killed controller left behind; never a live socket, never another file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"{path}: expected a readable place: {error.strerror}"
        raise SocketError(message) from error
    if not stat.S_ISSOCK(mode):
        message = f"{path}: expected a socket or nothing, found another file; it is left alone"
        raise SocketError(message)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(KNOCK_S)
        try:
            knock.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            message = f"{path}: expected a dead socket or nothing: {error.strerror or error}"
            raise SocketError(message) from error
    message = f"{path}: another controller answers here; stop it first"
    raise SocketError(message)


def _give(path: Path, group: str | None) -> None:
    if group is None:
        return
    try:
        shutil.chown(path, group=group)
    except (LookupError, PermissionError) as error:
        log.warning("socket_group_not_set", path=str(path), group=group, error=str(error), effect="owner only")
