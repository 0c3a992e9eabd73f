"""Randomised edges: each site starts and releases at its own moment, so that the grid sees no cliff.

A shift is rolled once per event from the view's seed and the event's id, so a replay rolls the same dice.
It never raises load before the stated time: a raising edge uses its absolute value, a lowering edge may come
early (SIGNALS section 4, rule 8; OpenADR 3.1 `randomizeStart` is uniform, plus or minus, once per event).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace

from farmctl.core.grid import EventClass, EventPut, GridEvent, Interval, SignalMessage, SnapshotPut
from farmctl.core.units import MS_PER_S

DICE = 2**32


def spread(inbox: Iterable[SignalMessage], seed: int, power_w: float) -> tuple[SignalMessage, ...]:
    """The same signals with the edges of every randomised event moved; `power_w` is what the site draws now."""
    return tuple(_spread(message, seed, power_w) for message in inbox)


def roll(seed: int, word: str) -> float:
    """A number in [-1, 1) that depends on nothing but the seed and the word."""
    digest = hashlib.blake2b(f"{seed}:{word}".encode(), digest_size=4).digest()
    return 2.0 * int.from_bytes(digest, "big") / DICE - 1.0


def shifted(event: GridEvent, seed: int, power_w: float) -> GridEvent:
    """The event with its edges moved; an EMERGENCY and an event without `randomizeStart` stay as they are."""
    if event.randomize_start_s <= 0 or event.event_class is EventClass.EMERGENCY:
        return event
    shift_ms = round(roll(seed, event.event_id) * event.randomize_start_s * MS_PER_S)
    levels = [power_w, *(_level_w(interval) for interval in event.intervals), math.inf]
    stated = [event.intervals[0].start_ms, *(interval.end_ms for interval in event.intervals)]
    edges: list[int] = []
    for number, at_ms in enumerate(stated):
        lowers = levels[number + 1] < levels[number]
        moved_ms = at_ms + (shift_ms if lowers else abs(shift_ms))
        edges.append(max([moved_ms, *edges[-1:]]))
    intervals = tuple(
        replace(interval, start_ms=start, end_ms=end)
        for interval, start, end in zip(event.intervals, edges, edges[1:], strict=False)
    )
    return replace(event, intervals=intervals, shift_ms=shift_ms)


def _spread(message: SignalMessage, seed: int, power_w: float) -> SignalMessage:
    match message:
        case EventPut():
            return replace(message, event=shifted(message.event, seed, power_w))
        case SnapshotPut():
            return replace(message, events=tuple(shifted(event, seed, power_w) for event in message.events))
        case _:
            return message


def _level_w(interval: Interval) -> float:
    """Where an interval lets the load be; no statement is no bound."""
    if interval.setpoint_w is not None:
        return min(interval.setpoint_w, interval.limit_w if interval.limit_w is not None else math.inf)
    return interval.limit_w if interval.limit_w is not None else math.inf
