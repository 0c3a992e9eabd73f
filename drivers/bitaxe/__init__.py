"""Bitaxe and other AxeOS desk miners: one page a poll, throttled by frequency, never asleep."""

from __future__ import annotations
