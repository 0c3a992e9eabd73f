"""What the farm should do: pure, synchronous, columnar, told the time. `step.step` is its one door."""

from __future__ import annotations
