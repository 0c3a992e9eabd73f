"""The OpenADR 3.1 notification with its x-farmctl object, as strangers send it (SIGNALS 3.1, 3.2)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
)

from farmctl.core.grid import EventClass, EventState, OnExpiry
from farmctl.core.reasons import Reason
from farmctl.signals._intake.duration import duration_ms_of, start_ms_of, time_ms_of
from farmctl.signals._intake.shape import MAX_INTEGER, JsonObject
from farmctl.signals._intake.verdict import NotAcceptedError

MOST_INTERVALS = 288
MOST_RANDOM_MS = 30 * 60_000
UUID7 = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
FAULTS_TOLD = 4
"""A refusal names this many faults, so that an ack stays small."""

_MOMENT = {"type": "string", "format": "date-time", "description": "RFC 3339 in UTC with Z"}
_START = {"type": "string", "description": "RFC 3339 in UTC with Z; 0001-01-01 is now"}
_SPAN = {"type": "string", "format": "duration", "description": "ISO 8601 without sign; P9999Y is open-ended"}
Time = Annotated[int, BeforeValidator(time_ms_of), WithJsonSchema(_MOMENT)]
Start = Annotated[int, BeforeValidator(start_ms_of), WithJsonSchema(_START)]
Duration = Annotated[int, BeforeValidator(duration_ms_of), WithJsonSchema(_SPAN)]
Count = Annotated[StrictInt, Field(ge=0, le=MAX_INTEGER)]
Value = StrictInt | StrictFloat | StrictBool | StrictStr


def _word_of(enum: type[EventClass | EventState | OnExpiry]) -> BeforeValidator:
    def read(text: object) -> object:
        words = [str(member) for member in enum]
        if not isinstance(text, str) or text not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return enum(text)

    return BeforeValidator(read)


M = TypeVar("M", bound=BaseModel)
Class = Annotated[EventClass, _word_of(EventClass)]


class Strict(BaseModel):
    """No coercion; what is not named here is ignored, though a signature covers it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Ramp(Strict):
    """Ramps in kW per minute; None is the site's default."""

    down: Annotated[StrictFloat, Field(gt=0)] | None = Field(default=None, alias="downKwPerMin")
    up: Annotated[StrictFloat, Field(gt=0)] | None = Field(default=None, alias="upKwPerMin")


class Extension(Strict):
    """The `x-farmctl` object."""

    v: Literal[1]
    msg_id: Annotated[str, Field(alias="msgId", pattern=UUID7)]
    epoch: Count
    seq: Count
    issuer: Annotated[str, Field(min_length=1, max_length=64)]
    issued_at: Time = Field(alias="issuedAt")
    expires_at: Time = Field(alias="expiresAt")
    event_class: Class = Field(alias="class")
    release: StrictBool = False
    respond_within_s: Annotated[StrictInt, Field(ge=0, le=3600)] | None = Field(default=None, alias="respondWithinS")
    ramp: Ramp = Field(default_factory=Ramp)
    tolerance_kw: Annotated[StrictFloat, Field(ge=0)] | None = Field(default=None, alias="toleranceKw")
    on_expiry: Annotated[OnExpiry, _word_of(OnExpiry)] | None = Field(default=None, alias="onExpiry")
    ack: Annotated[list[Annotated[EventState, _word_of(EventState)]], Field(max_length=32)] | None = None


class Period(Strict):
    """`intervalPeriod` of the event: where the first interval starts and how long each lasts."""

    start: Start
    duration: Annotated[int, BeforeValidator(duration_ms_of), Field(gt=0), WithJsonSchema(_SPAN)]
    randomize_start: Annotated[
        int, BeforeValidator(duration_ms_of), Field(le=MOST_RANDOM_MS), WithJsonSchema({**_SPAN, "default": "PT0S"})
    ] = Field(default=0, alias="randomizeStart")


class OwnPeriod(Strict):
    """`intervalPeriod` of one interval; what it leaves out comes from the event's."""

    start: Start | None = None
    duration: Annotated[int, BeforeValidator(duration_ms_of), Field(gt=0), WithJsonSchema(_SPAN)] | None = None


class Payload(Strict):
    """One `valuesMap`: a type and its values."""

    type: Annotated[str, Field(min_length=1, max_length=128)]
    values: Annotated[list[Value], Field(min_length=1, max_length=MOST_INTERVALS)]


class IntervalBody(Strict):
    """One interval as sent."""

    period: OwnPeriod | None = Field(default=None, alias="intervalPeriod")
    payloads: Annotated[list[Payload], Field(min_length=1, max_length=32)]


class Descriptor(Strict):
    """Units and currency of a payload type."""

    payload_type: Annotated[str, Field(alias="payloadType", min_length=1, max_length=128)]
    units: Annotated[str, Field(max_length=128)] | None = None
    currency: Annotated[str, Field(max_length=128)] | None = None


class ReportDescriptor(Strict):
    """A report that the issuer asks for; types that are not measured here are left out of the answer."""

    payload_type: Annotated[str, Field(alias="payloadType", min_length=1, max_length=128)]


class ReportsWanted(Strict):
    """The part of an event that asks for reports."""

    wanted: Annotated[list[ReportDescriptor], Field(max_length=64)] | None = Field(
        default=None, alias="reportDescriptors"
    )


class Withdrawal(Strict):
    """What a DELETE needs of its object."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    programme: Annotated[str, Field(alias="programID", min_length=1, max_length=128)]
    targets: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=1_000)] | None = None
    x: Extension = Field(alias="x-farmctl")


class EventBody(Withdrawal, ReportsWanted):
    """An OpenADR 3.1 EVENT with its x-farmctl object."""

    priority: Annotated[StrictInt, Field(ge=0)] | None = None
    created: Time | None = Field(default=None, alias="createdDateTime")
    modified: Time | None = Field(default=None, alias="modificationDateTime")
    loop: Duration | None = Field(default=None, alias="duration")
    period: Period = Field(alias="intervalPeriod")
    intervals: Annotated[list[IntervalBody], Field(min_length=1, max_length=MOST_INTERVALS)]
    descriptors: Annotated[list[Descriptor], Field(max_length=64)] | None = Field(
        default=None, alias="payloadDescriptors"
    )


def event_of(body: Any) -> EventBody:
    """The event as a model, all or nothing.  Raises NotAcceptedError (253) naming the fields at fault."""
    return checked(EventBody, body)


def asked_reports(body: Any) -> tuple[str, ...]:
    """Payload types that the event wants reported.  Raises NotAcceptedError (253)."""
    wanted = checked(ReportsWanted, body).wanted or ()
    return tuple(dict.fromkeys(one.payload_type for one in wanted))


def withdrawal_of(body: Any) -> Withdrawal:
    """The object of a DELETE.  Raises NotAcceptedError (253)."""
    return checked(Withdrawal, body)


def checked(model: type[M], body: JsonObject) -> M:
    """The body as that model.  Raises NotAcceptedError (253) naming the fields at fault, never their values."""
    try:
        return model.model_validate(body)
    except ValidationError as fault:
        raise NotAcceptedError(Reason.BAD_FIELD, _told(fault)) from fault


def _told(fault: ValidationError) -> str:
    told = [
        f"{'.'.join(str(part)[:40] for part in error['loc'])}: {error['msg']}"
        for error in fault.errors(include_url=False, include_input=False, include_context=False)
    ]
    more = f"; and {len(told) - FAULTS_TOLD} more" if len(told) > FAULTS_TOLD else ""
    return "; ".join(told[:FAULTS_TOLD]) + more
