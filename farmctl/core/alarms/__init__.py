"""What wants a person's response: which conditions hold, and the life of an alarm from raised to normal."""

from __future__ import annotations

from farmctl.core.alarms.board import EMPTY_BOARD, Alarm, AlarmBoard, AlarmChange, AlarmState
from farmctl.core.alarms.conditions import conditions, look
from farmctl.core.alarms.nouns import AlarmKind, Condition, Suppress, Truth

__all__ = [
    "EMPTY_BOARD",
    "Alarm",
    "AlarmBoard",
    "AlarmChange",
    "AlarmKind",
    "AlarmState",
    "Condition",
    "Suppress",
    "Truth",
    "conditions",
    "look",
]
