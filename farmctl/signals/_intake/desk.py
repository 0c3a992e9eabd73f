"""What lies before a check: the message, the rules, and what was heard so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from farmctl.core.grid import Ack, EventClass, EventState, SignalMessage
from farmctl.core.reasons import Reason
from farmctl.ports.grid import Receipt
from farmctl.signals._intake import keys, standing
from farmctl.signals._intake.clocks import MOST_SKEW_MS, ClockSamples
from farmctl.signals._intake.keys import Keyring
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.sequence import Order, SeenMessages, order_of
from farmctl.signals._intake.standing import Pair, Standing
from farmctl.signals._intake.verdict import Accepted, NotAcceptedError

RECEIVED_CODE = 1
CANCELLED_CODE = 6
"""IEEE 2030.5 response codes (SIGNALS section 5)."""
MOST_ENDED = 1_000


class Route(StrEnum):
    """Which downlink topic brought it."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    SNAPSHOT = "SNAPSHOT"
    HEARTBEAT = "HEARTBEAT"
    KEYS = "KEYS"
    SIMPLE = "SIMPLE"
    HELD = "HELD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as it came from the broker."""

    route: Route
    topic: str
    """The canonical topic, which the signature covers."""
    raw: bytes
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a message says it is, once its origin is proven: enough to answer it even if it is refused."""

    event_id: str
    msg_id: str
    pair: Pair | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What was heard in this run and need not survive it."""

    pair: Pair | None = None
    """Highest (epoch, seq) of proven origin, accepted or not."""
    beat: Pair | None = None
    """Last (epoch, hb)."""
    beat_hash: str = ""
    """`snapshotHash` of the last fresh heartbeat."""
    clocks: ClockSamples = field(default_factory=ClockSamples)
    """What the heartbeats said about the issuer's clock."""
    applied: frozenset[str] = frozenset()
    """Hashes of the snapshot applied in this run."""
    ended: Mapping[str, Ack] = field(default_factory=lambda: MappingProxyType({}))
    """The last word about events that are over: a late DELETE is answered with it."""

    @property
    def offset_ms(self) -> int:
        """Issuer's clock less ours."""
        return self.clocks.offset_ms

    def with_end(self, ack: Ack) -> Hearing:
        """With one more event that is over; the oldest is forgotten first."""
        rest = [(k, v) for k, v in self.ended.items() if k != ack.event_id][-MOST_ENDED:]
        return replace(self, ended={**dict(rest), ack.event_id: ack})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Desk:
    """Everything that one check may look at."""

    rules: IntakeRules
    keyring: Keyring
    standing: Standing
    hearing: Hearing
    seen: SeenMessages
    delivery: Delivery
    now_ms: int

    def order(self, pair: Pair) -> Order:
        """Where it stands in the sequence.  Raises NotAcceptedError for one that is not above the stored pair."""
        found = order_of(pair, self.standing.pair, self.hearing.pair)
        if found is Order.OLD:
            raise NotAcceptedError(
                Reason.OLD_SEQUENCE, f"(epoch, seq) {pair} is not above the accepted {self.standing.pair}"
            )
        return found

    def check_offset(self, event_class: EventClass | None) -> None:
        """Raises NotAcceptedError while the clocks are too far apart, except for an EMERGENCY."""
        if abs(self.hearing.offset_ms) > MOST_SKEW_MS and event_class is not EventClass.EMERGENCY:
            raise NotAcceptedError(
                Reason.CLOCK_AHEAD,
                f"the issuer's clock and the site's are {self.hearing.offset_ms} ms apart; only an EMERGENCY is obeyed",
            )

    def accepted(
        self,
        message: SignalMessage,
        *,
        after: Standing,
        pair: Pair,
        order: Order,
        issued_ms: int,
        ack: Ack | None = None,
        snapshot_hashes: frozenset[str] = frozenset(),
    ) -> Accepted:
        """The verdict on a message that passed, with what must be durable before it acts."""
        source = self.rules.source
        states = {sequence_state(source): standing.to_bytes(after)}
        if self.keyring != self.rules.pinned:
            states[keys_state(source)] = keys.to_bytes(self.keyring)
        receipt = Receipt(
            source=source, topic=self.delivery.topic, message=message, raw=self.delivery.raw, states=states
        )
        return Accepted(
            receipt=receipt,
            ack=ack,
            standing=after,
            pair=pair,
            issued_ms=min(issued_ms, self.now_ms),
            resync=order is Order.GAP,
            snapshot_hashes=snapshot_hashes,
        )

    def ack(self, claim: Claim, state: EventState, code: int, reason: str = "") -> Ack:
        """An answer to a message of proven origin."""
        epoch, seq = claim.pair or (0, 0)
        return Ack(
            source=self.rules.source,
            event_id=claim.event_id,
            msg_id=claim.msg_id,
            epoch=epoch,
            seq=seq,
            state=state,
            code=code,
            reason=reason,
            at_ms=self.now_ms,
        )


def sequence_state(source: str) -> str:
    """Name of the stored sequence of a source."""
    return f"signals.{source}.sequence"


def keys_state(source: str) -> str:
    """Name of the stored keys of a source."""
    return f"signals.{source}.keys"


def pair_of(epoch: object, seq: object) -> Pair | None:
    """(epoch, seq) where both are integers of at least 0."""
    if isinstance(epoch, bool) or isinstance(seq, bool) or not isinstance(epoch, int) or not isinstance(seq, int):
        return None
    return (epoch, seq) if epoch >= 0 and seq >= 0 else None
