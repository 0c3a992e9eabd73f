"""What is listed: the text of a filter, and faults only; it stays while the screens change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.units import MaskColumn
from farmctl.ports.feed import Feed, FleetImage
from farmctl.tui.words import FAULTY

BIG_FLEET = 1_000
"""From here on a list of everything is of no use to anybody: faults only is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter; `faults_only` None: nobody has chosen, the size of the fleet decides."""

    text: str = ""
    chosen: bool | None = None

    def faults_only(self, image: FleetImage | None) -> bool:
        """Only what is work for somebody."""
        if self.chosen is not None:
            return self.chosen
        return not self.text and image is not None and len(image.ids) >= BIG_FLEET

    def mask(self, image: FleetImage, feed: Feed) -> MaskColumn | None:
        """Rows to list, None for all. Raises RefusedError for a text that cannot be read."""
        mask = feed.matching(image, self.text) if self.text else None
        if not self.faults_only(image):
            return mask
        faulty = np.zeros(len(image.ids), dtype=np.bool_)
        states = image.words.get("state")
        for word in FAULTY:
            faulty |= False if states is None else states.where(word)
        return faulty if mask is None else mask & faulty
