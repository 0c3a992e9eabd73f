"""How far one meter value can be trusted: range, freeze, and agreement with the sum of the miners."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from farmctl.core.fleet import MeterSample
from farmctl.core.model import Quality
from farmctl.core.units import NEVER_MS

OFF_FLOOR = 0.4
"""A sleeping site still cools, and its auxiliaries (3-5 % of rated, more where pumps run on) are then several times the
sum of its miners."""


class Doubt(StrEnum):
    """Why a value is not OK."""

    NONE = "none"
    SILENT = "silent"
    STALE = "stale"
    SENTINEL = "sentinel"
    OUT_OF_RANGE = "out_of_range"
    FROZEN = "frozen"
    OFF_FLEET_SUM = "off_fleet_sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The limits of belief; the defaults are SIGNALS section 10."""

    min_w: float
    max_w: float
    rated_w: float
    """Rating of what hangs below the meter."""
    fresh_ms: int = 3_000
    frozen_ms: int = 30_000
    load_change_fraction: float = 0.02
    """The fleet sum counts as changing when it moves by more than this; meters resolve 0.1 % or better."""
    off_fraction: float = 0.25
    off_ms: int = 15_000
    """A mismatch must last this long: telemetry trails the meter by a sweep (5-10 s) and a ramp (5 s),
    so in every shed of half a site the meter is right and the fleet sum is 15 s late."""
    off_floor_fraction: float = OFF_FLOOR
    """Below this share of the rating a mismatch is measured against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What one read brought: watts, NaN for a register without a value, None for no answer."""

    power_w: float | None
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What must be remembered between two reads."""

    power_w: float = math.nan
    same_since_ms: int = NEVER_MS
    """When the meter first said `power_w`."""
    fleet_low_w: float = math.nan
    """Lowest and highest fleet sum since then; NaN unknown."""
    fleet_high_w: float = math.nan
    off_since_ms: int = NEVER_MS
    """When the mismatch with the fleet sum began; -1 there is none."""
    answered_ms: int = NEVER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One judged sample, why it is not OK, and what to remember."""

    sample: MeterSample
    doubt: Doubt
    history: History


def judge(history: History, observed: Observed, fleet_w: float, now_ms: int, trust: Trust) -> Verdict:
    """Judge one read at `now_ms` against the sum of the miners, W, NaN where that is not known.

    A MISSING sample has power NaN and the time of the last answer; a BAD one carries what the meter said.
    """
    if observed.power_w is None:
        return _verdict(history, math.nan, history.answered_ms, Doubt.SILENT)
    if observed.at_ms - history.answered_ms > trust.fresh_ms:
        # Nothing was heard meanwhile: a shed that a meter fell silent in is no mismatch that lasted until it is back.
        history = replace(history, off_since_ms=NEVER_MS)
    history = replace(history, answered_ms=observed.at_ms)
    if not now_ms - observed.at_ms <= trust.fresh_ms:
        return _verdict(history, math.nan, observed.at_ms, Doubt.STALE)
    if trust.min_w <= observed.power_w <= trust.max_w:
        history = _remember(history, observed.power_w, fleet_w, observed.at_ms, trust)
    doubt = _doubt_of_value(history, observed.power_w, observed.at_ms, trust)
    return _verdict(history, observed.power_w, observed.at_ms, doubt)


def _doubt_of_value(history: History, power_w: float, at_ms: int, trust: Trust) -> Doubt:
    if math.isnan(power_w):
        return Doubt.SENTINEL
    if not trust.min_w <= power_w <= trust.max_w:
        return Doubt.OUT_OF_RANGE
    if _is_frozen(history, at_ms, trust):
        return Doubt.FROZEN
    if history.off_since_ms != NEVER_MS and at_ms - history.off_since_ms >= trust.off_ms:
        return Doubt.OFF_FLEET_SUM
    return Doubt.NONE


def _verdict(history: History, power_w: float, at_ms: int, doubt: Doubt) -> Verdict:
    match doubt:
        case Doubt.NONE:
            quality = Quality.OK
        case Doubt.SILENT | Doubt.STALE:
            quality = Quality.MISSING
        case Doubt.SENTINEL | Doubt.OUT_OF_RANGE | Doubt.FROZEN | Doubt.OFF_FLEET_SUM:
            quality = Quality.BAD
    return Verdict(sample=MeterSample(power_w=power_w, at_ms=at_ms, quality=quality), doubt=doubt, history=history)


def _remember(history: History, power_w: float, fleet_w: float, at_ms: int, trust: Trust) -> History:
    off_since_ms = NEVER_MS
    if _is_off(power_w, fleet_w, trust):
        off_since_ms = at_ms if history.off_since_ms == NEVER_MS else history.off_since_ms
    if power_w != history.power_w:
        return replace(
            history,
            power_w=power_w,
            same_since_ms=at_ms,
            fleet_low_w=fleet_w,
            fleet_high_w=fleet_w,
            off_since_ms=off_since_ms,
        )
    return replace(
        history,
        fleet_low_w=float(np.fmin(history.fleet_low_w, fleet_w)),
        fleet_high_w=float(np.fmax(history.fleet_high_w, fleet_w)),
        off_since_ms=off_since_ms,
    )


def _is_frozen(history: History, at_ms: int, trust: Trust) -> bool:
    """The same number for too long while the load moved; an unmoved load proves nothing."""
    moved_w = history.fleet_high_w - history.fleet_low_w
    moved = moved_w > trust.load_change_fraction * max(abs(history.power_w), abs(history.fleet_high_w))
    return moved and at_ms - history.same_since_ms > trust.frozen_ms


def _is_off(power_w: float, fleet_w: float, trust: Trust) -> bool:
    scale_w = max(abs(fleet_w), trust.off_floor_fraction * trust.rated_w)
    return abs(power_w - fleet_w) > trust.off_fraction * scale_w
