"""What an order is about: the whole site, one circuit of it, or some miners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.circuits import under
from farmctl.core.fleet import FleetView
from farmctl.core.model import Override
from farmctl.core.units import MaskColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """At most one of the two is given; neither: the whole site."""

    circuit: str = ""
    miners: tuple[str, ...] = ()

    @classmethod
    def of(cls, order: Override) -> Scope:
        """What an override is about."""
        return cls(circuit=order.selector, miners=order.miners)

    @property
    def is_site(self) -> bool:
        """The whole site, by its meter."""
        return not (self.circuit or self.miners)

    def rows(self, view: FleetView) -> MaskColumn:
        """Its miners, shape (rows,)."""
        table = view.table
        if self.miners:
            return np.asarray(np.isin(table.miner_id, np.array(self.miners)), dtype=np.bool_)
        if self.circuit:
            inside: MaskColumn = under(view.circuits, {self.circuit})[table.node]
            return inside
        return np.ones(len(table), dtype=np.bool_)


SITE = Scope()
