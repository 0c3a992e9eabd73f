"""The simple form for small sites: one statement that replaces the one before (SIGNALS 3.5)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, model_validator

from farmctl.core.grid import LOWEST_PRIORITY, EventClass, GridEvent, Interval
from farmctl.core.reasons import Reason
from farmctl.core.units import WATTS_PER_KW
from farmctl.signals._intake.convert import on_expiry, respond_within_s
from farmctl.signals._intake.duration import DAY_MS
from farmctl.signals._intake.notification import Class, Count, Strict, Time
from farmctl.signals._intake.permissions import check_class, check_payload
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.verdict import EXPIRED, NotAcceptedError

MOST_AHEAD_MS = DAY_MS

Kw = Annotated[StrictFloat, Field(ge=0, le=1e12)]


class SimpleBody(Strict):
    """A simple message as sent; absent or null is no statement, 0 is zero kW."""

    v: Literal[1]
    seq: Count
    epoch: Count = 0
    target_kw: Kw | None = Field(default=None, alias="targetKw")
    limit_kw: Kw | None = Field(default=None, alias="limitKw")
    valid_until: Time = Field(alias="validUntil")
    stated_class: Class | None = Field(default=None, alias="class")
    release: StrictBool = False

    @model_validator(mode="after")
    def _states_something(self) -> SimpleBody:
        if self.release and self.stated_class is not EventClass.EMERGENCY:
            raise ValueError("release needs class EMERGENCY")
        if not self.release and self.target_kw is None and self.limit_kw is None:
            raise ValueError("at least one of targetKw and limitKw is needed")
        return self

    @property
    def event_class(self) -> EventClass:
        """As stated, else LIMIT where it limits, else TARGET."""
        if self.stated_class is not None:
            return self.stated_class
        return EventClass.LIMIT if self.limit_kw is not None else EventClass.TARGET

    @property
    def message_id(self) -> str:
        """What its acks call it."""
        return f"simple-{self.epoch}-{self.seq}"


def check_until(body: SimpleBody, now_ms: int) -> None:
    """Raises NotAcceptedError where its authority is over (254) or reaches too far (253)."""
    if body.valid_until <= now_ms:
        raise NotAcceptedError(Reason.EXPIRED, "validUntil has passed", code=EXPIRED)
    if body.valid_until - now_ms > MOST_AHEAD_MS:
        raise NotAcceptedError(Reason.BAD_FIELD, "validUntil: more than 24 h ahead")


def grid_event(body: SimpleBody, rules: IntakeRules, *, now_ms: int) -> GridEvent:
    """The statement as an event from now to `validUntil`.  Raises NotAcceptedError outside the issuer's range."""
    check_class(rules.issuer, body.event_class)
    limit_w = _watts(body.limit_kw, "IMPORT_CAPACITY_LIMIT", rules)
    setpoint_w = _watts(body.target_kw, "DISPATCH_SETPOINT", rules)
    interval = Interval(
        start_ms=now_ms,
        end_ms=body.valid_until,
        limit_w=None if limit_w is None else min(limit_w, rules.rating_w),
        setpoint_w=setpoint_w,
    )
    return GridEvent(
        event_id=body.message_id,
        msg_id=body.message_id,
        source=rules.source,
        issuer=rules.issuer.name,
        epoch=body.epoch,
        seq=body.seq,
        event_class=body.event_class,
        priority=LOWEST_PRIORITY,
        created_ms=now_ms,
        expires_ms=body.valid_until,
        intervals=(interval,),
        respond_within_s=respond_within_s(body.event_class),
        on_expiry=on_expiry(body.event_class),
    )


def _watts(kw: float | None, payload_type: str, rules: IntakeRules) -> float | None:
    if kw is None:
        return None
    check_payload(rules.issuer, payload_type, kw * WATTS_PER_KW)
    return kw * WATTS_PER_KW
