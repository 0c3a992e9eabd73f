"""What the API answers with, as models behind the OpenAPI document; objects may grow keys, null is unknown, never 0."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = str
"""ISO 8601, UTC, with a Z."""


class Shape(BaseModel):
    """An object with at least these keys."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Answer(Shape):
    """Every answer names its schema."""

    schema_: Literal["farmctl/v1"] = Field(alias="schema")


class Error(Shape):
    """What was wrong, and what to do about it."""

    code: str
    message: str
    field: str
    """Part of the request that was wrong; empty for none."""
    hint: str


class Refusal(Answer):
    """An answer that is a no."""

    error: Error


class Health(Answer):
    """The controller decides."""

    ok: bool
    rev: int
    cycle_age_s: float


class Event(Shape):
    """One grid event."""

    id: str
    source: str
    class_: str = Field(alias="class")
    state: str
    reason: str | None
    priority: int
    start: Moment | None
    end: Moment | None
    starts_in_s: float
    ends_in_s: float
    limit_kw: float | None
    setpoint_kw: float | None


class Override(Shape):
    """One operator's override in force."""

    id: str
    owner: str
    reason: str
    target_kw: float | None
    selector: str
    miners: int
    set_at: Moment | None
    expires_at: Moment | None


class Lease(Shape):
    """Who holds manual authority."""

    owner: str
    reason: str
    taken_at: Moment | None
    expires_at: Moment | None


class State(Answer):
    """The status strip."""

    rev: int
    at: Moment | None
    age_s: float
    fresh: bool
    site: str
    timezone: str
    mode: str
    authority: Literal["grid", "operator", "site"]
    armed: bool
    stop_all: bool
    maintenance: bool
    power_kw: float | None
    target_kw: float | None
    limit_kw: float | None
    rated_kw: float
    deviation_kw: float | None
    deviation_pct: float | None
    in_band: bool
    unconfirmed_kw: float
    reason: str
    limit_reason: str
    limit_source: str
    meter_quality: str
    signal_age_s: float | None
    event: Event | None
    hash_rate_ths: float
    miners: dict[str, int]
    alarms: dict[str, int]
    flood: bool
    overrides: list[Override]
    lease: Lease | None
    crew: dict[str, Any] | None
    """Leader and members of a site of several processes."""
    sites: int


class Snapshot(Answer):
    """The whole site in columns at one revision."""

    rev: int
    epoch: str
    at_ms: int
    n: int
    columns: dict[str, Any]
    strip: dict[str, Any]
    circuits: dict[str, Any]
    alarms: list[dict[str, Any]]
    events: list[dict[str, Any]]
    jobs: list[dict[str, Any]]


class Miner(Shape):
    """One miner as lists show it."""

    id: str
    cont: str
    rack: str
    slot: str
    model: str
    fw: str
    circuit: str
    state: str
    want: str
    w: float | None
    want_w: float | None
    ths: float | None
    jth: float | None
    t: float | None
    age: float | None
    tier: float
    protected: str
    reason: str
    margin: float | None
    fan: float | None
    pool: str
    fault: str
    since: float | None
    phase: str


class MinerPage(Answer):
    """A window on the fleet."""

    rev: int
    total: int
    n: int
    rows: list[Miner]
    cursor: str | None


class OneMiner(Answer):
    """One miner with its ladder."""

    id: str
    ladder: list[dict[str, Any]]


class Why(Answer):
    """Why a miner is where it is."""

    id: str
    reason: str
    help: str
    rank: dict[str, Any]
    input_sha256: str


class Plan(Answer):
    """What a target would do."""

    plan: dict[str, Any]


class Alarm(Shape):
    """One alarm that is not back to normal."""

    id: str
    alarm: str
    priority: int
    where: str
    state: Literal["NORMAL", "UNACK", "ACK", "RTN_UNACK", "SHELVED", "SUPPRESSED", "OUT_OF_SERVICE"]
    since: Moment | None
    detail: str
    response: str
    runbook: str
    n: int
    owner: str
    note: str
    shelved_until: Moment | None


class Alarms(Answer):
    """What wants a response, worst first."""

    rev: int
    rows: list[Alarm]
    flood: bool
    collapsed: dict[str, int]


class OneAlarm(Answer):
    """An alarm after an order; null where it is back to normal and forgotten."""

    alarm: Alarm | None


class Reported(Answer):
    """A report that was taken."""

    reported: str
    holds: bool


class AlarmStats(Answer):
    """The figures of the last day."""

    raised: int
    raised_in_10_min: int
    per_10_min: float
    flood_share: float
    chattering: int
    stale: int
    shelved: int
    suppressed: int
    bad_actors: list[dict[str, Any]]
    ack_median_s: dict[str, float]


class LeaseAnswer(Answer):
    """Who holds manual authority; null for nobody."""

    lease: Lease | None


class Events(Answer):
    """Remembered events, the next or newest first."""

    rev: int
    rows: list[Event]


class OneEvent(Answer):
    """One event, what it asks when, and what became of it."""

    event: dict[str, Any]
    intervals: list[dict[str, Any]]
    history: list[dict[str, Any]]


class Overrides(Answer):
    """Overrides in force."""

    rows: list[Override]


class Rows(Answer):
    """Rows of one kind."""

    rows: list[dict[str, Any]]


class Whoami(Answer):
    """Who the caller is taken for."""

    uid: int
    name: str
    role: Literal["viewer", "operator", "engineer"]


class Job(Shape):
    """One order that was taken."""

    id: str
    verb: str
    owner: str
    reason: str
    at: Moment | None
    elapsed_s: float
    state: Literal["waiting", "running", "done", "partial", "superseded", "cancelled"]
    text: str
    progress: dict[str, Any] | None


class OneJob(Answer):
    """A job with its progress."""

    job: Job


class Jobs(Answer):
    """Orders of this run, newest first."""

    rows: list[Job]


class AuditRow(Shape):
    """Who did what, why, and what came of it."""

    seq: int
    at: Moment | None
    kind: str
    verb: str
    owner: str
    role: str
    reason: str
    result: str


class Audit(Answer):
    """Newest first; `before` is the cursor of the next page, null at the end."""

    rows: list[AuditRow]
    before: int | None


class Line(Shape):
    """One series; null is unknown."""

    name: str
    values: list[float | None]


class Past(Answer):
    """Lines over common steps; `at_ms` is the begin of each, `source` where the samples are from."""

    step_s: int
    source: str
    at_ms: list[int]
    series: list[Line]


class Setting(Shape):
    """One key of the configuration; a secret is only ever the path of its file."""

    key: str
    value: str
    origin: str


class Settings(Answer):
    """The configuration in force."""

    files: list[str]
    """Where it was read from, on the controller's host; the file first, then its drop-ins."""
    rows: list[Setting]


class Taken(Answer):
    """An order in the journal and in force (not `armed`: nothing is sent); or, for a dry run, what it would do."""

    job: str | None = None
    rev: int | None = None
    armed: bool | None = None
    plan: dict[str, Any] | None = None


class Cancelled(Answer):
    """A job that was taken back."""

    job: Job
    override: str
    released: bool


class Document(Shape):
    """This document."""

    openapi: str
