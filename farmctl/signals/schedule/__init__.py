"""A schedule in a file: standing limits and targets by date or by weekday, read again when the file changes."""

from __future__ import annotations

from farmctl.signals.schedule.source import ScheduleConfig, ScheduleSource

__all__ = ["ScheduleConfig", "ScheduleSource"]
