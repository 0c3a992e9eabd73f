"""A recorded stretch is replayed bit for bit; what was altered is named."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

import tests.scenarios.day as day_module
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.step import Decision, step
from farmctl.engine import checkpoint
from farmctl.engine.recording import KEY_EVERY, Recorder
from farmctl.engine.replay import Differs, Same, decision_hash, replay
from farmctl.ports.recording import Frame
from farmctl.store.recording import DayFiles
from tests.scenarios.day import Day

POLICY = "efficiency_first"


class Tape:
    """Records every cycle of a `Day`, as the engine's cycle does."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.recorder = Recorder()
        self.run = 1

    def step(self, memory: Memory, view: FleetView, now_ms: int, policy: str = POLICY) -> tuple[Memory, Decision]:
        inputs = self.recorder.encode(view, now_ms)
        before = checkpoint.dump(memory) if self.recorder.was_key else b""
        after, decision = step(memory, view, now_ms, policy)
        self.frames.append(
            Frame(
                run=self.run,
                cycle=decision.cycle,
                at_ms=now_ms,
                policy=policy,
                inputs=inputs,
                decision_sha256=decision_hash(decision, inputs),
                memory=before,
            )
        )
        return after, decision


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """A day with two orders, its cycles on tape."""
    recorded = Tape()
    monkeypatch.setattr(day_module, "step", recorded.step)
    day = Day(day_module.farm(60, feeders=2, aux_w=9_000.0))
    day.event("first", setpoint_w=0.7 * day.rated_w, for_s=40)
    day.run(50)
    day.event("second", limit_w=0.5 * day.rated_w, for_s=40)
    day.run(30)
    return recorded


def test_every_recorded_decision_comes_out_identical(tape: Tape) -> None:
    results = list(replay(tape.frames))
    assert all(isinstance(result, Same) for result in results)
    assert len(results) == len(tape.frames) > 80
    assert sum(len(r.decision.commands) for r in results if isinstance(r, Same)) > 20


def test_frames_survive_the_disk_in_order(tape: Tape, tmp_path: Path) -> None:
    files = DayFiles(tmp_path)
    files._write(tape.frames)
    assert list(files.frames()) == tape.frames
    middle = tape.frames[40].at_ms
    assert [f.cycle for f in files.frames(since_ms=middle)] == [f.cycle for f in tape.frames[40:]]


def test_the_first_altered_decision_is_named(tape: Tape) -> None:
    tape.frames[20] = replace(tape.frames[20], decision_sha256="0" * 64)
    last = list(replay(tape.frames))[-1]
    assert isinstance(last, Differs)
    assert last.cycle == tape.frames[20].cycle


def test_an_altered_input_is_found(tape: Tape) -> None:
    data = bytearray(zlib.decompress(tape.frames[30].inputs))
    data[-3] ^= 0xFF
    tape.frames[30] = replace(tape.frames[30], inputs=zlib.compress(bytes(data)))
    last = list(replay(tape.frames))[-1]
    assert isinstance(last, Differs)
    assert last.cycle >= tape.frames[30].cycle


def test_a_torn_frame_is_named_and_not_a_crash(tape: Tape) -> None:
    tape.frames[10] = replace(tape.frames[10], inputs=tape.frames[10].inputs[:20])
    last = list(replay(tape.frames))[-1]
    assert isinstance(last, Differs)
    assert (last.cycle, last.what) == (tape.frames[10].cycle, "inputs cannot be read")


def test_a_recording_that_begins_in_mid_run_waits_for_a_key_frame(tape: Tape) -> None:
    assert len(tape.frames) < KEY_EVERY
    assert list(replay(tape.frames[5:])) == []


def test_old_days_are_unlinked(tape: Tape, tmp_path: Path) -> None:
    files = DayFiles(tmp_path, keep_days=1)
    day_ms = 86_400_000
    for days in range(4):
        files._write([replace(tape.frames[0], at_ms=tape.frames[0].at_ms + days * day_ms)])
    assert len(list(tmp_path.glob("recording-*.db"))) == 2


def test_a_replay_from_any_key_frame_on_is_identical_also_while_a_release_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Tape()
    monkeypatch.setattr(day_module, "step", recorded.step)
    monkeypatch.setattr("farmctl.engine.recording.KEY_EVERY", 10)
    ladders = (day_module.ladder("good", j_per_th=17.0), day_module.ladder("old", j_per_th=29.0))
    day = Day(day_module.farm(60, ladders=ladders, feeders=2), release_jitter_s=120.0)
    day.event("order", setpoint_w=0.7 * day.rated_w, for_s=60)
    day.run(150)
    begins = [number for number, frame in enumerate(recorded.frames) if frame.memory]
    assert len(begins) > 10
    for begin in begins[::3]:
        results = list(replay(recorded.frames[begin:]))
        assert len(results) == len(recorded.frames) - begin
        assert all(isinstance(result, Same) for result in results)
