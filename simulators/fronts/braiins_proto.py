"""Braiins gRPC messages, by field number: what is answered is made from the REST shapes, what is asked is read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, tuple[int, "Shape | str"]]
"""Name in the REST reply -> field number and kind: text, int, double, uint_box (a wrapped number), or a shape."""

_WATT: Shape = {"watt": (1, "int")}
_GIGAHASH: Shape = {"gigahash_per_second": (1, "double")}
_DEGREES: Shape = {"degree_c": (1, "double")}
_SENSOR: Shape = {"id": (1, "int"), "location": (2, "int"), "temperature": (3, _DEGREES)}
_WINDOWS = ("last_5s", "last_15s", "last_30s", "last_1m", "last_5m", "last_15m", "last_30m", "last_1h", "last_24h")
_RATES: Shape = {name: (n, _GIGAHASH) for n, name in enumerate(_WINDOWS, 1)}
_WORK: Shape = {"real_hashrate": (1, _RATES), "nominal_hashrate": (2, _GIGAHASH), "best_share": (5, "int")}
_SHARES: Shape = {"accepted_shares": (1, "int"), "rejected_shares": (2, "int"), "stale_shares": (3, "int")}
_IDENTITY: Shape = {"brand": (1, "int"), "model": (2, "int"), "name": (3, "text"), "miner_model": (4, "text")}
_PROFILE: Shape = {
    "created": (1, {"seconds": (1, "int"), "nanos": (2, "int")}),
    "target": (2, _WATT),
    "measured_hashrate": (3, _GIGAHASH),
    "estimated_power_consumption": (4, _WATT),
}
_LIMITS: Shape = {"default": (1, _WATT), "min": (2, _WATT), "max": (3, _WATT)}
_POOL: Shape = {
    "uid": (1, "text"),
    "url": (2, "text"),
    "user": (3, "text"),
    "enabled": (4, "int"),
    "alive": (5, "int"),
    "active": (6, "int"),
    "stats": (7, _SHARES),
}

LOGIN: Shape = {"token": (1, "text"), "timeout_s": (2, "int")}
DETAILS: Shape = {
    "uid": (1, "text"),
    "miner_identity": (2, _IDENTITY),
    "platform": (3, "int"),
    "bos_mode": (4, "int"),
    "bos_version": (5, {"current": (1, "text"), "major": (2, "text"), "bos_plus": (3, "int")}),
    "hostname": (6, "text"),
    "mac_address": (7, "text"),
    "system_uptime": (8, "int"),
    "sticker_hashrate": (9, _GIGAHASH),
    "bosminer_uptime_s": (10, "int"),
    "system_uptime_s": (11, "int"),
    "status": (12, "int"),
    "kernel_version": (13, "text"),
    "control_board_soc_family": (15, "int"),
    "serial_number": (16, "text"),
}
STATS: Shape = {
    "pool_stats": (1, _SHARES),
    "miner_stats": (2, _WORK),
    "power_stats": (
        3,
        {"approximated_consumption": (1, _WATT), "efficiency": (2, {"joule_per_terahash": (1, "double")})},
    ),
}
HASHBOARDS: Shape = {
    "hashboards": (
        1,
        {
            "id": (1, "text"),
            "enabled": (2, "int"),
            "chips_count": (3, "uint_box"),
            "current_voltage": (4, {"volt": (1, "double")}),
            "current_frequency": (5, {"hertz": (1, "double")}),
            "highest_chip_temp": (6, _SENSOR),
            "board_temp": (7, _DEGREES),
            "stats": (8, _WORK),
            "model": (9, "text"),
            "lowest_inlet_temp": (10, _DEGREES),
            "highest_outlet_temp": (11, _DEGREES),
            "serial_number": (12, "text"),
            "board_name": (13, "text"),
            "chip_type": (14, "text"),
        },
    )
}
COOLING: Shape = {
    "fans": (1, {"position": (1, "int"), "rpm": (2, "int"), "target_speed_ratio": (3, "double")}),
    "highest_temperature": (2, _SENSOR),
}
MODE: Shape = {"tuner_mode": (2, {"power_target": (1, {"power_target": (1, _WATT)})})}
TUNER: Shape = {
    "overall_tuner_state": (1, "int"),
    "powertargetmodestate": (2, {"profile": (1, _PROFILE), "current_target": (2, _WATT)}),
}
PROFILES: Shape = {"power_target_profiles": (1, _PROFILE)}
CONSTRAINTS: Shape = {"tuner_constraints": (1, {"power_target": (1, _LIMITS)})}
POOLS: Shape = {
    "pool_groups": (1, {"name": (1, "text"), "quota": (2, {"value": (1, "int")}), "pools": (4, _POOL)}),
}
TARGET: Shape = {"power_target": (1, _WATT)}
FLAG: Shape = {"flag": (1, "int")}


def encode(value: Mapping[str, Any], shape: Shape) -> bytes:
    """Encode the fields of `value` that `shape` knows; lists are repeated fields."""
    out = bytearray()
    for name, (number, kind) in shape.items():
        found = value.get(name)
        for each in found if isinstance(found, list) else [found]:
            if each is not None:
                out += _field(number, kind, each)
    return bytes(out)


def fields(data: bytes) -> dict[int, int | bytes]:
    """Read the numbers and the delimited fields of a request; raises ValueError on nonsense."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        match key & 7:
            case 0:
                found[key >> 3], at = _varint_at(data, at)
            case 2:
                size, at = _varint_at(data, at)
                found[key >> 3] = data[at : at + size]
                at += size
            case other:
                raise ValueError(f"wire type {other}: expected 0 or 2")
    return found


def _field(number: int, kind: Shape | str, value: Any) -> bytes:
    if kind == "int":
        return _varint(number << 3) + _varint(int(value)) if value else b""
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value) if value else b""
    if kind == "text":
        inner = str(value).encode()
    elif kind == "uint_box":
        inner = _field(1, "int", value)
    else:
        inner = encode(value, kind) if isinstance(kind, Mapping) else b""
    return _varint(number << 3 | 2) + _varint(len(inner)) + inner


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004 - the last byte of a number
            return value, at
        shift += 7
    raise ValueError("number that does not end")
