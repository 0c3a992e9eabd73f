"""Is the grid alive, and may fail-safe be left? Judged by ages and by the exit test (SIGNALS section 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from farmctl.core.units import NEVER_MS
from farmctl.signals._intake.standing import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """What has been heard that proves life."""

    loss_after_ms: int
    simple_only: bool
    """Without snapshots and heartbeats, a valid simple message is the proof."""
    last_valid_ms: int = NEVER_MS
    confirmed: bool = False
    hashes: frozenset[str] = frozenset()
    """Hashes of the last snapshot that counts towards the exit test."""
    snapshot: Pair | None = None
    """Its (epoch, seq)."""
    above: Pair | None = None
    """After a loss: only a snapshot above this one counts."""
    beat_hash: str = ""
    """`snapshotHash` of the last fresh heartbeat since the start or the loss."""

    def on_heartbeat(self, snapshot_hash: str, now_ms: int) -> Liveness:
        """A fresh, valid heartbeat."""
        return _tested(replace(self, last_valid_ms=max(self.last_valid_ms, now_ms), beat_hash=snapshot_hash))

    def on_snapshot(self, pair: Pair, hashes: frozenset[str], issued_ms: int) -> Liveness:
        """A valid snapshot was applied; a retained one is as old as it says, not as its delivery."""
        counts = self.above is None or pair > self.above
        heard = replace(
            self,
            last_valid_ms=max(self.last_valid_ms, issued_ms),
            snapshot=pair,
            hashes=hashes if counts else self.hashes,
        )
        return _tested(heard)

    def on_message(self, issued_ms: int) -> Liveness:
        """Another valid message: an event, or a simple one, which on a simple-only site is the exit test."""
        heard = replace(self, last_valid_ms=max(self.last_valid_ms, issued_ms))
        return replace(heard, confirmed=True) if self.simple_only else heard

    def on_time(self, now_ms: int) -> Liveness:
        """Lost once the last valid message is too old; then the exit test begins anew.

        A message from the future was stamped by a clock that has been put back: silence counts from now.
        """
        if self.last_valid_ms > now_ms:
            return replace(self, last_valid_ms=now_ms)
        if not self.confirmed or now_ms - self.last_valid_ms < self.loss_after_ms:
            return self
        return replace(self.unconfirmed(), above=self.snapshot)

    def unconfirmed(self) -> Liveness:
        """What was heard proves nothing more: the exit test is to be passed anew, by the same snapshot or a newer."""
        return replace(self, confirmed=False, hashes=frozenset(), beat_hash="")


def _tested(live: Liveness) -> Liveness:
    """The exit test: a fresh heartbeat names the hash of a snapshot that counts."""
    return replace(live, confirmed=True) if live.beat_hash and live.beat_hash in live.hashes else live
