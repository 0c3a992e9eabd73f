"""What explains alarms away; a maintenance permit hides all but what endangers people, circuits or the order."""

from __future__ import annotations

from farmctl.core.alarms import Suppress

UPKEEP = frozenset({Suppress.MAINTENANCE})
MOVING = frozenset({Suppress.MAINTENANCE, Suppress.RAMPING})
HASHING = frozenset({Suppress.MAINTENANCE, Suppress.RAMPING, Suppress.WARM_UP, Suppress.CURTAILED})
