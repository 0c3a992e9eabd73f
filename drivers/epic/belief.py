"""What one miner on PowerPlay is believed to be set to, and what it does by its summary."""

from __future__ import annotations

from math import isfinite, nan

from drivers.epic.wire import POWER_TUNE, Summary, Tune
from farmctl.core.model import MinerState

STANDBY_W = 200.0
"""Below this nothing mines: one board of an S19 draws five times as much."""

BOOT_S = 900.0
"""Started without a hash for longer is a fault; PowerPlay tunes voltages for minutes before the first one."""

SETTLE_POLLS = 3
"""Polls in which a new target may not show yet."""

IDLE = "Idling"
MINING = "Mining"
STOPPING = "Stopping"
TOLD_TO_RUN = "autostart"


class Belief:
    """Fed by polls and writes of one device."""

    __slots__ = (
        "_last_command",
        "_settling",
        "_starting_since_s",
        "commanded",
        "is_idle",
        "is_tuning",
        "original",
        "seen",
        "was_tuning",
    )

    def __init__(self) -> None:
        self.is_idle: bool | None = None
        self.is_tuning: bool | None = None
        """Whether perpetual tune works, as last seen while it mined: an idle miner tunes nothing."""
        self.was_tuning: bool | None = None
        """The same before we set a target; off means clocks and volts that the operator chose by hand."""
        self.original: Tune | None = None
        """The target that was found before we set one."""
        self.commanded: Tune | None = None
        self.seen: Tune | None = None
        """The target in the last summary."""
        self._last_command = ""
        self._settling = 0
        self._starting_since_s: float | None = None

    def told(self, command: str, now_s: float) -> None:
        """It took a stop or a start."""
        self._last_command = command
        self.is_idle = command != TOLD_TO_RUN
        self._starting_since_s = now_s if command == TOLD_TO_RUN else None

    def expect_tune(self, tune: Tune | None) -> None:
        """A target was set, or the operator's own given back."""
        self.commanded = tune
        self._settling = SETTLE_POLLS

    def learn(self, summary: Summary, now_s: float) -> MinerState:
        """Take in a summary and say what the machine does."""
        self._learn_tune(summary)
        self._last_command = summary.last_command or self._last_command
        self.is_idle = summary.operating in (IDLE, STOPPING) if summary.operating else None
        if summary.operating == MINING and summary.hash_rate_hs > 0:
            self._starting_since_s = None
            return MinerState.HASHING if self.setting in ("full", None) else MinerState.THROTTLED
        if self.is_idle is None:
            return MinerState.UNKNOWN
        if self.is_idle and self._last_command != TOLD_TO_RUN:
            self._starting_since_s = None
            return MinerState.CURTAILED if _rests(summary) else MinerState.UNKNOWN
        if summary.operating == STOPPING:
            return MinerState.UNKNOWN
        self._starting_since_s = now_s if self._starting_since_s is None else self._starting_since_s
        late = now_s - self._starting_since_s > BOOT_S
        # Told to run and idle: no pool (IdleOnConnectionLost), too hot, or not begun yet.
        return MinerState.FAULT if late or (self.is_idle and summary.errors) else MinerState.BOOTING

    @property
    def setting(self) -> str | None:
        """Where the device says it is set to, in the grammar of `OperatingPoint.setting`."""
        if self.is_idle is None:
            return None
        if self.is_idle and self._last_command != TOLD_TO_RUN:
            return "sleep"
        if self.seen is None or self.original is None or self.seen.setting == self.original.setting:
            return "full"
        return self.seen.setting

    @property
    def power_target_w(self) -> float:
        """Watts it tunes to; NaN where it tunes to a hash rate."""
        return float(self.seen.target) if self.seen is not None and self.seen.algorithm == POWER_TUNE else nan

    def tune_in_force(self) -> str | None:
        """Setting of the target that the device showed last, once it has had time to show it."""
        return None if self.seen is None or self._settling else self.seen.setting

    def _learn_tune(self, summary: Summary) -> None:
        if summary.operating == MINING:
            self.is_tuning = summary.is_tuning
        self._settling = max(0, self._settling - 1)
        self.seen = summary.tune
        if summary.tune is None:
            return
        if self.commanded is None:
            if self._settling == 0:
                self.original, self.was_tuning = summary.tune, self.is_tuning
        elif self._settling == 0 and summary.tune.setting != self.commanded.setting:
            self.commanded = None  # it did not take it, or somebody else set another


def _rests(summary: Summary) -> bool:
    """Asleep is what says so, hashes nothing and draws little; watts that are not told do not count against it."""
    if summary.hash_rate_hs > 0 or summary.operating == STOPPING:
        return False
    return summary.power_w < STANDBY_W if isfinite(summary.power_w) else True
