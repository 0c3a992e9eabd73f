"""The messages from a site to the grid, field by field (SIGNALS section 6); the JSON schemas are made from these."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from farmctl.core.grid import EventState, SiteMode
from farmctl.core.model import Quality

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339 in UTC with Z."""
Kw = Annotated[float | None, Field(description="kW; null where it is not known")]
Signature = Annotated[str, Field(description="Ed25519 over topic, 0x00 and RFC 8785 JSON without sig; base64")]
StateName = Annotated[str, WithJsonSchema({"type": "string", "enum": [s.value for s in EventState]})]
ModeName = Annotated[str, WithJsonSchema({"type": "string", "enum": [m.value for m in SiteMode]})]
QualityName = Annotated[str, WithJsonSchema({"type": "string", "enum": [q.value for q in Quality]})]
Version = Literal[1]


class MarkBody(TypedDict):
    """By what the grid may say that it holds this message durably; the same in every repeat."""

    id: Annotated[str, Field(description="Outbox of the site; drawn anew with each new store")]
    no: Annotated[int, Field(description="Its number there, rising by one", ge=0)]


class AckBody(TypedDict):
    """One state of one event; `epoch` and `seq` echo the downlink message."""

    v: Version
    msgId: str
    eventId: str
    epoch: int
    seq: int
    site: str
    state: StateName
    code: Annotated[int, Field(description="IEEE 2030.5 response code")]
    reason: str
    ts: Moment
    targetKw: Kw
    expectedKw: Kw
    etaS: float | None
    shortfallKw: Kw
    measuredKw: Kw
    meterQuality: QualityName
    controllerId: str
    outbox: NotRequired[MarkBody]
    sig: NotRequired[Signature]


class MinersBody(TypedDict):
    """Miners by what they do now."""

    on: int
    throttled: int
    sleep: int
    offline: int


class TelemetryBody(TypedDict):
    """What the site draws and could do, every 2 s."""

    v: Version
    ts: Moment
    site: str
    controllerId: str
    kw: Kw
    kvar: NotRequired[float]
    volts: NotRequired[float]
    hz: NotRequired[float]
    source: Literal["METER", "SUMMED", "ESTIMATED"]
    quality: QualityName
    setpointKw: Kw
    limitKw: Kw
    minKw: Kw
    maxKw: Kw
    upAvailKw: Kw
    downAvailKw: Kw
    rampUpKwPerMin: Kw
    rampDownKwPerMin: Kw
    hashThs: float | None
    miners: MinersBody
    mode: ModeName
    eventId: str
    epoch: int
    seq: int
    sig: NotRequired[Signature]


class LimitBody(TypedDict):
    """One live limit."""

    source: str
    kw: Kw
    until: Moment | None
    eventId: NotRequired[str]


class StateBody(TypedDict):
    """The mode of the site and why; retained."""

    v: Version
    site: str
    ts: Moment
    controllerId: str
    epoch: int
    seq: int
    mode: ModeName
    since: Moment
    limitKw: Kw
    limitSources: list[LimitBody]
    setpointKw: Kw
    liveEvents: list[str]
    emergencyLatched: bool
    signed: bool
    lastEpoch: int
    lastSeq: int
    linkAgeS: float | None
    clockOffsetMs: int
    auditHead: str
    version: str
    sig: NotRequired[Signature]


MeterBody = TypedDict("MeterBody", {"class": str, "periodS": float})
"""Accuracy class of the site meter, empty where it is not stated, and how often it is read."""


class CurveBody(TypedDict):
    """What the site makes of its watts, from the least it can draw to the most; at most 50 points."""

    kw: list[float]
    thsPerKw: Annotated[list[float], Field(description="TH/s per kW of the segment that ends at each point")]


class CapabilityBody(TypedDict):
    """What the site could give up or take on, by seconds; retained."""

    v: Version
    site: str
    ts: Moment
    controllerId: str
    epoch: int
    seq: int
    ratedKw: Kw
    safeMinKw: Kw
    failsafeLimitKw: Kw
    subscriptionKw: Kw
    downKwIn: dict[str, Kw]
    upKwIn: dict[str, Kw]
    rampUpKwPerMin: Kw
    sources: list[str]
    signed: bool
    payloadTypes: list[str]
    meter: MeterBody
    curve: NotRequired[CurveBody]
    sig: NotRequired[Signature]


class StatusBody(TypedDict):
    """A hint only: nobody may judge liveness by it."""

    v: Version
    site: str
    ts: Moment
    controllerId: str
    status: Literal["ONLINE", "OFFLINE"]
    sig: NotRequired[Signature]


class ReportHeader(TypedDict):
    """The `x-farmctl` object of a report; the signature covers the whole report without its own member."""

    v: Version
    site: str
    ts: Moment
    controllerId: str
    epoch: int
    seq: int
    outbox: NotRequired[MarkBody]
    sig: NotRequired[Signature]


class ReportValues(TypedDict):
    """One payload type and its values."""

    type: str
    values: list[float] | list[str]


class ReportInterval(TypedDict):
    """What was measured over one period."""

    id: int
    intervalPeriod: dict[str, str]
    payloads: list[ReportValues]


class ReportResource(TypedDict):
    """The site as the resource that is reported on."""

    resourceName: str
    intervals: list[ReportInterval]


ReportBody = TypedDict(
    "ReportBody",
    {
        "objectType": Literal["REPORT"],
        "eventID": str,
        "clientName": str,
        "reportName": str,
        "payloadDescriptors": list[dict[str, str]],
        "resources": list[ReportResource],
        "x-farmctl": ReportHeader,
    },
)
"""An OpenADR 3.1 REPORT with an `x-farmctl` object."""
