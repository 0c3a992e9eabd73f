"""The judge of the chaos over real workers: what it calls stale, what it lets pass, and from when a takeover counts."""

from __future__ import annotations

from typing import Any

from benchmarks._crew_recorder import Befell, Claim, Recorder, Sent


def judged(*log: Claim, sent: tuple[Sent, ...] = (), faults: dict[int, list[Befell]], words: dict[int, float]) -> Any:
    recorder = Recorder({}, 1.0)
    recorder.sent = list(sent)
    recorder.faults.update(faults)
    for slot, at_s in words.items():
        recorder.contacts["C1", slot].append(at_s)
    return recorder.told(log)


def test_a_raise_after_anothers_claim_is_stale_and_lowering_is_counted_apart() -> None:
    sent = (
        Sent(5.0, "C1", 0, "curtail wakeup", raises=True),
        Sent(11.0, "C1", 0, "curtail wakeup", raises=True),
        Sent(11.1, "C1", 0, "curtail sleep", raises=False),
        Sent(11.2, "C1", 1, "curtail wakeup", raises=True),
    )
    told = judged(Claim("C1", 0, 1, 1.0), Claim("C1", 1, 2, 10.0), sent=sent, faults={}, words={})
    assert (told["commands"], told["raises"]) == (4, 3)
    assert (told["stale_commands"], told["lowered_without_lease"]) == (1, 1)


def test_a_takeover_counts_from_the_first_fault_that_outlasts_a_lease_to_the_first_word_at_the_miners() -> None:
    faults = {0: [Befell(3.0, "restart"), Befell(4.0, "stop"), Befell(6.0, "kill")]}
    told = judged(Claim("C1", 0, 1, 1.0), Claim("C1", 1, 2, 10.0), faults=faults, words={1: 10.5})
    assert (told["takeovers"], told["takeover_max_s"]) == (1, 6.5)


def test_whoever_takes_over_and_is_lost_before_a_word_makes_the_gap_longer_and_not_two_of_them() -> None:
    faults = {0: [Befell(4.0, "kill")], 1: [Befell(10.1, "stop")]}
    log = Claim("C1", 0, 1, 1.0), Claim("C1", 1, 2, 10.0), Claim("C1", 2, 3, 12.0)
    told = judged(*log, faults=faults, words={1: 20.0, 2: 12.2})
    assert (told["takeovers"], told["takeover_max_s"]) == (1, 8.2)


def test_a_shard_that_was_let_go_in_good_order_is_no_takeover() -> None:
    log = Claim("C1", 0, 1, 1.0), Claim("C1", 0, 1, 8.0, let_go=True), Claim("C1", 1, 2, 12.0)
    told = judged(*log, faults={0: [Befell(3.0, "restart")]}, words={1: 12.1})
    assert told["takeovers"] == 0
