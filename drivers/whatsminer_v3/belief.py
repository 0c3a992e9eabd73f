"""What one Whatsminer of API v3 is believed to be set to, between two readings of its device info."""

from __future__ import annotations

from math import isfinite, nan

from drivers.whatsminer_v3.wire import Info, Summary
from farmctl.core.model import MinerState

STANDBY_W = 200.0
"""Below this nothing mines: the weakest board of any model draws more, fans and control board less."""

INFO_EVERY = 60
"""Polls between two readings of the info of a miner that mines: errors and a percentage set by others."""

ASLEEP_INFO_EVERY = 6
"""The same for one that sleeps with its watts down, which is proof enough in between."""

SETTLE_POLLS = 3
"""Info is read this often after a write, before telemetry alone is believed."""

UP_FREQ_S = 900.0
"""Rising frequencies take 8-15 min at up-freq speed 5 (DEVICES.md 2.2); working without a hash for longer is a fault.

By our own clock: `elapsed` of firmware that only paused its miner goes on counting.
"""

SLACK = 1.1
"""A percentage that we set and the device does not repeat is believed while the watts are at most this above it."""


class Belief:
    """Fed by polls and writes of one device; believes nothing that telemetry contradicts."""

    __slots__ = (
        "_due_in",
        "_settling",
        "_starting_since_s",
        "_uptime_s",
        "commanded_limit_w",
        "commanded_percent",
        "errors",
        "is_stable",
        "is_working",
        "limit_w",
        "original_limit_w",
        "percent",
        "power_w",
    )

    def __init__(self) -> None:
        self.is_working: bool | None = None
        self.is_stable: bool | None = None
        self.percent: int | None = None
        """What the device says; None: nothing."""
        self.commanded_percent: int | None = None
        """What we set since the mining process started; a restart forgets it (vendor's manual)."""
        self.commanded_limit_w: int | None = None
        """What `watts:N` set; None: the operator's own limit holds."""
        self.limit_w = nan
        self.original_limit_w = nan
        """The limit that was found before we set one, W."""
        self.power_w = nan
        self.errors: tuple[str, ...] = ()
        self._due_in = 0
        self._settling = 0
        self._uptime_s = nan
        self._starting_since_s: float | None = None

    def expect_change(self) -> None:
        """A write is on its way: read info with the next polls."""
        self._settling = SETTLE_POLLS

    def learn_summary(self, summary: Summary) -> None:
        """Take in a summary."""
        self._due_in -= 1
        if summary.uptime_s < self._uptime_s:
            self._due_in = 0
            self.percent = self.commanded_percent = None
        self._uptime_s = summary.uptime_s
        self.is_stable = summary.is_stable
        self.power_w = summary.power_w
        limit_w = summary.power_limit_w
        if isfinite(limit_w):
            self.limit_w = limit_w
            if self.commanded_limit_w is None:
                self.original_limit_w = limit_w
            elif self._settling == 0 and limit_w != self.commanded_limit_w:
                self.commanded_limit_w = None  # somebody else set another

    def needs_info(self, summary: Summary) -> bool:
        """Whether the summary alone does not tell what the miner is set to."""
        if self._settling:
            self._settling -= 1
            return True
        if mines(summary):
            return self._due_in <= 0 or self.is_working is False
        return self._due_in <= 0 or self.is_working is not False or not summary.power_w < STANDBY_W

    def learn_info(self, info: Info | None) -> None:
        """Take in an info; None: it could not be read, so what it would tell is unknown."""
        if info is None:
            self.is_working = None
            return
        self.is_working = info.is_working
        self.percent = info.percent
        self.errors = info.errors
        self._due_in = INFO_EVERY if info.is_working else ASLEEP_INFO_EVERY

    @property
    def throttle(self) -> int | None:
        """Percentage in force: the device's word first, ours while the watts agree with it."""
        if self.percent is not None:
            return self.percent
        ours = self.commanded_percent
        if ours is None or not self.power_w <= SLACK * self.limit_w * ours / 100:
            return None
        return ours

    @property
    def setting(self) -> str | None:
        """Where the device is set to, in the grammar of `OperatingPoint.setting`."""
        if self.is_working is None:
            return None
        if not self.is_working:
            return "sleep"
        if self.throttle is not None:
            return f"percent:{self.throttle}"
        if self.commanded_limit_w is not None:
            return f"watts:{self.commanded_limit_w}"
        return "full"

    def state(self, summary: Summary, now_s: float) -> MinerState:
        """What the miner does: its watts and hashes first, what it says about itself second."""
        is_starting = bool(self.is_working) and not mines(summary)
        self._starting_since_s = (self._starting_since_s or now_s) if is_starting else None
        if mines(summary):
            return MinerState.HASHING if self.setting in ("full", "sleep", None) else MinerState.THROTTLED
        if self._starting_since_s is not None:
            late = now_s - self._starting_since_s > UP_FREQ_S
            return MinerState.FAULT if self.errors or late else MinerState.BOOTING
        # On its way down, or lying: off is what draws nothing. Watts that are not told do not count against it.
        rests = self.is_working is False and not summary.power_w >= STANDBY_W
        return MinerState.CURTAILED if rests else MinerState.UNKNOWN


def mines(summary: Summary) -> bool:
    """Whether it works, by watts where it tells them: hash rates are means that outlive the work."""
    if isfinite(summary.power_w):
        return summary.power_w >= STANDBY_W and summary.hash_rate_hs > 0
    return summary.hash_rate_hs > 0
