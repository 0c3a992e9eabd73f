"""How the control API writes: versioned JSON, errors with code, message, field and hint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from aiohttp import web

from farmctl.errors import RefusedError

SCHEMA = "farmctl/v1"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

Json = Mapping[str, object]
"""One JSON object on its way out; numpy scalars are allowed, NaN becomes null."""


class ApiError(RefusedError):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, *, field: str = "", hint: str = "") -> None:
        """`status` is the HTTP status; `field` names what in the request was wrong."""
        super().__init__(message)
        self.status = status
        self.field = field
        self.hint = hint


_CODES = {
    400: "bad_request",
    401: "unknown_caller",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    410: "gone",
    412: "changed_meanwhile",
    413: "too_large",
    503: "not_ready",
    507: "not_durable",
}


def answer(data: Json, *, status: int = 200) -> web.Response:
    """One JSON object with the schema's name."""
    return web.Response(
        status=status,
        body=orjson.dumps({"schema": SCHEMA, **data}, option=_OPTIONS),
        content_type="application/json",
    )


def refusal(status: int, message: str, *, field: str = "", hint: str = "") -> web.Response:
    """An error as every client reads it."""
    code = _CODES.get(status, "internal_error")
    return answer({"error": {"code": code, "message": message, "field": field, "hint": hint}}, status=status)


def iso(at_ms: int) -> str | None:
    """A moment for people and machines, UTC; None for never."""
    if at_ms < 0:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole(text: str, field: str, *, low: int, high: int) -> int:
    """A whole number of a query. Raises ApiError 400."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise ApiError(400, f"{field}={text}: expected a whole number from {low} to {high}", field=field)
    return int(text)
