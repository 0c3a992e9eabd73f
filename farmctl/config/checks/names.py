"""Names that must be there once, and references that must meet them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from farmctl.config.explain import did_you_mean, shown
from farmctl.config.fault import Fault, KeyPath
from farmctl.config.parts import Parts


def repeated(parts: Parts, path: KeyPath, names: Iterable[tuple[int, str]], key: str = "name") -> Iterator[Fault]:
    """A fault for every name of the list at `path` that stood there before."""
    first: dict[str, int] = {}
    for number, name in names:
        if name in first:
            origin = parts.document.origin((*path, first[name], key))
            yield parts.document.fault(
                (*path, number, key), f"expected a name of its own; {shown(name)} is also at {origin}"
            )
        first.setdefault(name, number)


def unknown_name(parts: Parts, path: KeyPath, name: str, known: Iterable[str], what: str) -> Iterator[Fault]:
    """A fault where a reference meets nothing."""
    names = sorted(set(known))
    if name in names:
        return
    hint = did_you_mean(name, names) or (f"; known: {', '.join(names)}" if names else "; there is none")
    yield parts.document.fault(path, f"expected a known {what}, got {shown(name)}{hint}")
