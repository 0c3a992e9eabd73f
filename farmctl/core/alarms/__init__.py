"""What wants a person's response: which conditions hold, and the life of an alarm from raised to normal."""

from __future__ import annotations

from farmctl.core.alarms.board import EMPTY_BOARD, Alarm, AlarmBoard, AlarmChange, AlarmState
from farmctl.core.alarms.conditions import conditions, look
from farmctl.core.alarms.followed import Followed
from farmctl.core.alarms.kpis import AlarmKpis, kpis
from farmctl.core.alarms.life import advance, recent
from farmctl.core.alarms.nouns import AlarmKind, AlarmSource, Condition, Suppress, Truth
from farmctl.core.alarms.orders import AlarmRefusedError, NoSuchAlarmError, acknowledge, shelve, unshelve
from farmctl.core.alarms.scene import Scene, suppressions
from farmctl.core.alarms.yard import Yard

__all__ = [
    "EMPTY_BOARD",
    "Alarm",
    "AlarmBoard",
    "AlarmChange",
    "AlarmKind",
    "AlarmKpis",
    "AlarmRefusedError",
    "AlarmSource",
    "AlarmState",
    "Condition",
    "Followed",
    "NoSuchAlarmError",
    "Scene",
    "Suppress",
    "Truth",
    "Yard",
    "acknowledge",
    "advance",
    "conditions",
    "kpis",
    "look",
    "recent",
    "shelve",
    "suppressions",
    "unshelve",
]
