"""VNish on Antminers: one summary a poll, writes behind an unlock token, presets and throttle as ladder."""

from __future__ import annotations
