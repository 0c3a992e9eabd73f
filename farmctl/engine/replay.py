"""Runs the core again on recorded inputs and proves every decision identical, or names the first that differs."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.step import Decision, step
from farmctl.engine import checkpoint
from farmctl.engine.recording import Player
from farmctl.ports.recording import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """The first cycle that did not come out as recorded."""

    run: int
    cycle: int
    at_ms: int
    what: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Same:
    """One replayed cycle."""

    frame: Frame
    view: FleetView
    decision: Decision
    memory: Memory
    """After the decision."""


def decision_hash(decision: Decision, inputs: bytes) -> str:
    """SHA-256 over a frame of inputs and all that the decision commands, plans, answers and explains."""
    digest = hashlib.sha256(inputs)
    for array in (decision.allocation.step, decision.allocation.plan_w, decision.reasons):
        digest.update(array.tobytes())
    scalars = (
        decision.cycle,
        decision.at_ms,
        decision.mode,
        decision.budget,
        decision.site,
        decision.commands,
        decision.acks,
        decision.allocation.goal_w,
        decision.allocation.planned_w,
        decision.allocation.worst_w,
    )
    digest.update(repr(scalars).encode())
    return digest.hexdigest()


def replay(frames: Iterable[Frame]) -> Iterator[Same | Differs]:
    """Yield every replayed cycle; stops after the first that differs.

    Frames before the first key frame of a run are passed over: without the memory there is nothing to go on from.
    """
    player, memory, run = Player(), None, -1
    for frame in frames:
        if frame.run != run:
            player, memory, run = Player(), None, frame.run
        try:
            if frame.memory:
                memory = _remembered(memory, frame)
            shown = player.decode(frame.inputs)
        except (zlib.error, ValidationError, ValueError, KeyError) as error:
            yield _differs(frame, "inputs cannot be read", "a frame as recorded", str(error)[:200])
            return
        if memory is None or shown is None:
            continue
        if frame.cycle != memory.cycle + 1:
            memory = None
            continue
        memory, decision = step(memory, shown[0], shown[1], frame.policy)
        found = decision_hash(decision, frame.inputs)
        if found != frame.decision_sha256:
            yield _differs(frame, "the decision differs", frame.decision_sha256, found)
            return
        yield Same(frame=frame, view=shown[0], decision=decision, memory=memory)


def _remembered(memory: Memory | None, frame: Frame) -> Memory:
    """A key frame's memory is taken only to begin with, or after a gap: the chain of decisions proves the rest."""
    if memory is not None and memory.cycle + 1 == frame.cycle:
        return memory
    return checkpoint.load(frame.memory)


def _differs(frame: Frame, what: str, expected: str, found: str) -> Differs:
    return Differs(run=frame.run, cycle=frame.cycle, at_ms=frame.at_ms, what=what, expected=expected, found=found)
