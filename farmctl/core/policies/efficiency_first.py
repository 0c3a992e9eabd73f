"""The most hash rate for the watts: what hashes least per watt is shed first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from farmctl.core.fleet import FleetView
from farmctl.core.memory import RowMemory
from farmctl.core.units import CodeColumn, FloatColumn

if TYPE_CHECKING:
    from farmctl.core.policies import Policy


class EfficiencyFirst:
    """Worth is hash rate; tiers come before it."""

    def worth(self, view: FleetView) -> FloatColumn:
        """Hash rate of each step, H/s."""
        return view.ladders.hash_rate_hs

    def weight(self, view: FleetView) -> FloatColumn:
        """A miner that draws more than its ladder says hashes more with it."""
        return view.table.power_scale

    def rank(self, view: FleetView) -> CodeColumn:
        """The operator's tiers."""
        return view.table.tier

    def at(self, view: FleetView, rows: RowMemory) -> Policy:
        """The same at any moment."""
        del view, rows
        return self

    @override
    def __repr__(self) -> str:
        return "EfficiencyFirst()"
