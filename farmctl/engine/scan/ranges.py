"""Address ranges as people type them: CIDR, first-last, or one address; never more than was typed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from farmctl.errors import RefusedError

LARGEST = 1 << 20
"""A /12: 17 minutes at the default rate. More is a slip of the keyboard, or several scans."""
POINT_TO_POINT = 31
"""From this prefix on an IPv4 network has no network and broadcast address to leave out (RFC 3021)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RangesError(RefusedError):
    """An address range could not be read; all of them are listed."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """Neighbouring addresses, both ends included."""

    version: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Each address once, in order."""

    spans: tuple[Span, ...]

    def __len__(self) -> int:
        return sum(span.last - span.first + 1 for span in self.spans)

    def __iter__(self) -> Iterator[str]:
        for span in self.spans:
            for number in range(span.first, span.last + 1):
                yield str(_address(span.version, number))

    def __contains__(self, host: object) -> bool:
        try:
            address = ipaddress.ip_address(str(host))
        except ValueError:
            return False
        number = int(address)
        return any(span.version == address.version and span.first <= number <= span.last for span in self.spans)


def read_ranges(texts: Sequence[str]) -> Ranges:
    """Read `10.1.0.0/16`, `10.1.2.10-10.1.3.20`, `10.1.2.10-60`, `10.1.2.3`; overlaps count once.

    A network's own and its broadcast address are left out. Raises RangesError with every fault.
    """
    spans, faults = [], []
    for text in texts:
        try:
            spans.append(_span(text.strip()))
        except ValueError as error:
            faults.append(f"{text}: expected 10.1.0.0/16, 10.1.2.10-10.1.2.60 or 10.1.2.3: {error}")
    if faults:
        raise RangesError("\n".join(faults))
    ranges = Ranges(spans=tuple(_merged(spans)))
    count = sum(span.last - span.first + 1 for span in ranges.spans)  # len() stops at 2**63, an IPv6 network does not
    if count > LARGEST:
        raise RangesError(f"{', '.join(texts)}: expected at most {LARGEST} addresses, got {count}: scan in parts")
    return ranges


def _span(text: str) -> Span:
    if "%" in text:
        raise ValueError("an address with a zone is not supported")
    if "/" in text:
        network = ipaddress.ip_network(text, strict=False)
        edge = 1 if network.version == 4 and network.prefixlen < POINT_TO_POINT else 0  # noqa: PLR2004 - IPv4
        first, last = int(network.network_address) + edge, int(network.broadcast_address) - edge
        return Span(version=network.version, first=first, last=last)
    begin, dash, end = (part.strip() for part in text.partition("-"))
    start = ipaddress.ip_address(begin)
    if not dash:
        return Span(version=start.version, first=int(start), last=int(start))
    stop = ipaddress.ip_address(f"{begin.rpartition('.')[0]}.{end}" if end.isdigit() else end)
    if stop.version != start.version or int(stop) < int(start):
        raise ValueError(f"{stop} does not come after {start}")
    return Span(version=start.version, first=int(start), last=int(stop))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    open_: Span | None = None
    for span in sorted(spans):
        if open_ is not None and span.version == open_.version and span.first <= open_.last + 1:
            open_ = Span(version=open_.version, first=open_.first, last=max(open_.last, span.last))
            continue
        if open_ is not None:
            yield open_
        open_ = span
    if open_ is not None:
        yield open_


def _address(version: int, number: int) -> Address:
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)  # noqa: PLR2004 - IPv4
