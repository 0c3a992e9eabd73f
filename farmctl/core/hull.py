"""Upper concave hulls of ladders: the points worth standing on, and the price of every segment between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.fleet import LadderBook
from farmctl.core.units import FloatColumn, IntColumn


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Hulls:
    """Hulls of all ladders, padded; position 0 is sleep, segment j leads from position j-1 to j."""

    step: IntColumn
    """Shape (ladders, positions): ladder step of each hull position; the last one repeated beyond the end."""
    last: IntColumn
    """Shape (ladders,): highest position."""
    power_w: FloatColumn
    """Shape (ladders, positions): draw at each position, W."""
    rise_w: FloatColumn
    """Shape (ladders, positions): watts of the segment that ends there that grow with a miner's own scale."""
    first_w: FloatColumn
    """Shape (ladders, positions): the standby watts that the first segment replaces; 0 elsewhere."""
    price: FloatColumn
    """Shape (ladders, positions): worth per watt of the segment that ends there, falling; -inf where none does."""


def hulls(book: LadderBook, worth: FloatColumn) -> Hulls:
    """Hull of (power, worth) of every ladder; `worth` has shape (ladders, steps)."""
    chains = [_chain(book.power_w[n, : book.steps[n]], worth[n, : book.steps[n]]) for n in range(len(book.ladders))]
    width = max((len(chain) for chain in chains), default=1)
    step = np.zeros((len(chains), width), dtype=np.int64)
    price = np.full((len(chains), width), -np.inf)
    for number, chain in enumerate(chains):
        step[number] = chain[-1]
        step[number, : len(chain)] = chain
        watts, value = book.power_w[number, chain], worth[number, chain]
        price[number, 1 : len(chain)] = np.diff(value) / np.maximum(np.diff(watts), 1e-9)
    power_w = np.take_along_axis(book.power_w, step, axis=1) if chains else np.zeros((0, 1))
    rise_w, first_w = np.zeros_like(power_w), np.zeros_like(power_w)
    rise_w[:, 2:] = power_w[:, 2:] - power_w[:, 1:-1]
    rise_w[:, 1:2] = power_w[:, 1:2]
    first_w[:, 1:2] = power_w[:, :1]
    return Hulls(
        step=step,
        last=np.array([len(chain) - 1 for chain in chains], dtype=np.int64),
        power_w=power_w,
        rise_w=rise_w,
        first_w=first_w,
        price=price,
    )


def _chain(power_w: FloatColumn, worth: FloatColumn) -> list[int]:
    """Steps on the upper hull, from sleep upwards; points that hash no more for more watts are left out."""
    chain = [0]
    for step in range(1, len(power_w)):
        if worth[step] <= worth[chain[-1]]:
            continue
        while len(chain) > 1 and _slope(power_w, worth, chain[-2], chain[-1]) <= _slope(
            power_w, worth, chain[-2], step
        ):
            chain.pop()
        chain.append(step)
    return chain


def _slope(power_w: FloatColumn, worth: FloatColumn, start: int, end: int) -> float:
    rise_w = float(power_w[end] - power_w[start])
    return float(worth[end] - worth[start]) / max(rise_w, 1e-9)
