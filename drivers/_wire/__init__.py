"""Framing shared by drivers: bytes in, JSON values out; no knowledge of any vendor."""

from __future__ import annotations
