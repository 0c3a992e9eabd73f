"""The site, container, circuit, rack and fleet blocks as text from the latest snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from farmctl.metrics.families import FAMILIES
from farmctl.metrics.families.row import COUNT, SUM, Axes, Family, keys_of
from farmctl.metrics.snapshot import MetricsSnapshot
from farmctl.metrics.sums import FleetSums
from farmctl.metrics.text import Dialect, Kind, header, label_block, samples


class Exporter:
    """Writes a snapshot out; keeps the label strings from one call to the next.

    Not for two threads at a time: whoever renders holds a lock.
    """

    def __init__(self, families: Sequence[Family] = FAMILIES) -> None:
        self._families = tuple(families)
        self._known: dict[str, tuple[str, Axes, list[str]]] = {}

    def render(self, snapshot: MetricsSnapshot, dialect: Dialect) -> str:
        """Every family with at least one known series; O(rows) in numpy, O(series) in Python."""
        sums = FleetSums(snapshot)
        parts: list[str] = []
        for family in self._families:
            lines = samples(self._prefixes(family, snapshot), family.values(sums))
            if lines:
                parts.append(header(family.name, family.kind, family.unit, family.help, dialect))
                parts.extend(lines)
        return "".join(parts)

    def _prefixes(self, family: Family, snapshot: MetricsSnapshot) -> list[str]:
        """Name and labels of every series; comparing the axes costs less than writing the strings again."""
        axes, site = family.axes(snapshot), snapshot.topology.site
        known = self._known.get(family.name)
        if known is not None and known[0] == site and known[1] == axes:
            return known[2]
        prefixes = [_prefix(family, site, key) for key in keys_of(axes)]
        self._known[family.name] = (site, axes, prefixes)
        return prefixes


def _prefix(family: Family, site: str, key: tuple[str, ...]) -> str:
    names, values, suffix = ("site", *family.labels), (site, *key), ""
    if family.kind is Kind.HISTOGRAM:
        suffix = "_bucket"
        if key[-1] in (COUNT, SUM):
            names, values, suffix = names[:-1], values[:-1], f"_{key[-1]}"
    return f"{family.name}{suffix}{label_block(names, values)} "
