"""The schedule file: TOML or JSON entries, each from a start to an end, which a rule may repeat, or on weekdays."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from farmctl.errors import AskHumanError
from farmctl.signals.schedule.rule import Rule, read_rule

MOST_BYTES = 2**20
MOST_ENTRIES = 1_000
FAULTS_TOLD = 6
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = "24:00"
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class BadScheduleError(AskHumanError):
    """The schedule file cannot be used; the message names the file, the entry and the key."""


def _moment(value: object) -> object:
    """A TOML time or an ISO 8601 text; without a zone it is local to the schedule's."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("expected a time such as 2026-11-24T10:00:00+05:00") from error
    return value


def _clock(value: object) -> object:
    if value == MIDNIGHT:
        return time.max
    if isinstance(value, str):
        try:
            return time.fromisoformat(value)
        except ValueError as error:
            raise ValueError("expected a time of day such as 22:30") from error
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]
TimeOfDay = Annotated[time, BeforeValidator(_clock)]
Repeats = Annotated[Rule, BeforeValidator(read_rule)]
Power = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Entry(BaseModel):
    """One statement: what holds, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    start: Moment | None = None
    end: Moment | None = None
    repeats: Repeats | None = None
    """iCalendar's RRULE, with `start` and `end` as the first time."""
    days: tuple[Day, ...] | None = Field(default=None, min_length=1, strict=False)
    since: TimeOfDay | None = Field(default=None, alias="from")
    until: TimeOfDay | None = Field(default=None, alias="to")
    limit_kw: Power | None = Field(default=None, alias="limitKw")
    target_kw: Power | None = Field(default=None, alias="targetKw")
    event_class: Literal["LIMIT", "TARGET", "ECONOMIC", "TEST"] | None = Field(default=None, alias="class")
    priority: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Dates or rules, and at least one statement."""
        dated = self.start is not None and self.end is not None
        daily = self.since is not None and self.until is not None
        mixed = (self.start or self.end) and (self.since or self.until or self.days)
        if mixed or dated == daily:
            raise ValueError("expected either start and end, or from and to (with days, else daily)")
        if self.start is not None and self.end is not None:
            if (self.start.tzinfo is None) != (self.end.tzinfo is None):
                raise ValueError("start and end: expected a zone in both or in neither")
            if self.start >= self.end:
                raise ValueError("end: expected a time after start")
        if self.repeats is not None and not dated:
            raise ValueError("repeats: expected start and end beside it")
        if self.since is not None and self.since == self.until:
            raise ValueError("to: expected another time than from; a whole day is 00:00 to 24:00")
        if self.limit_kw is None and self.target_kw is None:
            raise ValueError("expected limitKw, targetKw or both")
        return self


class Schedule(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    timezone: str | None = None
    entry: tuple[Entry, ...] = Field(default=(), max_length=MOST_ENTRIES, strict=False)

    @property
    def zone(self) -> ZoneInfo:
        """Zone of times that name none; UTC by default."""
        return ZoneInfo(self.timezone or "UTC")


def read_schedule(raw: bytes, name: str, *, timezone: str) -> Schedule:
    """The schedule in a file; JSON by its name's ending, else TOML.

    `timezone` holds where the file names none.  Raises BadScheduleError with what is wrong.
    """
    if len(raw) > MOST_BYTES:
        raise BadScheduleError(f"{name}: {len(raw)} bytes, at most {MOST_BYTES} are read")
    try:
        body = _parsed(raw, name)
        made = Schedule.model_validate({"timezone": timezone, **body})
        made.zone.utcoffset(None)
    except ValidationError as fault:
        raise BadScheduleError(f"{name}: {_told(fault)}") from fault
    except (ZoneInfoNotFoundError, OSError) as fault:
        raise BadScheduleError(f"{name}: timezone: expected a name such as Asia/Karachi") from fault
    except (ValueError, RecursionError) as fault:
        raise BadScheduleError(f"{name}: {fault}") from fault
    names = [entry.name for entry in made.entry if entry.name is not None]
    if len(set(names)) != len(names):
        raise BadScheduleError(f"{name}: entry.name: each name may occur once")
    return made


def _parsed(raw: bytes, name: str) -> dict[str, Any]:
    if Path(name).suffix.lower() == ".json":
        found = json.loads(raw)
        body = {"entry": found} if isinstance(found, list) else found
    else:
        body = tomllib.loads(raw.decode("utf-8"))
    if not isinstance(body, dict):
        raise ValueError("expected a list of entries or an object with entry")  # noqa: TRY004 - a fault of the file
    return body


def _told(fault: ValidationError) -> str:
    told = [
        f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
        for error in fault.errors(include_url=False, include_input=False, include_context=False)
    ]
    more = f"; and {len(told) - FAULTS_TOLD} more" if len(told) > FAULTS_TOLD else ""
    return "; ".join(told[:FAULTS_TOLD]) + more
