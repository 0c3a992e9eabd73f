"""One miner's line: when it is due, how often it failed in a row, and whether it is busy."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, field

from farmctl.core.model import MinerId
from farmctl.core.units import MS_PER_S
from farmctl.engine.journey import Journey
from farmctl.ports.devices import Device

LOST_AFTER = 2
"""Failures in a row after which a miner is called lost: one dropped reply is not news."""


@dataclass(slots=True, eq=False)
class Link:
    """State of the conversation with one miner; owned by the poller and the actuator together."""

    miner_id: MinerId
    row: int
    device: Device
    failures: int = 0
    due_ms: int = 0
    polling: asyncio.Task[None] | None = None
    commanding: bool = False
    ours: bool = True
    """This process polls and commands the miner; another may, where a site has several workers."""
    proved: bool = False
    """The miner that answers here is the one that the inventory names."""
    facts_due_ms: int = 0
    prepare_due_ms: int = 0
    """When its token or session is to be renewed, so that an urgent command finds one."""
    uptime_s: float = 0.0
    way: Journey | None = None
    """Of the last command, while it is not confirmed."""
    offset_ms: int = field(init=False)

    def __post_init__(self) -> None:
        """A stable slot in the sweep; crc32, because Python's own hash is salted per process."""
        self.offset_ms = zlib.crc32(self.miner_id.encode())

    @property
    def lost(self) -> bool:
        """The miner does not answer."""
        return self.failures >= LOST_AFTER

    def next_slot_ms(self, now_ms: int, interval_s: float) -> int:
        """The next time this miner's slot comes round, strictly after now."""
        interval_ms = max(int(interval_s * MS_PER_S), 1)
        phase = self.offset_ms % interval_ms
        return now_ms - (now_ms - phase) % interval_ms + interval_ms

    def backed_off_ms(self, now_ms: int, interval_s: float, longest_s: float) -> int:
        """1, 2, 4, ... intervals, jittered by the miner's own slot, never longer than `longest_s`."""
        wait_s = min(interval_s * 2.0 ** min(self.failures - 1, 16), longest_s)
        jitter = 0.75 + 0.25 * (self.offset_ms % 1000) / 1000
        return now_ms + int(wait_s * jitter * MS_PER_S)
