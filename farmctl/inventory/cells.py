"""One cell of the miners' CSV: text to value and back; every reader raises ValueError with what was expected."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from farmctl.core.model import MinerId

SEPARATOR = ";"
"""Between the items of one cell; a comma ends the cell."""

_MAC_DIGITS = 12
_SEPARATED_MAC = re.compile(
    r"(?:[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4})", re.IGNORECASE
)
_BARE_MAC = re.compile(r"[0-9a-f]{12}", re.IGNORECASE)
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{3,31}")
"""The fleet's id column holds 32 characters."""
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")
_NOT_A_MINER = {"0" * _MAC_DIGITS, "f" * _MAC_DIGITS}
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PHASES = {"L1", "L2", "L3"}
_LAST_PORT = 65535
_LAST_TIER = 99
_SWITCH = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def read_miner_id(text: str) -> MinerId:
    """A MAC in any common spelling, as lower case with colons; else a serial number as it is."""
    if _SEPARATED_MAC.fullmatch(text) or _BARE_MAC.fullmatch(text):
        digits = re.sub(r"[:.-]", "", text).lower()
        if digits in _NOT_A_MINER:
            raise ValueError(f'expected the MAC of a machine, got "{text}"')
        return MinerId(":".join(digits[at : at + 2] for at in range(0, _MAC_DIGITS, 2)))
    if ":" in text or not _SERIAL.fullmatch(text):
        raise ValueError(f'expected a MAC such as c4:11:e0:01:23:45 or a serial number of 4 to 32, got "{text}"')
    return MinerId(text)


def read_host(text: str) -> str:
    """An address or a host name."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not _HOST_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f'expected an address or a host name, got "{text}"')
    return text


def read_ports(text: str) -> dict[str, int]:
    """`api=4028;http=80`; empty means the driver's own."""
    ports: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(SEPARATOR))):
        name, equals, number = (part.strip() for part in item.partition("="))
        good = bool(equals) and _WORD.fullmatch(name) and re.fullmatch(r"[0-9]{1,5}", number)
        if not good or not 1 <= int(number) <= _LAST_PORT or name in ports:
            raise ValueError(f'expected ports such as api=4028;http=80, each once, got "{item}"')
        ports[name] = int(number)
    return ports


def read_phase(text: str) -> str:
    """`L1`, `L2-L3`, `L1-L2-L3`, in any order and case; empty means not known."""
    names = [name for name in re.split(r"[-+/ ]", text.upper()) if name]
    if not set(names) <= _PHASES or len(set(names)) != len(names):
        raise ValueError(f'expected L1, L2, L3, or several of them such as L1-L2, got "{text}"')
    return "-".join(sorted(names))


def read_tier(text: str) -> int:
    """A whole number from 0; the higher tier is shed first."""
    if text and (not re.fullmatch(r"[0-9]{1,2}", text)):
        raise ValueError(f'expected a whole number from 0 to {_LAST_TIER}, got "{text}"')
    return int(text or 0)


def read_switch(text: str) -> bool:
    """True or false in the usual spellings; empty is false."""
    if text.lower() not in _SWITCH:
        raise ValueError(f'expected true or false, got "{text}"')
    return _SWITCH[text.lower()]


def read_tags(text: str) -> tuple[str, ...]:
    """Words between semicolons."""
    return tuple(tag for tag in (part.strip() for part in text.split(SEPARATOR)) if tag)


def write_ports(ports: Mapping[str, int]) -> str:
    """The inverse of `read_ports`, by name."""
    return SEPARATOR.join(f"{name}={port}" for name, port in sorted(ports.items()))
