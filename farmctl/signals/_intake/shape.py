"""Payload bytes to a JSON object: size, UTF-8, finite numbers, no duplicate keys, bounded depth."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from farmctl.core.reasons import Reason
from farmctl.signals._intake.verdict import NotAcceptedError

MAX_BYTES = 64 * 1024
MAX_SIMPLE_BYTES = 1_024
"""SIGNALS section 1, client rule 6."""
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1
"""Above this a JSON number is not the same integer everywhere, and RFC 8785 refuses it."""

JsonObject = dict[str, Any]
"""A parsed payload; it goes no further than the checks in this package."""

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)


def json_object(raw: bytes, *, max_bytes: int = MAX_BYTES) -> JsonObject:
    """The JSON object in a payload.  Raises NotAcceptedError with NOT_JSON, BAD_FIELD or TOO_LARGE."""
    if len(raw) > max_bytes:
        raise NotAcceptedError(Reason.TOO_LARGE, f"payload has {len(raw)} bytes, at most {max_bytes} are read")
    _check_depth(raw)
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_exact,
        )
    except NotAcceptedError:
        raise
    except (ValueError, RecursionError) as fault:
        raise NotAcceptedError(Reason.NOT_JSON, f"payload is not UTF-8 JSON: {fault}") from fault
    if not isinstance(value, dict):
        raise NotAcceptedError(Reason.NOT_JSON, f"payload is a JSON {type(value).__name__}, expected an object")
    _check_text(value)
    return value


def _check_depth(raw: bytes) -> None:
    """Counted before parsing, so that a nest of brackets costs nothing; brackets in strings do not count."""
    depth = 0
    for found in _BRACKETS.finditer(raw):
        token = found.group()
        if token in (b"{", b"["):
            depth += 1
            if depth > MAX_DEPTH:
                raise NotAcceptedError(Reason.BAD_FIELD, f"payload is nested deeper than {MAX_DEPTH}")
        elif token in (b"}", b"]"):
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotAcceptedError(Reason.BAD_FIELD, f"key {twice[:64]!r} occurs twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise NotAcceptedError(Reason.BAD_FIELD, f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotAcceptedError(Reason.BAD_FIELD, f"number {text[:32]} is beyond a double")
    return number


def _exact(text: str) -> int:
    if len(text.lstrip("-")) > len(str(MAX_INTEGER)) or abs(int(text)) > MAX_INTEGER:
        raise NotAcceptedError(Reason.BAD_FIELD, f"integer {text[:32]} is beyond 2^53 - 1")
    return int(text)


def _check_text(value: Any) -> None:
    """A lone surrogate is no Unicode text and has no canonical form."""
    match value:
        case str():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError as fault:
                raise NotAcceptedError(Reason.NOT_JSON, "a text holds a lone surrogate") from fault
        case dict():
            for name, inner in value.items():
                _check_text(name)
                _check_text(inner)
        case list():
            for inner in value:
                _check_text(inner)
        case _:
            pass
