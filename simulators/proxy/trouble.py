"""What can happen to a connection, and a seeded script of when it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Trouble(StrEnum):
    """One way in which a path fails; `amount` of its spell says how badly."""

    LATENCY = "latency"
    """Everything arrives `amount` seconds later, in order."""
    RESET = "reset"
    """Both ends get a RST: at the opening, or at the next bytes."""
    HALF_OPEN = "half_open"
    """The far end is gone and the near end is never told: bytes vanish, the connection stays open."""
    SLOW_DRIP = "slow_drip"
    """Answers come `amount` bytes a second."""
    TRUNCATE = "truncate"
    """Only this share of the next bytes of the far end arrives, then the connection ends in order."""
    CORRUPT = "corrupt"
    """This share of the bytes of the far end, one at least, arrives changed."""


ALL_TROUBLE = tuple(Trouble)
AMOUNTS = {
    Trouble.LATENCY: (0.05, 1.5),
    Trouble.RESET: (1.0, 1.0),
    Trouble.HALF_OPEN: (1.0, 1.0),
    Trouble.SLOW_DRIP: (100.0, 4_000.0),
    Trouble.TRUNCATE: (0.0, 0.95),
    Trouble.CORRUPT: (0.0, 0.02),
}
"""Between what a spell's amount is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """One trouble for a while; times are seconds since the proxy opened."""

    trouble: Trouble
    start_s: float
    end_s: float
    amount: float


def script(
    seed: str, *, every_s: float, for_s: float, kinds: Sequence[Trouble] = ALL_TROUBLE, after_s: float = 0.0
) -> Iterator[Spell]:
    """Spells without end, none overlapping, the same for the same seed.

    Calm lasts `every_s` on average and trouble `for_s`, both drawn from exponential distributions.
    """
    dice = Random(seed)  # noqa: S311 - a story, not a secret
    at_s = after_s
    while True:
        start_s = at_s + dice.expovariate(1.0 / every_s)
        at_s = start_s + dice.expovariate(1.0 / for_s)
        trouble = dice.choice(kinds)
        yield Spell(trouble=trouble, start_s=start_s, end_s=at_s, amount=dice.uniform(*AMOUNTS[trouble]))
