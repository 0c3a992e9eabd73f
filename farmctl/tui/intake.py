"""Images as they come in, merged until the glass has time for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from farmctl.core.units import IntColumn
from farmctl.ports.feed import FleetImage


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arrived:
    """The newest image, and every row that differs from the last one that was taken out."""

    image: FleetImage
    changed: IntColumn | None
    at_s: float
    """When it came, by the local clock."""


class Intake:
    """At most one image waits; a newer one takes its place and inherits its changes."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._waiting: Arrived | None = None

    def put(self, image: FleetImage) -> None:
        """A newer image."""
        before = self._waiting
        changed = image.changed
        if before is not None:
            same = before.image.epoch == image.epoch
            changed = _both(before.changed, changed) if same else None
        self._waiting = Arrived(image=image, changed=changed, at_s=self._now_s())

    def take(self) -> Arrived | None:
        """What waits, once."""
        waiting, self._waiting = self._waiting, None
        return waiting


def _both(first: IntColumn | None, second: IntColumn | None) -> IntColumn | None:
    """Rows of either; anything where one of them may be anything."""
    if first is None or second is None:
        return None
    rows: IntColumn = np.union1d(first, second)
    return rows
