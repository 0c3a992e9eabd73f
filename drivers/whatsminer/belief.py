"""What one Whatsminer is believed to be set to, between two readings of its status."""

from __future__ import annotations

from math import isfinite, nan

from drivers.whatsminer.wire import MinerStatus, Summary
from farmctl.core.model import MinerState

STANDBY_W = 200.0
"""Below this nothing mines: the weakest board of any model draws more, fans and control board less."""

STATUS_EVERY = 60
"""Polls between two readings of status of a miner that mines: a percentage set by others is seen in minutes."""

ASLEEP_STATUS_EVERY = 6
"""The same for one that sleeps with its watts down, which is proof enough in between."""

SETTLE_POLLS = 3
"""Status is read this often after a write, before telemetry alone is believed."""

UP_FREQ_S = 900.0
"""Rising frequencies take 8-15 min at up-freq speed 5 (DEVICES.md 2.2); no hash rate after that is a fault."""


class Belief:
    """Fed by polls and writes of one device; believes nothing that telemetry contradicts."""

    __slots__ = (
        "_due_in",
        "_errors_due_in",
        "_settling",
        "_uptime_s",
        "commanded_limit_w",
        "errors",
        "is_off",
        "is_stable",
        "limit_w",
        "original_limit_w",
        "percent",
        "percent_needs_v2",
    )

    def __init__(self) -> None:
        self.is_off: bool | None = None
        self.percent: int | None = None
        self.is_stable: bool | None = None
        self.commanded_limit_w: int | None = None
        """What `watts:N` set; None: the operator's own limit holds."""
        self.limit_w = nan
        """The limit in the last summary or write, W."""
        self.original_limit_w = nan
        """The limit that was found before we set one, W."""
        self.percent_needs_v2 = False
        self.errors: tuple[str, ...] = ()
        """Of the last answer that told any or none."""
        self._due_in = self._errors_due_in = 0
        self._settling = 0
        self._uptime_s = nan

    def expect_change(self) -> None:
        """A write is on its way: read status with the next polls."""
        self._settling = SETTLE_POLLS

    def learn_summary(self, summary: Summary) -> None:
        """Take in a summary."""
        self._due_in -= 1
        self._errors_due_in -= 1
        if summary.errors is not None:
            self.errors = summary.errors
        if summary.uptime_s < self._uptime_s:
            self._due_in = 0
            self.percent = None  # it restarted, and a percentage does not survive that
        self._uptime_s = summary.uptime_s
        self.is_stable = summary.is_stable
        if summary.percent is not None:
            self.percent = summary.percent
        limit_w = summary.power_limit_w
        if isfinite(limit_w):
            self.limit_w = limit_w
            if self.commanded_limit_w is None:
                self.original_limit_w = limit_w
            elif self._settling == 0 and limit_w != self.commanded_limit_w:
                self.commanded_limit_w = None  # somebody else set another

    def needs_status(self, summary: Summary) -> bool:
        """Whether the summary alone does not tell what the miner is set to."""
        if self._settling:
            self._settling -= 1
            return True
        if _mines(summary):
            return self._due_in <= 0 or self.is_off is True
        return self._due_in <= 0 or not self.is_off or not summary.power_w < STANDBY_W

    def needs_errors(self, summary: Summary) -> bool:
        """Whether the codes have to be asked for: the summary tells none, and they are old."""
        if summary.errors is not None or self.is_off:
            return False
        if not _mines(summary):
            self._errors_due_in = min(self._errors_due_in, ASLEEP_STATUS_EVERY)
        return self._errors_due_in <= 0

    def learn_errors(self, codes: tuple[str, ...] | None, summary: Summary) -> None:
        """Take in the codes; None: they could not be read, and the old ones stand."""
        self.errors = self.errors if codes is None else codes
        self._errors_due_in = STATUS_EVERY if _mines(summary) else ASLEEP_STATUS_EVERY

    def learn_status(self, status: MinerStatus | None, summary: Summary | None = None) -> None:
        """Take in a status; None: it could not be read, so what it would tell is unknown."""
        if status is None:
            self.is_off = None
            return
        self.is_off = status.is_off
        if status.is_off is None and summary is not None and _mines(summary):
            self.is_off = False  # firmware without the field, but the watts tell
        self.percent = status.percent if status.percent is not None else self.percent
        self._due_in = ASLEEP_STATUS_EVERY if status.is_off else STATUS_EVERY

    @property
    def setting(self) -> str | None:
        """Where the device says it is set to, in the grammar of `OperatingPoint.setting`."""
        if self.is_off is None:
            return None
        if self.is_off:
            return "sleep"
        if self.percent is not None and self.percent < 100:  # noqa: PLR2004 - a percentage
            return f"percent:{self.percent}"
        if self.commanded_limit_w is not None:
            return f"watts:{self.commanded_limit_w}"
        return "full"

    def state(self, summary: Summary) -> MinerState:
        """What the miner does: its watts and hashes first, what it says about itself second."""
        if _mines(summary):
            return MinerState.HASHING if self.setting in ("full", "sleep", None) else MinerState.THROTTLED
        if self.is_off is None:
            return MinerState.UNKNOWN
        if self.is_off:
            # On its way down, or lying: off is what draws nothing.
            return MinerState.UNKNOWN if summary.power_w >= STANDBY_W else MinerState.CURTAILED
        if self.errors or summary.uptime_s > UP_FREQ_S:
            return MinerState.FAULT
        return MinerState.BOOTING


def _mines(summary: Summary) -> bool:
    """Whether it works, by watts where it tells them: hash rates are means that outlive the work."""
    if isfinite(summary.power_w):
        return summary.power_w >= STANDBY_W and summary.hash_rate_hs > 0
    return summary.hash_rate_hs > 0
