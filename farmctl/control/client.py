"""Asking the controller, with nothing but stdlib: a client verb starts in some 50 ms."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from typing_extensions import override

from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError

DEFAULT_SOCKET = "/run/farmctl/farmctl.sock"
TIMEOUT_S = 10.0
LONGEST_ANSWER = 64 * 2**20


class ControllerSilentError(SilentPeerError):
    """The controller does not answer on its socket."""


class ControllerRefusedError(RefusedError):
    """The controller answered with an error."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str = "", hint: str = "", door: str = ""
    ) -> None:
        """`status` is the HTTP status, the rest is the error as the controller wrote it.

        `door`: where another process of the site answers that leads, a socket's path or a URL.
        """
        super().__init__(f"{message} ({hint})" if hint else message)
        self.status = status
        self.code = code
        self.field = field
        self.hint = hint
        self.door = door


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a controller answers: a Unix socket, or TLS with a token."""

    socket: str = ""
    url: str = ""
    """`https://HOST:PORT`; empty for the socket."""
    ca_file: str = ""
    """Who vouches for the controller's certificate; empty: those whom the system trusts."""
    token: str = ""

    @property
    def named(self) -> str:
        """For messages."""
        return self.url or self.socket


class ControlClient:
    """One controller; a connection per question."""

    def __init__(self, where: str | Where, timeout_s: float = TIMEOUT_S) -> None:
        """A text is a socket's path; `timeout_s` holds for each step of a question: connect, send, each read."""
        self.where = where if isinstance(where, Where) else Where(socket=where)
        self._timeout_s = timeout_s

    @property
    def socket_path(self) -> str:
        """The Unix socket; empty over TLS."""
        return self.where.socket

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """One answer. Raises ControllerSilentError, ControllerRefusedError, MalformedReplyError."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return self._ask("GET", f"{path}?{asked}" if asked else path, None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """The answer to an order; raises as `get` does."""
        return self._ask("POST", path, json.dumps(body, allow_nan=False).encode())

    def delete(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """The answer to a taking back; raises as `get` does."""
        return self._ask("DELETE", path, json.dumps(body, allow_nan=False).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        """The answer, and that of the process that leads where this one stands by."""
        try:
            return self._asked(method, path, body)
        except ControllerRefusedError as error:
            leading = elsewhere(self.where, error)
            if leading is None:
                raise
            self.where = leading
            return self._asked(method, path, body)

    def _asked(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        where = self.where
        headers = {"Content-Type": "application/json", "X-Farmctl-Origin": _origin()}
        if where.token:
            headers["Authorization"] = f"Bearer {where.token}"
        link = _opened(where, self._timeout_s)
        try:
            link.request(method, path, body, headers)
            response = link.getresponse()
            status, raw = response.status, response.read(LONGEST_ANSWER)
        except PermissionError:
            message = f"{where.named}: this user may not open the socket"
            raise ControllerRefusedError(403, "not_permitted", message, hint="join the socket's group") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            message = f"{where.named}: the controller does not answer: {why}"
            raise ControllerSilentError(message) from None
        finally:
            link.close()
        return _read(status, raw, f"{method} {path}")


def elsewhere(where: Where, error: ControllerRefusedError) -> Where | None:
    """Where to ask instead: a socket of this machine, or another host with the token in hand; None: nowhere."""
    door = error.door
    if not door or door == where.named or (door.startswith("https://") and not where.token):
        return None
    return replace(where, url=door) if door.startswith("https://") else Where(socket=door)


def part(text: str) -> str:
    """One part of a path, such as a miner's id."""
    return quote(text, safe="")


def _opened(where: Where, timeout_s: float) -> http.client.HTTPConnection:
    """A connection that is not made yet. Raises ControllerSilentError for a URL or an authority that is none."""
    if not where.url:
        return _UnixConnection(where.socket, timeout_s)
    import ssl  # noqa: PLC0415 - 10 ms that only a remote context pays

    host, _, port = where.url.removeprefix("https://").rstrip("/").rpartition(":")
    if not where.url.startswith("https://") or not host or not port.isdigit():
        message = f"{where.url}: expected https://HOST:PORT; a token never travels in the clear"
        raise ControllerSilentError(message)
    try:
        context = ssl.create_default_context(cafile=where.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        message = f"{where.ca_file}: expected a certificate authority, PEM: {error}"
        raise ControllerSilentError(message) from None
    return http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=timeout_s, context=context)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    @override
    def connect(self) -> None:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(self._timeout_s)
            link.connect(self._path)
        except BaseException:
            link.close()
            raise
        self.sock = link


def _read(status: int, raw: bytes, asked: str) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        message = f"{asked}: expected a JSON object, got {raw[:80]!r}"
        raise MalformedReplyError(message)
    if status < http.client.BAD_REQUEST:
        return answer
    error = answer.get("error")
    told = error if isinstance(error, dict) else {}
    raise ControllerRefusedError(
        status,
        str(told.get("code", "error")),
        str(told.get("message", f"{asked}: status {status}")),
        field=str(told.get("field", "")),
        hint=str(told.get("hint", "")),
        door=str(told.get("door", "")),
    )


def _origin() -> str:
    """Where this terminal says that it comes from; the controller notes it as declared, not as known."""
    return os.environ.get("SSH_CONNECTION", "").split(" ")[0]
