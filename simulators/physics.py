"""Power, hash rate and temperature of N miners as columns: pure, told how much time went by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.personality import Personality

FloatColumn = NDArray[np.float64]
MaskColumn = NDArray[np.bool_]

AMBIENT_SWING = 0.07
"""The same miner at fixed settings drew 7.3 % more and less over one day's ambient temperature."""

AMBIENT_SPAN_C = (10.0, 40.0)
"""Over which range of ambient temperature that drift is spread."""

INRUSH_SHARE = 0.03
"""Start-up draws this much above the settled draw (vendors: start-up exceeds rated draw)."""

BOOT_DRAW_W = 15.0
"""Control board alone while the firmware boots."""

CHIP_TAU_S = 60.0
"""Time constant of the heat sinks."""

MINUTE_TAU_S, QUARTER_TAU_S = 20.0, 300.0
"""Lag of the one- and fifteen-minute hash rates that miners report."""

CHIP_RISE_C = 45.0
"""Chip above ambient at full power, air cooling."""

DAY_S = 86_400.0
"""Period of the ambient temperature."""

MAX_SUBSTEP_S = 5.0
"""Longer steps are split so that a boot that ends inside one is not lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warming:
    """Air that gets warmer by `rise_c` in `over_s` device seconds, and stays so; 30 C is AMBIENT_SWING more draw."""

    rise_c: float = 0.0
    over_s: float = 1.0

    def rise_at_c(self, age_s: float) -> float:
        """Degrees above where it began."""
        return self.rise_c * min(age_s / self.over_s, 1.0)


class Fleet:
    """The state of N miners; row i belongs to miner i for the life of the world.

    Watts are at the plug.  `level_w` is the operating point asked for while awake; `asleep`,
    `boot_left_s` and `restart_left_s` override it.  `power_w`, `hash_ths`, `chip_c` are results.
    """

    def __init__(  # noqa: PLR0913 - one parameter per property of the air and the machines
        self,
        personalities: Sequence[Personality],
        *,
        rng: np.random.Generator,
        ambient_c: float = 25.0,
        ambient_swing_c: float = 0.0,
        warming_c: float = 0.0,
        warming_s: float = 1.0,
        time_scale: float = 1.0,
        spread: float = 0.015,
    ) -> None:
        n = len(personalities)
        self.size = n
        self.time_scale = time_scale
        self.mean_ambient_c = ambient_c
        self.ambient_swing_c = ambient_swing_c
        self.warming = Warming(rise_c=warming_c, over_s=warming_s)
        self.ambient_c = ambient_c
        self.age_s = 0.0
        self.full_w = _column([p.full_w for p in personalities])
        self.full_ths = _column([p.full_ths for p in personalities])
        self.standby_w = _column([p.standby_w for p in personalities])
        self.exponent = _column([p.hash_exponent for p in personalities])
        self.down_s = _column([p.down_s for p in personalities])
        self.up_s = _column([p.up_s for p in personalities])
        self.adjust_s = _column([p.adjust_s for p in personalities])
        self.efficiency = np.clip(rng.normal(1.0, spread, n), 1 - 3 * spread, 1 + 3 * spread)
        self.local_ambient_c = rng.normal(0.0, 1.5, n) if spread else np.zeros(n)
        self.level_w = self.full_w.copy()
        self.level_ths = self.full_ths.copy()
        self.asleep: MaskColumn = np.zeros(n, dtype=np.bool_)
        self.stuck: MaskColumn = np.zeros(n, dtype=np.bool_)
        self.boot_left_s = np.zeros(n)
        self.restart_left_s = np.zeros(n)
        self.warm = np.ones(n)
        self.uptime_s = np.full(n, 50_000.0)
        self.power_w = self.settled_w()
        self.hash_ths = self._hash_goal()
        self.hash_1m_ths = self.hash_ths.copy()
        self.hash_15m_ths = self.hash_ths.copy()
        self.chip_c = self._chip_goal()

    def step(self, dt_s: float) -> None:
        """Advance by `dt_s` of the observer's seconds, i.e. dt_s * time_scale of the device's."""
        device_s = dt_s * self.time_scale
        parts = max(1, math.ceil(device_s / MAX_SUBSTEP_S))
        for _ in range(parts):
            self._substep(device_s / parts)

    def total_power_w(self) -> float:
        """True sum at the plugs, W."""
        return float(self.power_w.sum())

    def drift(self) -> FloatColumn:
        """Factor on power by ambient temperature: 1 in the middle, AMBIENT_SWING over the span."""
        low, high = AMBIENT_SPAN_C
        place = (self.ambient_c + self.local_ambient_c - low) / (high - low)
        return np.asarray(1 + AMBIENT_SWING * (np.clip(place, 0.0, 1.0) - 0.5))

    def booting(self) -> MaskColumn:
        """Which rows have no firmware running; shape (n,), bool."""
        return self.boot_left_s > 0

    def settled_w(self) -> FloatColumn:
        """Where power is heading, W, without the inrush."""
        awake_w = self.level_w * self.efficiency * self.drift()
        return np.where(self._resting(), self.standby_w, np.maximum(awake_w, self.standby_w))

    def aim(self, row: int, level_w: float, level_ths: float | None = None) -> None:
        """Set the operating point of a row, W before spread and drift.

        Without a hash rate it follows from the power share and the personality's exponent.
        """
        self.level_w[row] = level_w
        share = level_w / self.full_w[row]
        derived_ths = self.full_ths[row] * share ** self.exponent[row]
        self.level_ths[row] = derived_ths if level_ths is None else level_ths

    def restart(self, row: int, off_s: float) -> None:
        """Take a row through zero: off for `off_s` device seconds, then warming up again."""
        self.restart_left_s[row] = off_s

    def reboot(self, row: int, *, boot_s: float) -> None:
        """Drop a row at once; after `boot_s` device seconds it follows its level or sleeps."""
        self.boot_left_s[row] = boot_s
        self.restart_left_s[row] = 0.0
        self.power_w[row] = min(self.power_w[row], BOOT_DRAW_W)
        self.hash_ths[row] = 0.0

    def settle(self, row: int) -> None:
        """Put a row where it is heading, without a ramp: for the start of a world."""
        self.warm[row] = 0.0 if self._resting()[row] else 1.0
        self.power_w[row] = self.settled_w()[row]
        self.hash_ths[row] = self._hash_goal()[row]
        self.hash_1m_ths[row] = self.hash_15m_ths[row] = self.hash_ths[row]
        self.chip_c[row] = self._chip_goal()[row]

    def _resting(self) -> MaskColumn:
        return self.asleep | self.stuck | (self.restart_left_s > 0) | (self.boot_left_s > 0)

    def _substep(self, dt_s: float) -> None:
        self._pass_time(dt_s)
        booting = self.booting()
        resting = self._resting()
        inrush = np.where(resting, 1.0, 1 + INRUSH_SHARE * (1 - self.warm))
        goal_w = np.where(booting, BOOT_DRAW_W, self.settled_w() * inrush)
        waking = self.warm < 1.0
        up_w = self.full_w * dt_s / np.where(waking, self.up_s, self.adjust_s)
        down_w = self.full_w * dt_s / np.where(resting, self.down_s, self.adjust_s)
        self.power_w += np.clip(goal_w - self.power_w, -down_w, up_w)
        self.warm = np.where(resting, 0.0, np.minimum(1.0, self.warm + dt_s / self.up_s))
        self.hash_ths = np.where(resting, 0.0, self._hash_goal())
        self.hash_1m_ths += (self.hash_ths - self.hash_1m_ths) * _blend(dt_s, MINUTE_TAU_S)
        self.hash_15m_ths += (self.hash_ths - self.hash_15m_ths) * _blend(dt_s, QUARTER_TAU_S)
        self.chip_c += (self._chip_goal() - self.chip_c) * _blend(dt_s, CHIP_TAU_S)

    def _pass_time(self, dt_s: float) -> None:
        self.age_s += dt_s
        swing_c = self.ambient_swing_c * math.sin(2 * math.pi * self.age_s / DAY_S)
        self.ambient_c = self.mean_ambient_c + swing_c + self.warming.rise_at_c(self.age_s)
        self.uptime_s = np.where(self.booting(), 0.0, self.uptime_s + dt_s)
        self.boot_left_s = np.maximum(0.0, self.boot_left_s - dt_s)
        self.restart_left_s = np.maximum(0.0, self.restart_left_s - dt_s)

    def _power_share(self) -> FloatColumn:
        reach_w = self.full_w * self.efficiency * self.drift() - self.standby_w
        return np.clip((self.power_w - self.standby_w) / reach_w, 0.0, 2.0)

    def _hash_goal(self) -> FloatColumn:
        reach_w = np.maximum(self.level_w * self.efficiency * self.drift(), self.standby_w + 1)
        share = (self.power_w - self.standby_w) / (reach_w - self.standby_w)
        return np.asarray(self.level_ths * np.clip(share, 0.0, 2.0) * self.warm)

    def _chip_goal(self) -> FloatColumn:
        return self.ambient_c + self.local_ambient_c + CHIP_RISE_C * self._power_share()


def _column(values: list[float]) -> FloatColumn:
    return np.array(values, dtype=np.float64)


def _blend(dt_s: float, tau_s: float) -> float:
    return 1 - math.exp(-dt_s / tau_s)
