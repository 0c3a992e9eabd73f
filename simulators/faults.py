"""What can be wrong with a miner, and for how long; scripted, seeded, or switched on by hand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fault(StrEnum):
    """One way to misbehave."""

    UNPLUGGED = "unplugged"
    """Connections are refused on every port; power is as before."""
    SILENT = "silent"
    """Connections are accepted and never answered."""
    SLOW = "slow"
    """Every answer takes `delay_s` (default 5) longer."""
    RESET = "reset"
    """The connection is reset where the answer would have been."""
    TRUNCATED = "truncated"
    """Only the first `keep` (default 0.6) of the answer is sent, then the connection ends."""
    MALFORMED = "malformed"
    """The JSON is broken in the way `how` names; see simulators.malform."""
    UNAUTHORIZED = "unauthorized"
    """Every login, token or session is refused."""
    EXPIRED = "expired"
    """Tokens and sessions that were given out before are void; new ones work."""
    REBOOT = "reboot"
    """An event, not a state: the miner restarts once."""
    LIES_POWER = "lies_power"
    """Reported watts are true watts times `factor` (default 0.5)."""
    LIES_STATE = "lies_state"
    """Says it is `says` (asleep or mining, default the opposite of the truth)."""
    REFUSES = "refuses"
    """Answers every control command with an error."""
    IGNORES = "ignores"
    """Answers every control command with success and does nothing."""
    STUCK = "stuck"
    """Accepts a resume and never draws power again while the fault lasts."""


ONE_SHOT = frozenset({Fault.REBOOT, Fault.EXPIRED})
"""Faults that happen once instead of lasting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveFault:
    """A fault a miner has now; `until_s` is on the world's clock."""

    fault: Fault
    until_s: float
    params: dict[str, float | str]

    def number(self, name: str, default: float) -> float:
        """Read a numeric parameter; raises ValueError naming fault and parameter."""
        value = self.params.get(name, default)
        if isinstance(value, str):
            raise ValueError(  # noqa: TRY004 - bad input, like the other faults of a description
                f"fault {self.fault}: {name} must be a number, not {value!r}"
            )
        return value

    def word(self, name: str, default: str) -> str:
        """Read a textual parameter."""
        return str(self.params.get(name, default))


class FaultBook:
    """The faults of one miner.  Falsy when there is none: the hot path asks only that."""

    __slots__ = ("_active",)

    def __init__(self) -> None:
        self._active: dict[Fault, ActiveFault] = {}

    def __bool__(self) -> bool:
        return bool(self._active)

    def __contains__(self, fault: Fault) -> bool:
        return fault in self._active

    def __iter__(self) -> Iterator[ActiveFault]:
        return iter(tuple(self._active.values()))

    def get(self, fault: Fault) -> ActiveFault | None:
        """Return the active fault of this kind, if any."""
        return self._active.get(fault)

    def put(self, active: ActiveFault) -> None:
        """Switch a fault on; a second of the same kind replaces the first."""
        self._active[active.fault] = active

    def clear(self, fault: Fault | None = None) -> None:
        """Switch one fault off, or all."""
        if fault is None:
            self._active.clear()
        else:
            self._active.pop(fault, None)

    def expire(self, now_s: float) -> bool:
        """Drop what has run out; says whether anything was dropped."""
        gone = [kind for kind, active in self._active.items() if active.until_s <= now_s]
        for kind in gone:
            del self._active[kind]
        return bool(gone)
