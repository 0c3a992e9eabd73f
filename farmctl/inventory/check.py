"""Is this inventory fit for this site? Pure: rows, circuits and known names in, faults out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from farmctl.core.circuits import node_load_w
from farmctl.core.fleet import CircuitTree
from farmctl.core.model import MinerId
from farmctl.inventory.fault import Fault, Severity, did_you_mean
from farmctl.ports.store import InventoryRow

W_PER_KW = 1_000.0

FullPower = Callable[[InventoryRow], float | None]
"""Draw of a miner at full, W; None where no ladder is known for it."""


def check_rows(
    rows: Sequence[InventoryRow],
    *,
    tree: CircuitTree,
    drivers: Iterable[str],
    file: str = "inventory",
    lines: Mapping[MinerId, int] | None = None,
) -> list[Fault]:
    """Every row that cannot be polled or placed, or that two miners claim."""
    checker = _Checker(file, lines or {})
    return [
        *checker.repeated(rows),
        *checker.unknown(rows, "driver", frozenset(drivers)),
        *checker.unknown(rows, "circuit", frozenset(tree.names)),
    ]


def check_nameplates(
    rows: Sequence[InventoryRow], *, tree: CircuitTree, full_w: FullPower, file: str = "inventory"
) -> list[Fault]:
    """Warnings: circuits whose miners could together draw more than the rating, and miners without a ladder.

    More miners than a circuit carries is allowed, since the limit tree holds them down; but it should be meant.
    """
    node = {name: index for index, name in enumerate(tree.names)}
    placed = [(node[row.circuit], full_w(row)) for row in rows if row.circuit in node]
    nodes = np.array([index for index, _ in placed], dtype=np.int64)
    watts = np.array([full or 0.0 for _, full in placed], dtype=np.float64)
    loads_w = node_load_w(tree, nodes, watts)
    found = [
        _warning(file, name, f"miners draw up to {load / W_PER_KW:.1f} kW, rated {rating / W_PER_KW:.1f} kW")
        for name, load, rating in zip(tree.names, loads_w.tolist(), tree.rating_w.tolist(), strict=True)
        if load > rating
    ]
    blind = sorted({(row.driver, row.model, row.firmware) for row in rows if full_w(row) is None})
    found += [
        _warning(file, " ".join(part for part in which if part), "no ladder for this model: watched, never commanded")
        for which in blind
    ]
    return found


class _Checker:
    """Makes faults of one file's rows."""

    def __init__(self, file: str, lines: Mapping[MinerId, int]) -> None:
        self._file = file
        self._lines = lines

    def repeated(self, rows: Sequence[InventoryRow]) -> Iterator[Fault]:
        miners: set[MinerId] = set()
        endpoints: dict[tuple[str, tuple[tuple[str, int], ...]], MinerId] = {}
        for row in rows:
            if row.miner_id in miners:
                yield self._fault(row, "miner_id", "expected each miner once")
            miners.add(row.miner_id)
            endpoint = (row.host, tuple(sorted(row.ports.items())))
            other = endpoints.setdefault(endpoint, row.miner_id)
            if other != row.miner_id:
                yield self._fault(row, "host", f"expected an endpoint of its own, {row.host} is also that of {other}")

    def unknown(self, rows: Sequence[InventoryRow], column: str, known: frozenset[str]) -> Iterator[Fault]:
        for row in rows:
            name = getattr(row, column)
            if name not in known:
                hint = did_you_mean(name, known) or f"; known: {', '.join(sorted(known)) or 'none'}"
                got = f'got "{name}"' if name else "it has none"
                yield self._fault(row, column, f"expected a known {column}, {got}{hint}")

    def _fault(self, row: InventoryRow, column: str, expected: str) -> Fault:
        line = self._lines.get(row.miner_id, 0)
        return Fault(file=self._file, line=line, key=f"{row.miner_id}: {column}", expected=expected)


def _warning(file: str, key: str, text: str) -> Fault:
    return Fault(file=file, line=0, key=key, expected=text, severity=Severity.WARNING)
