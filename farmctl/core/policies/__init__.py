"""How a budget becomes operating points: each policy says what a step is worth, the allocator does the rest."""

from __future__ import annotations

from typing import Protocol

from farmctl.core.fleet import FleetView
from farmctl.core.memory import RowMemory
from farmctl.core.policies.efficiency_first import EfficiencyFirst
from farmctl.core.policies.fair_rotation import FairRotation
from farmctl.core.policies.profit_first import ProfitFirst
from farmctl.core.units import CodeColumn, FloatColumn


class Policy(Protocol):
    """What the allocator asks of a policy."""

    def worth(self, view: FleetView) -> FloatColumn:
        """Worth of every ladder step, shape (ladders, steps); rising with the step, concave where it can be."""
        ...

    def weight(self, view: FleetView) -> FloatColumn:
        """Factor on the worth for every row, shape (rows,), positive."""
        ...

    def at(self, view: FleetView, rows: RowMemory) -> Policy:
        """The policy as it stands in this cycle; most are the same in every one."""
        ...

    def rank(self, view: FleetView) -> CodeColumn:
        """Coarse order before any worth, shape (rows,): higher is shed first and raised last."""
        ...


POLICIES: dict[str, Policy] = {
    "efficiency_first": EfficiencyFirst(),
    "fair_rotation": FairRotation(),
    "profit_first": ProfitFirst(),
}
