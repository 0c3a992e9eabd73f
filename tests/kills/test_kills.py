"""N12 in short: a running controller is killed at random moments; `python -m tests.kills` does it 200 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.broker import find_mosquitto
from tests.kills.run import killed

KILLS = 20


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
async def test_a_controller_killed_at_random_moments_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    result = await killed(tmp_path, KILLS, seed=3, miners=12, say=lambda _text: None)
    assert result.broken == ()
    assert result.kills == KILLS
    assert result.events_accepted > KILLS
