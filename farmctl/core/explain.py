"""One reason for every row: why it is not at full, or that it is."""

from __future__ import annotations

import numpy as np

from farmctl.core.allocate import Allocation
from farmctl.core.confirm import Seen
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import Standing
from farmctl.core.reasons import CODE, Reason
from farmctl.core.units import CodeColumn, MaskColumn


def row_reasons(
    view: FleetView, seen: Seen, allocation: Allocation, *, ramping: bool, stopped: bool, held: MaskColumn
) -> CodeColumn:
    """Codes of `Reason`, shape (rows,); the later, more particular reason wins.

    `held`: rows under a circuit that an operator holds.
    """
    table, rows = view.table, seen.rows
    step, top = allocation.step, seen.top
    below = (step >= 0) & (step < top)
    codes = np.full(len(table), CODE[Reason.FULL], dtype=np.int16)

    def mark(where: MaskColumn, reason: Reason) -> None:
        codes[where] = CODE[reason]

    mark(below & (step > 0), Reason.THROTTLED_TO_FIT)
    mark(below & (step == 0), Reason.CURTAILED)
    if ramping:
        mark(below, Reason.RAMP_UP)
    if ramping or allocation.room_left_w > 0:
        mark(below & (step == 0) & allocation.min_off, Reason.MIN_OFF)
    mark(below & allocation.wake_held, Reason.WAKE_STAGGER)
    mark(below & allocation.circuit_held, Reason.CIRCUIT_LIMIT)
    mark(below & held, Reason.OVERRIDE)
    mark(below & (table.maintained | view.maintenance), Reason.MAINTENANCE)
    if stopped:
        mark(below, Reason.STOP_ALL)
    mark(allocation.min_on & below & (step > 0), Reason.MIN_ON)
    mark(table.protected & below, Reason.PROTECTED)
    mark(allocation.guards.faulty & below, Reason.FAULTY)
    mark(rows.standing == Standing.PENDING, Reason.UNCONFIRMED)
    mark(allocation.guards.hot & below, Reason.TOO_HOT)
    mark(rows.standing == Standing.GAVE_UP, Reason.GAVE_UP)
    mark(~table.commandable, Reason.OBSERVE_ONLY)
    mark(table.ladder == NO_LADDER, Reason.NO_LADDER)
    mark(~seen.fresh, Reason.UNREACHABLE)
    return codes
