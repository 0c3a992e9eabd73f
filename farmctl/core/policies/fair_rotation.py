"""Everybody's turn: who has been curtailed least gives way first, who has been curtailed most comes back first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from farmctl.core.fleet import FleetView
from farmctl.core.memory import RowMemory
from farmctl.core.policies.efficiency_first import EfficiencyFirst
from farmctl.core.units import CodeColumn

if TYPE_CHECKING:
    from farmctl.core.policies import Policy

TURN_S = 900.0
"""Rows whose time asleep differs by less than this are equals, and the better J/TH runs on."""
TURNS = 64


class FairRotation(EfficiencyFirst):
    """Worth is hash rate; after the tiers comes the time that a row has been asleep by order, halved every day.

    For hosted miners whose owners share the downtime. Nobody is moved for a turn alone: it decides who moves when
    the load does, so it costs no wear.
    """

    @override
    def at(self, view: FleetView, rows: RowMemory) -> Policy:
        turn = np.minimum(rows.curtailed_s / TURN_S, TURNS - 1).astype(np.int64)
        order = view.table.tier.astype(np.int64) * TURNS + (TURNS - 1 - turn)
        return _InTurn(order=order.astype(np.int16))

    @override
    def __repr__(self) -> str:
        return "FairRotation()"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _InTurn(EfficiencyFirst):
    """The rotation as it stands in one cycle."""

    order: CodeColumn

    @override
    def rank(self, view: FleetView) -> CodeColumn:
        return self.order
