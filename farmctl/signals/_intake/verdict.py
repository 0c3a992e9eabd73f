"""What the checks decide about one message: a closed union, and the fault that ends a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from typing_extensions import override

from farmctl.core.grid import Ack
from farmctl.core.reasons import Reason
from farmctl.errors import RefusedError
from farmctl.ports.grid import Receipt, Refusal
from farmctl.signals._intake.keys import Keyring
from farmctl.signals._intake.standing import Pair, Standing

NOT_SUPPORTED = 251
NOT_APPLICABLE = 252
INVALID = 253
EXPIRED = 254
"""IEEE 2030.5 response codes of a refusal (SIGNALS section 5)."""


class NotAcceptedError(RefusedError):
    """A signal failed a check."""

    def __init__(self, reason: Reason, detail: str, *, code: int = INVALID) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.code = code

    @override
    def __str__(self) -> str:
        return f"{self.reason} ({self.code}): {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Every check passed; it counts once the receipt is durable and the verdict committed."""

    receipt: Receipt
    ack: Ack | None
    """RECEIVED, or CANCELLED for the withdrawal of something unknown; None where the issuer wants none."""
    standing: Standing
    """What is remembered once this is committed."""
    pair: Pair
    issued_ms: int
    """When its issuer says it was made, never later than it was heard; liveness is judged by this."""
    resync: bool = False
    """Something before it is missing: ask for the snapshot."""
    snapshot_hashes: frozenset[str] = frozenset()
    """Hashes by which a heartbeat may confirm this snapshot; empty for other messages."""
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Payload types that each event wants reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A check failed: journal it verbatim, actuate nothing, earlier events stay in force."""

    code: int
    reason: Reason
    refusal: Refusal
    ack: Ack | None
    pair: Pair | None = None
    """(epoch, seq) of a message whose origin was proven; it is heard, so no gap follows."""
    rubbish: str = ""
    """Name under which a refused retained message is remembered; empty for others."""
    resync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Seen before: no action; the last ack about it is sent again."""

    ack: Ack | None
    refusal: Refusal | None = None
    """For the journal; None for a retained message, which is read again at every resync."""
    resync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The issuer is alive, or at least its clock was read."""

    pair: Pair
    beat: Pair
    """(epoch, hb)."""
    at_ms: int
    """When it was heard."""
    offset_ms: int
    """The issuer's clock minus ours."""
    fresh: bool
    """It counts as a sign of life: its time is within the permitted skew."""
    snapshot_hash: str
    resync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChanged:
    """Keys were announced or revoked by a key that is trusted."""

    keyring: Keyring
    resync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The grid holds these acks and reports; it commands nothing and proves no life."""

    outbox: str
    spans: tuple[tuple[int, int], ...]
    """[first, last], both held."""
    resync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Nothing wrong with it, but it may only count once something else has been heard."""

    detail: str
    resync: bool = False


Verdict = Accepted | Refused | Duplicate | Heartbeat | KeysChanged | Held | Deferred
