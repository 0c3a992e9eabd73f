"""What may go to a miner: anything under a living lease; without one, what surely lowers, by our own looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from typing_extensions import override

from farmctl.core.fleet import UNKNOWN_STEP
from farmctl.core.model import Command, MinerId
from farmctl.core.units import MS_PER_S
from farmctl.engine.actuator import Gate
from farmctl.engine.fleet import FleetKeeper
from farmctl.ports.shards import Leases
from farmctl.ports.site import Clock

FRESH_S = 5.0
"""A step that was read longer ago proves nothing: whoever holds the shard by now may have gone below."""


class ShardGate(Gate):
    """Commands leave for shards whose lease lives; without the database, also those that surely lower."""

    def __init__(self, shard_of: Mapping[MinerId, str], leases: Leases, keeper: FleetKeeper, clock: Clock) -> None:
        self._shard_of = shard_of
        self._leases = leases
        self._keeper = keeper
        self._clock = clock
        self._lowering: dict[MinerId, Command] = {}
        """Open commands that were decided here to lower, with the database gone."""

    def admit(self, commands: Iterable[Command]) -> None:
        """These lower, and need no lease."""
        self._lowering |= {command.miner: command for command in commands}

    def forget(self, commands: Sequence[Command]) -> None:
        """These have met their fate."""
        for command in commands:
            if self._lowering.get(command.miner) == command:
                del self._lowering[command.miner]

    @override
    def may_send(self, command: Command) -> bool:
        if self._leases.may_send(self._shard_of[command.miner]):
            return True
        # The command itself, not its miner: a raise may be on its way to the same one.
        return self._lowering.get(command.miner) == command and self._lowers(command)

    def _lowers(self, command: Command) -> bool:
        """Also in the middle of a conversation: its end may come when the miner has obeyed."""
        if command.step == 0:
            return True
        table, row = self._keeper.table, self._keeper.row_of[command.miner]
        step, age_ms = int(table.step[row]), self._clock.now_ms() - int(table.seen_ms[row])
        return age_ms <= FRESH_S * MS_PER_S and step != UNKNOWN_STEP and command.step <= step
