"""The limit tree: one root, no ring, no orphan, nothing above what feeds it."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.config.checks.names import repeated, unknown_name
from farmctl.config.fault import Fault
from farmctl.config.parts import Parts


def circuit_faults(parts: Parts) -> Iterator[Fault]:
    """Everything that keeps the circuits from being a tree."""
    names = parts.names("circuit")
    yield from repeated(parts, ("circuit",), names)
    for number, circuit in parts.circuits.items():
        if circuit.parent is not None:
            known = (name for _, name in names)
            yield from unknown_name(parts, ("circuit", number, "parent"), circuit.parent, known, "circuit")
    yield from _roots(parts)
    yield from _rings(parts)
    yield from _meters(parts)


def _roots(parts: Parts) -> Iterator[Fault]:
    roots = [(number, circuit) for number, circuit in parts.circuits.items() if circuit.parent is None]
    for number, _ in roots[1:]:
        text = f'missing; "{roots[0][1].name}" is the root already, and there is one root'
        yield parts.document.fault(("circuit", number, "parent"), text)
    rating_kw = roots[0][1].rating_kw if roots else None
    if rating_kw is not None and parts.site is not None and parts.site.rated_kw > rating_kw:
        got = f"got {parts.site.rated_kw:g}"
        text = f'expected at most the rating of the root circuit "{roots[0][1].name}" = {rating_kw:g}, {got}'
        yield parts.document.fault(("site", "rated_kw"), text)


def _rings(parts: Parts) -> Iterator[Fault]:
    parent = {circuit.name: circuit.parent for circuit in parts.circuits.values()}
    number = {circuit.name: number for number, circuit in parts.circuits.items()}
    done: set[str] = set()
    for start in parent:
        walked: list[str] = []
        name: str | None = start
        while name is not None and name in parent and name not in done:
            done.add(name)
            walked.append(name)
            name = parent[name]
        if name in walked:
            ring = walked[walked.index(name) :]
            text = f"expected a tree, got a ring: {' -> '.join((*ring, ring[0]))}"
            yield parts.document.fault(("circuit", number[ring[0]], "parent"), text)


def _meters(parts: Parts) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for number, circuit in parts.circuits.items():
        if circuit.meter is None:
            continue
        path = ("circuit", number, "meter")
        yield from unknown_name(parts, path, circuit.meter, (name for _, name in parts.names("meter")), "meter")
        if circuit.meter in taken:
            yield parts.document.fault(path, f'"{circuit.meter}" already measures "{taken[circuit.meter]}"')
        taken.setdefault(circuit.meter, circuit.name)
