"""JSON as real firmware breaks it: each quirk that pyasic's reader repairs, in one function each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTION_REFUSED = b"Socket connect failed: Connection refused\n"
"""btminer's API relay answers this when the mining process behind it is down."""


def malform(reply: bytes, how: str) -> bytes:
    """Break `reply` in the way `how` names; raises ValueError naming the known ways.

    A quirk that has no place in this reply (no number to turn into "nan", say) leaves it whole.
    """
    try:
        breaker = MALFORMS[how]
    except KeyError:
        raise ValueError(f"malformed how={how!r}: expected one of {', '.join(MALFORMS)}") from None
    return breaker(reply)


def _comma_brace(reply: bytes) -> bytes:
    return reply.replace(b"}", b",}", 1)


def _newline(reply: bytes) -> bytes:
    return re.sub(rb'":"(\w)', rb'":"\n\1', reply, count=1)


def _missing_comma(reply: bytes) -> bytes:
    return reply.replace(b"},{", b"}{")


def _bracket_comma(reply: bytes) -> bytes:
    return reply.replace(b"[{", b"[,{", 1)


def _quote_temp0(reply: bytes) -> bytes:
    return re.sub(rb'"STATUS":"(\w)"', rb'"STATUS":"\1""temp0":"0"', reply, count=1)


def _inf(reply: bytes) -> bytes:
    return re.sub(rb'("(?:MHS|GHS|HS)[^"]*":)[\d.]+', rb'\1"inf"', reply, count=1)


def _nan(reply: bytes) -> bytes:
    return re.sub(rb'("(?:MHS|GHS|HS)[^"]*":)[\d.]+', rb'\1"nan"', reply, count=1)


def _leading_comma(reply: bytes) -> bytes:
    return b"," + reply[1:]


def _overflow(reply: bytes) -> bytes:
    return reply[: max(1, len(reply) * 3 // 4)]


def _error_code_list(reply: bytes) -> bytes:
    return re.sub(rb'"error_code":\[[^\]]*\]', rb'"error_code":["110":"2024-01-01"]', reply)


def _refused(_reply: bytes) -> bytes:
    return CONNECTION_REFUSED


def _garbage(_reply: bytes) -> bytes:
    return b"\xff\xfe\x00<html>502"


MALFORMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "comma_brace": _comma_brace,
    "newline": _newline,
    "missing_comma": _missing_comma,
    "bracket_comma": _bracket_comma,
    "quote_temp0": _quote_temp0,
    "inf": _inf,
    "nan": _nan,
    "leading_comma": _leading_comma,
    "overflow": _overflow,
    "error_code_list": _error_code_list,
    "refused": _refused,
    "garbage": _garbage,
}
