"""The most money for the watts: hash rate at the hash price, less the watts at the power price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from farmctl.core.fleet import FleetView
from farmctl.core.memory import RowMemory
from farmctl.core.units import HASHES_PER_TERAHASH, WATTS_PER_KW, CodeColumn, FloatColumn

if TYPE_CHECKING:
    from farmctl.core.policies import Policy

HOURS_PER_DAY = 24.0


class ProfitFirst:
    """Worth is margin per hour: what loses money goes first and comes last.

    It orders the fleet under the budget and never departs from a set-point; whether to run at all at a price is
    the strike rule of the price source.
    """

    def worth(self, view: FleetView) -> FloatColumn:
        """Revenue less energy of each step, currency per hour; 0 where a ladder has no such step."""
        book, rules = view.ladders, view.rules
        revenue = book.hash_rate_hs / HASHES_PER_TERAHASH * rules.hash_price_per_th_day / HOURS_PER_DAY
        known = book.hash_rate_hs > 0
        energy = book.power_w.copy()
        energy[~known] = 0.0
        return revenue - energy / WATTS_PER_KW * rules.power_price_per_kwh

    def weight(self, view: FleetView) -> FloatColumn:
        """A miner that draws more than its ladder says earns and costs more with it."""
        return view.table.power_scale

    def rank(self, view: FleetView) -> CodeColumn:
        """The operator's tiers."""
        return view.table.tier

    def at(self, view: FleetView, rows: RowMemory) -> Policy:
        """The price stands in the rules of the view."""
        del view, rows
        return self

    @override
    def __repr__(self) -> str:
        return "ProfitFirst()"
