"""Clients that share no line with us, and how long each call of theirs may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from simulators.miner import SimMiner

CALL_S = 50.0

FOREIGN_WARNINGS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Not ours: pyasic 0.79.0 has a pydantic class Config at import and leaves sockets open on its timeout path."""


async def found_by_pyasic(sim: SimMiner) -> Any:
    """The miner behind the real ports of an address, as pyasic sees it."""
    pyasic = pytest.importorskip("pyasic")
    return await within(pyasic.get_miner(sim.endpoint.host))


async def found_by_pyasic_rs(sim: SimMiner) -> Any:
    """The same, as pyasic_rs sees it; None where it finds nobody."""
    pyasic_rs = pytest.importorskip("pyasic_rs")
    return await within(pyasic_rs.MinerFactory().get_miner(sim.endpoint.host))


async def within(call: Awaitable[Any]) -> Any:
    async with asyncio.timeout(CALL_S):
        return await call
