"""What a channel takes: priorities, repeats, quiet hours, and how much in an hour."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from farmctl.alarms.notify.message import Message
from farmctl.core.units import MS_PER_S

REPEAT_MS = 600_000
"""The same alarm at the same place is told again only after this; a P1 always."""
HOUR_MS = 3_600_000
ALWAYS = frozenset({"test", "channel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRules:
    """As the configuration says."""

    lowest_priority: int = 2
    lifecycle: bool = True
    quiet: tuple[int, int] | None = None
    """Minutes of the day, site time, in which nothing but P1 is sent."""
    per_hour: int = 60
    timezone: str = "UTC"


@dataclass(slots=True, kw_only=True)
class Sieve:
    """One channel's memory of what it has taken."""

    rules: ChannelRules
    _open: dict[str, int] = field(default_factory=dict)
    """Alarm -> when it was told to be raised; it has not been told to be back."""
    _told_ms: dict[str, int] = field(default_factory=dict)
    _sent: deque[int] = field(default_factory=deque)
    _held_back: int = 0

    def take(self, message: Message) -> tuple[Message, int] | None:
        """The message as it goes out, and when it is due; None: this channel does not want it."""
        if not self._wanted(message) or self._repeated(message):
            return None
        urgent = message.priority == 1 or message.kind in ALWAYS
        while self._sent and message.at_ms - self._sent[0] >= HOUR_MS:
            self._sent.popleft()
        if not urgent and len(self._sent) >= self.rules.per_hour:
            self._held_back += 1
            return None
        self._sent.append(message.at_ms)
        told, self._held_back = replace(message, held_back=self._held_back), 0
        return told, message.at_ms if urgent else quiet_until_ms(self.rules, message.at_ms)

    def _wanted(self, message: Message) -> bool:
        if message.kind in ALWAYS:
            return True
        if message.kind == "alarm":
            return message.priority <= self.rules.lowest_priority
        return self.rules.lifecycle

    def _repeated(self, message: Message) -> bool:
        """An end is told to those who heard the beginning; a beginning not twice within ten minutes."""
        if message.kind != "alarm":
            return False
        if message.ends:
            return self._open.pop(message.key, None) is None
        last_ms = self._told_ms.get(message.key)
        if message.key in self._open:
            return True
        if message.priority > 1 and last_ms is not None and message.at_ms - last_ms < REPEAT_MS:
            return True
        self._open[message.key] = self._told_ms[message.key] = message.at_ms
        return False


def quiet_until_ms(rules: ChannelRules, at_ms: int) -> int:
    """The end of the quiet hours that hold at a moment; the moment itself where none do."""
    if rules.quiet is None:
        return at_ms
    first, last = rules.quiet
    local = datetime.fromtimestamp(at_ms / MS_PER_S, UTC).astimezone(ZoneInfo(rules.timezone))
    minute = local.hour * 60 + local.minute
    inside = first <= minute < last if first < last else (minute >= first or minute < last)
    if not inside:
        return at_ms
    end = local.replace(hour=last // 60, minute=last % 60, second=0, microsecond=0)
    end = end if end > local else end + timedelta(days=1)
    return int(end.timestamp() * MS_PER_S)


def quiet_of(text: str | None) -> tuple[int, int] | None:
    """`22:00-06:00` in minutes of the day."""
    if text is None:
        return None
    first, last = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return first, last
