"""What the grid says that it durably holds of a site's acks and reports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from farmctl.signals._intake import origin
from farmctl.signals._intake.notification import Count, Strict, Time, checked
from farmctl.signals._intake.shape import MAX_INTEGER, JsonObject
from farmctl.signals._intake.verdict import Held

MOST_SPANS = 1_024


def _ordered(span: tuple[int, int]) -> tuple[int, int]:
    if span[0] > span[1]:
        raise ValueError("expected [first, last] with first <= last")
    return span


_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER}
_RUN = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2, "description": "[first, last], both held"}
Span = Annotated[tuple[Count, Count], Field(strict=False), AfterValidator(_ordered), WithJsonSchema(_RUN)]


class HeldBody(Strict):
    """Runs of numbers of one outbox, each [first, last]; all that is held, not what is new."""

    v: Literal[1]
    issuer: Annotated[str, Field(min_length=1, max_length=64)]
    issued_at: Time = Field(alias="issuedAt")
    outbox: Annotated[str, Field(min_length=1, max_length=64)]
    held: Annotated[list[Span], Field(max_length=MOST_SPANS)]


def on_held(payload: JsonObject) -> Held:
    """The verdict on an acknowledgement whose origin is proven; an old one stays true.  Raises NotAcceptedError."""
    origin.check_version(payload)
    body = checked(HeldBody, payload)
    return Held(outbox=body.outbox, spans=tuple(body.held))
