"""When the grid counts as alive, and when fail-safe may be left."""

from __future__ import annotations

from dataclasses import replace

from farmctl.signals._intake.liveness import Liveness

BOOT = Liveness(loss_after_ms=60_000, simple_only=False)
FIRST = frozenset({"a"})
SECOND = frozenset({"b"})


def test_boot_needs_a_snapshot_that_a_heartbeat_confirms_in_either_order() -> None:
    assert not BOOT.on_snapshot((1, 1), FIRST, 0).confirmed
    assert not BOOT.on_heartbeat("a", 0).confirmed
    assert BOOT.on_snapshot((1, 1), FIRST, 0).on_heartbeat("a", 1).confirmed
    assert BOOT.on_heartbeat("a", 0).on_snapshot((1, 1), FIRST, 1).confirmed
    assert not BOOT.on_snapshot((1, 1), FIRST, 0).on_heartbeat("b", 1).confirmed
    assert not BOOT.on_snapshot((1, 1), FIRST, 0).on_heartbeat("", 1).confirmed


def test_after_a_loss_only_a_newer_snapshot_and_a_new_heartbeat_count() -> None:
    alive = BOOT.on_snapshot((1, 1), FIRST, 0).on_heartbeat("a", 0)
    assert alive.on_time(59_999).confirmed
    lost = alive.on_time(60_000)
    assert not lost.confirmed
    assert not lost.on_heartbeat("a", 61_000).confirmed
    assert not lost.on_snapshot((1, 1), FIRST, 61_000).on_heartbeat("a", 61_000).confirmed
    assert not lost.on_snapshot((1, 2), SECOND, 61_000).confirmed
    assert lost.on_snapshot((1, 2), SECOND, 61_000).on_heartbeat("b", 61_000).confirmed


def test_a_retained_snapshot_is_as_old_as_it_says() -> None:
    assert BOOT.on_snapshot((1, 1), FIRST, 5).last_valid_ms == 5
    assert BOOT.on_heartbeat("a", 9).on_snapshot((1, 1), FIRST, 5).last_valid_ms == 9


def test_an_event_is_a_sign_of_life_but_confirms_nothing() -> None:
    heard = BOOT.on_message(7)
    assert (heard.last_valid_ms, heard.confirmed) == (7, False)


def test_a_simple_only_site_is_confirmed_by_its_first_message_and_again_by_the_next_after_a_loss() -> None:
    alive = replace(BOOT, simple_only=True).on_message(0)
    assert alive.confirmed
    lost = alive.on_time(60_000)
    assert not lost.confirmed
    assert lost.on_message(60_001).confirmed
