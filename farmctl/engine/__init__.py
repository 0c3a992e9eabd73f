"""When to do it: the asyncio shell around the core. Polls, freezes, steps, journals, commands."""

from __future__ import annotations
