"""Whether a restart puts anybody to sleep: read from the journal, life by life."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.ports.store import RecordKind, StoredRecord

NEWS = frozenset({RecordKind.SIGNAL, RecordKind.EVENT, RecordKind.OVERRIDE})
"""After one of these a miner may be put to sleep for a reason that is no restart."""
MARGIN = 1.02
SLEEP = "sleep"
SETTLED = frozenset({"confirmed", "gave_up"})


class Restarts:
    """Fed with every record in order; until the first news of a life nobody is shed who was not told to sleep before.

    Unless the site draws more than the last life wanted: a kill in the middle of a fall is gone on with. Lives after a
    kill in the middle of a raise are not judged: until it is polled a miner counts at the most that it may draw by now,
    and the raise, or another's watts, may be taken back for it.
    """

    def __init__(self) -> None:
        self.judged = 0
        """Lives that decided before anything new was heard."""
        self._quiet = False
        self._counted = True
        self._unread = True
        """Something was heard in the last life that no decision has answered yet."""
        self._goal_w = float("inf")
        self._power_w = 0.0
        self._told: dict[str, str] = {}
        self._rising: set[str] = set()
        """Raises that no telemetry has confirmed."""

    def feed(self, stored: StoredRecord) -> Iterator[str]:
        """What this record breaks."""
        record = stored.record
        match record.kind:
            case RecordKind.START:
                self._quiet, self._counted = not (self._unread or self._rising), False
            case RecordKind.DECISION:
                self._decided(record.body["goal_w"], record.body["power_w"])
            case RecordKind.COMMAND:
                yield from self._commanded(stored)
            case RecordKind.FATE if record.body["fate"] in SETTLED:
                self._rising.difference_update(_miners(stored))
            case RecordKind.SIGNAL if record.body.get("kind") == "SnapshotPut":
                pass  # the dispatcher's own memory, told at every start: where it brings news an event moves
            case kind if kind in NEWS:
                # An event's own move is written behind the decision that made it: that one has answered it.
                self._quiet, self._unread = False, self._unread or kind is not RecordKind.EVENT
            case _:
                pass

    def _decided(self, goal_w: object, power_w: object) -> None:
        self._power_w = float(power_w) if isinstance(power_w, int | float) else 0.0
        if self._quiet:
            self.judged += not self._counted
            self._counted = True
            return
        self._unread = False
        self._goal_w = float(goal_w) if isinstance(goal_w, int | float) else float("inf")

    def _commanded(self, stored: StoredRecord) -> Iterator[str]:
        setting = str(stored.record.body["setting"])
        for miner in _miners(stored):
            new = setting == SLEEP and self._told.get(miner) != SLEEP
            if new and self._quiet and self._power_w <= MARGIN * self._goal_w:
                yield (
                    f"record {stored.seq}: {miner} is shed by a restart, at {self._power_w:.0f} W"
                    f" of the {self._goal_w:.0f} W that were wanted before"
                )
            self._told[miner] = setting
            (self._rising.discard if setting == SLEEP else self._rising.add)(miner)


def _miners(stored: StoredRecord) -> list[str]:
    miners = stored.record.body["miners"]
    assert isinstance(miners, list | tuple)
    return [str(miner) for miner in miners]
