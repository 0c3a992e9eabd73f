"""The recording: every cycle's inputs and the hash of its decision, so that a day can be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One cycle as it was fed to the core."""

    run: int
    """When the controller of this run started, ms; cycles of one run follow one another."""
    cycle: int
    at_ms: int
    policy: str
    inputs: bytes
    """What `engine.recording.Recorder` made of the view."""
    decision_sha256: str
    memory: bytes = b""
    """The core's memory before the cycle; given with key frames."""


class Recording(Protocol):
    """Where frames go; losing the last seconds in a crash is permitted, the journal is the record."""

    def add(self, frame: Frame) -> None:
        """Take one frame; never waits."""
        ...

    async def run(self) -> None:
        """Write what was added, in batches, until cancelled; then write the rest."""
        ...


class Recorded(Protocol):
    """Frames of the past."""

    def frames(self, *, since_ms: int | None = None, until_ms: int | None = None) -> Iterator[Frame]:
        """In order of run and cycle."""
        ...
