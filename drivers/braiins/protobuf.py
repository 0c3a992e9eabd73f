"""As much of Protocol Buffers as this API needs: messages to the nested dicts that its REST twin answers with."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from farmctl.errors import MalformedReplyError

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types of the encoding."""

_VARINT_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a message."""

    name: str
    kind: Literal["text", "int", "double", "bool"] | Mapping[int, Field]
    repeated: bool = False
    default: float | bool | None = None
    """What absence means: protobuf does not send a zero, and only some zeros are worth knowing."""


Schema = Mapping[int, Field]


def decode(data: bytes, schema: Schema) -> dict[str, Any]:
    """Read a message; unknown fields are skipped, absent ones are absent but for defaults and empty lists.

    Raises MalformedReplyError.
    """
    found: dict[str, Any] = {field.name: [] for field in schema.values() if field.repeated}
    found |= {field.name: field.default for field in schema.values() if field.default is not None}
    for number, wire_type, value in _fields(data):
        field = schema.get(number)
        if field is None:
            continue
        read = _value(field, wire_type, value)
        if field.repeated:
            found[field.name].append(read)
        else:
            found[field.name] = read
    return found


def text(number: int, value: str) -> bytes:
    """Encode a string field."""
    return message(number, value.encode())


def integer(number: int, value: int) -> bytes:
    """Encode an unsigned, enum or boolean field."""
    return _varint(number << 3 | VARINT) + _varint(value)


def message(number: int, value: bytes) -> bytes:
    """Encode a nested message, already encoded."""
    return _varint(number << 3 | DELIMITED) + _varint(len(value)) + value


def _value(field: Field, wire_type: int, value: int | bytes) -> Any:
    match field.kind:
        case "text" if wire_type == DELIMITED and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        case "int" if wire_type == VARINT:
            return value
        case "bool" if wire_type == VARINT:
            return bool(value)
        case "double" if wire_type == FIXED64 and isinstance(value, bytes):
            return struct.unpack("<d", value)[0]
        case Mapping() if wire_type == DELIMITED and isinstance(value, bytes):
            return decode(value, field.kind)
        case _:
            raise MalformedReplyError(f"protobuf field {field.name}: wire type {wire_type}, expected another")


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire_type = key & 7
        if wire_type == VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, wire_type, value
            continue
        if wire_type == DELIMITED:
            size, at = _read_varint(data, at)
        elif wire_type in {FIXED64, FIXED32}:
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise MalformedReplyError(f"protobuf wire type {wire_type}, expected 0, 1, 2 or 5")
        if at + size > len(data):
            raise MalformedReplyError(f"protobuf field of {size} bytes, {len(data) - at} left")
        yield key >> 3, wire_type, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < _VARINT_BITS:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise MalformedReplyError("protobuf number that does not end")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
