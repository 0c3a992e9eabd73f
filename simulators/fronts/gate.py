"""One listening socket for a port of many miners: a farm larger than the limit on open files.

A socket per miner and port is the faithful way, and 10,000 mixed miners need some 19,000 of them. Here one socket on
the wildcard address of the loopback device takes all connections to one port, and the address that was called tells
whose they are. A socket filter drops calls to addresses outside the farm, so that they are as silent as an unused
address of a real network; a miner of the farm whose door is closed resets instead of refusing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import ipaddress
import socket
import struct
import sys
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from simulators.fronts.door import listening_places, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BACKLOG = 4096
"""Linux cuts it down to net.core.somaxconn."""

SO_ATTACH_FILTER = 26
"""asm-generic/socket.h; Python has no name for it."""

LOAD_WORD, IF_GREATER_EQUAL, IF_GREATER, RETURN = 0x20, 0x35, 0x25, 0x06
"""Classic BPF: BPF_LD|W|ABS, BPF_JMP|JGE|K, BPF_JMP|JGT|K, BPF_RET|K (linux/bpf_common.h)."""

CALLED_ADDRESS = 0xFFF00000 + 16
"""SKF_NET_OFF, then the destination field of an IPv4 header."""

WILDCARD = "0.0.0.0"  # noqa: S104 - of the loopback device alone, see Gate.open

MOST_SPANS = 1_000
"""BPF_MAXINSNS is 4096, and a span takes three."""


class Gate:
    """Listens on `port` for every door that has come in; Linux only, IPv4 only."""

    def __init__(self, port: int, *, allow_remote: bool) -> None:
        self.port = port
        self._allow_remote = allow_remote
        self._builders: dict[str, Callable[[], asyncio.Protocol]] = {}
        self._server: asyncio.Server | None = None

    async def open(self, hosts: Iterable[str]) -> None:
        """Listen for calls to `hosts`; raises OSError naming the port when it cannot."""
        if (WILDCARD, self.port) in listening_places():
            raise OSError(errno.EADDRINUSE, f"port {self.port}: another farm shares its sockets there")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Doors of other farms have it as well, so that they may stand on addresses of their own beside this one.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if not self._allow_remote:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            spans = list(spans_of(hosts))
            if len(spans) <= MOST_SPANS:
                # without it calls to nobody are reset, which is odd but harmless
                with contextlib.suppress(OSError):
                    attach_filter(sock, spans)
            sock.bind((WILDCARD, self.port))
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Entrance(self), sock=sock, backlog=BACKLOG)
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot listen on port {self.port} of the loopback device: {error}") from error

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def admit(self, host: str, build: Callable[[], asyncio.Protocol]) -> None:
        """Answer calls to `host` from now on."""
        self._builders[host] = build

    def turn_away(self, host: str) -> None:
        """Reset calls to `host` from now on."""
        self._builders.pop(host, None)

    def builder(self, host: str) -> Callable[[], asyncio.Protocol] | None:
        """Who answers calls to `host`, if anybody."""
        return self._builders.get(host)


class _Entrance(asyncio.Protocol):
    """A connection until it is known whose it is."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport: nothing to check here
        stream = cast("asyncio.Transport", transport)
        build = self._gate.builder(stream.get_extra_info("sockname")[0])
        if build is None:
            reset(stream)
            return
        protocol = build()
        stream.set_protocol(protocol)
        protocol.connection_made(stream)


def is_possible(hosts: Iterable[str]) -> bool:
    """Whether a gate can serve these addresses here."""
    return sys.platform == "linux" and all(ipaddress.ip_address(host).version == 4 for host in hosts)  # noqa: PLR2004 - IPv4


def spans_of(hosts: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Neighbouring addresses as (first, last) numbers, both included, in order."""
    numbers = sorted({int(ipaddress.IPv4Address(host)) for host in hosts})
    first = last = numbers[0] if numbers else 0
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    if numbers:
        yield first, last


def attach_filter(sock: socket.socket, spans: list[tuple[int, int]]) -> None:
    """Let the kernel drop what is not for one of `spans`, unanswered; raises OSError where it has no filters."""
    code = [struct.pack("=HBBI", LOAD_WORD, 0, 0, CALLED_ADDRESS)]
    for first, last in spans:
        code.append(struct.pack("=HBBI", IF_GREATER_EQUAL, 0, 2, first))
        code.append(struct.pack("=HBBI", IF_GREATER, 1, 0, last))
        code.append(struct.pack("=HBBI", RETURN, 0, 0, 0xFFFFFFFF))
    code.append(struct.pack("=HBBI", RETURN, 0, 0, 0))
    program = ctypes.create_string_buffer(b"".join(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(code), ctypes.addressof(program)))
