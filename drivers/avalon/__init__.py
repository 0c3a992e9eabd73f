"""Canaan Avalon: the A series and the Q, Mini and Nano, port 4028."""

from __future__ import annotations
