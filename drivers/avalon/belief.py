"""What one Avalon is believed to be set to, and what it does by its status of this moment."""

from __future__ import annotations

from math import isfinite

from drivers.avalon.wire import MODES, Stats
from farmctl.core.model import MinerState

BOARDS_OFF_W = 50.0
"""Supply output below which no board works: 0 W on a sleeping Q and A1346, 776 W already on a waking A1346."""

STANDBY_W = 200.0
"""The same at the wall, for firmware that tells no output: a sleeping Q was seen at 146 W."""

BOOT_S = 900.0
"""Awake without a hash for longer is a fault; a Q was back 229 s after a reboot."""

SETTLE_POLLS = 3
"""Polls in which a new work mode may not show yet."""

IDLE = "In Idle"
SLEEPS = range(1, 6)
"""SoftOFF of a machine that sleeps: 4 on a Q, 5 on an A1346; 6 is a boot and tells nothing."""


class Belief:
    """Fed by polls and writes of one device."""

    __slots__ = (
        "_awake_since_s",
        "_settling",
        "_told_asleep",
        "_told_until_s",
        "is_asleep",
        "mode",
        "original_mode",
        "seen_mode",
    )

    def __init__(self) -> None:
        self.is_asleep: bool | None = None
        self.mode: int | None = None
        """What `mode:NAME` set; None: the operator's own holds."""
        self.original_mode: int | None = None
        """The mode that was found before we set one."""
        self.seen_mode: int | None = None
        """What the last status said; None: this firmware does not tell."""
        self._settling = 0
        self._awake_since_s: float | None = None
        self._told_asleep = False
        self._told_until_s = 0.0

    def expect_soft(self, *, asleep: bool, until_s: float) -> None:
        """It was told to sleep or wake soon; until then its status says nothing about what comes."""
        self._told_asleep, self._told_until_s = asleep, until_s

    def expect_mode(self, mode: int | None) -> None:
        """A mode was set, or the operator's own given back."""
        self.mode = mode
        self._settling = SETTLE_POLLS

    def will_sleep(self, now_s: float) -> bool | None:
        """Whether it sleeps, or will as soon as what it was told takes effect."""
        return self._told_asleep if now_s < self._told_until_s else self.is_asleep

    def learn(self, stats: Stats, now_s: float) -> MinerState:
        """Take in a status and say what the machine does."""
        self._settling = max(0, self._settling - 1)
        self._learn_mode(stats.mode)
        says_asleep = stats.work == IDLE or stats.softoff in SLEEPS
        self.is_asleep = says_asleep if stats.work or stats.softoff is not None else None
        is_awake_idle = not says_asleep and bool(stats.work) and not hashes(stats)
        self._awake_since_s = (self._awake_since_s or now_s) if is_awake_idle else None
        if says_asleep:
            # On its way down, or lying: asleep is what hashes nothing and feeds no board.
            return MinerState.UNKNOWN if stats.hash_rate_hs > 0 or draws(stats) else MinerState.CURTAILED
        if hashes(stats):
            return MinerState.HASHING if self.setting in ("full", None) else MinerState.THROTTLED
        if self._awake_since_s is None:
            return MinerState.UNKNOWN
        return MinerState.FAULT if now_s - self._awake_since_s > BOOT_S else MinerState.BOOTING

    @property
    def setting(self) -> str | None:
        """Where the device says it is set to, in the grammar of `OperatingPoint.setting`."""
        if self.is_asleep is None:
            return None
        if self.is_asleep:
            return "sleep"
        mode = self.mode if self.seen_mode is None else self.seen_mode
        if mode is None or mode == self.original_mode or mode not in range(len(MODES)):
            return "full"
        return f"mode:{MODES[mode]}"

    def _learn_mode(self, mode: int | None) -> None:
        self.seen_mode = mode
        if mode is None:
            return
        if self.mode is None:
            if self._settling == 0:
                self.original_mode = mode
        elif self._settling == 0 and mode != self.mode:
            self.mode = None  # it did not take it, or somebody else set another


def hashes(stats: Stats) -> bool:
    """Whether it works now."""
    return stats.hash_rate_hs > 0 and draws(stats) is not False


def draws(stats: Stats) -> bool | None:
    """Whether the boards are fed; None where the supply tells nothing."""
    if isfinite(stats.output_w):
        return stats.output_w >= BOARDS_OFF_W
    return stats.power_w >= STANDBY_W if isfinite(stats.power_w) else None
