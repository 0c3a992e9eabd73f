"""Acks on their way from a decision to the outboxes: kept with the decision, told only when it is durable."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from farmctl.core.grid import Ack
from farmctl.errors import StoreError
from farmctl.ports.grid import KeepsAcks, Uplink

UNTOLD_STATE = "control.acks"
"""Acks of the last decisions that may be in no outbox on disk yet; empty after an orderly stop."""
MOST = 5_000

_ACKS = TypeAdapter(tuple[Ack, ...])


class Untold:
    """What a kill at this moment would keep from the grid."""

    def __init__(self, uplinks: Sequence[Uplink]) -> None:
        """Nothing is on its way."""
        self._uplinks = tuple(uplinks)
        self._kept: tuple[Ack, ...] = ()
        self._held: tuple[Ack, ...] = ()
        """Decided while nothing could be made durable: a restart must know all that was told."""

    def load(self, data: bytes | None) -> tuple[Ack, ...]:
        """What the last run may not have told. Raises StoreError where it cannot be read."""
        try:
            self._kept = _ACKS.validate_json(data) if data else ()
        except ValidationError as error:
            raise StoreError(f"{UNTOLD_STATE}: expected acks as JSON: {error.errors()[0]['msg']}") from error
        return self._kept

    def pack(self, acks: Sequence[Ack]) -> bytes:
        """The state to store with the decision that made these: they, and those that no outbox has on disk yet."""
        settled = not self._held and not any(up.unkept for up in self._uplinks if isinstance(up, KeepsAcks))
        self._kept = (*(() if settled else self._kept), *acks)[-MOST:]
        return _ACKS.dump_json(self._kept)

    def due(self, acks: Sequence[Ack], *, durable: bool) -> tuple[Ack, ...]:
        """What may be told now."""
        waiting = (*self._held, *acks)[-MOST:]
        self._held = () if durable else waiting
        return waiting if durable else ()
