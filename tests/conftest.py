"""What holds for every test: no loop left behind, no task left running, no socket beyond loopback."""

from __future__ import annotations

import asyncio

# pytest-asyncio asks for the current loop before it makes its own; on 3.11 that would create one that
# nobody closes, and its ResourceWarning would fail whichever test runs when it is collected.
asyncio.set_event_loop(None)
