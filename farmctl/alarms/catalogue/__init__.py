"""One row per alarm: limit, delays, guard, what suppresses it, and what a person should know and do."""

from __future__ import annotations

from farmctl.alarms.catalogue import later, prompt, urgent
from farmctl.core.alarms import AlarmKind

ROWS: tuple[AlarmKind, ...] = (*urgent.ROWS, *prompt.ROWS, *later.ROWS)
"""Everything that can be raised; `source` says by whom."""

CATALOGUE: dict[str, AlarmKind] = {row.alarm: row for row in ROWS}
