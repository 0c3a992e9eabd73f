"""One path: where it listens, where it leads, and what is wrong with it at this moment."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from simulators.proxy.trouble import Spell, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = tuple[str, int]


class Route:
    """A listening address and the address behind it."""

    def __init__(self, listen: Address, target: Address, spells: Iterator[Spell] | None = None) -> None:
        """Port 0 picks a free one; `listen` then tells which. Without spells only what is put is wrong."""
        self.listen = listen
        self.target = target
        self.hits: Counter[Trouble] = Counter()
        """How often each trouble touched a connection."""
        self.opened = 0
        self.open_now = 0
        self.dice = Random(f"{listen}")  # noqa: S311 - which bytes are changed, not a secret
        self._spells = iter(()) if spells is None else spells
        self._next = next(self._spells, None)
        self._forced: Spell | None = None
        self._born_s = time.monotonic()

    def now(self) -> Spell | None:
        """What is wrong now; None: nothing."""
        now_s = time.monotonic() - self._born_s
        if self._forced is not None and now_s < self._forced.end_s:
            return self._forced
        while self._next is not None and self._next.end_s <= now_s:
            self._next = next(self._spells, None)
        return self._next if self._next is not None and self._next.start_s <= now_s else None

    def put(self, trouble: Trouble, amount: float = 1.0, *, for_s: float = 1e12) -> None:
        """Make trouble from now on, whatever the script says."""
        now_s = time.monotonic() - self._born_s
        self._forced = Spell(trouble=trouble, start_s=now_s, end_s=now_s + for_s, amount=amount)

    def clear(self) -> None:
        """Back to the script."""
        self._forced = None

    def calm(self) -> None:
        """The script ends here."""
        self._forced = self._next = None
        self._spells = iter(())
