"""The shapes of OpenADR 3.1 requests: required members, types and patterns, as the official document has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

OBJECT_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
DURATION = re.compile(r"-?P(?=\d|T\d)(?:\d+Y)?(?:\d+M)?(?:\d+[DW])?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?")
MOST_CHARS = 128
OPERATIONS = ("CREATE", "READ", "UPDATE", "DELETE")
OBJECTS = ("PROGRAM", "EVENT", "REPORT", "SUBSCRIPTION", "VEN", "RESOURCE")
REPORT_INTERVALS = ("INTERVALS", "SUB_INTERVALS", "OPEN_INTERVALS")

Check = Callable[[Any, str], None]


class ShapeError(ValueError):
    """A member is missing or wrong; the message names it."""


def without_nulls(value: Any) -> Any:
    """The same without members that are null: openadr3-client 2.4.2 writes null for each that it leaves out."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def text(value: Any, place: str) -> None:
    """1 to 128 characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_CHARS:
        raise ShapeError(f"{place}: expected a string of 1 to {MOST_CHARS} characters")


def object_id(value: Any, place: str) -> None:
    """A URL-safe id."""
    if not isinstance(value, str) or OBJECT_ID.fullmatch(value) is None:
        raise ShapeError(f"{place}: expected an objectID")


def duration(value: Any, place: str) -> None:
    """An ISO 8601 duration."""
    if not isinstance(value, str) or DURATION.fullmatch(value) is None:
        raise ShapeError(f"{place}: expected an ISO 8601 duration")


def moment(value: Any, place: str) -> None:
    """An RFC 3339 time."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{place}: expected an RFC 3339 date-time") from error


def number(value: Any, place: str) -> None:
    """A number that is no boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ShapeError(f"{place}: expected a number")


def whole(value: Any, place: str) -> None:
    """An integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(f"{place}: expected an integer")


def natural(value: Any, place: str) -> None:
    """An integer of at least 0."""
    whole(value, place)
    if value < 0:
        raise ShapeError(f"{place}: expected at least 0")


def flag(value: Any, place: str) -> None:
    """A boolean."""
    if not isinstance(value, bool):
        raise ShapeError(f"{place}: expected a boolean")


def word(*words: str) -> Check:
    """One of these words."""

    def check(value: Any, place: str) -> None:
        if value not in words:
            raise ShapeError(f"{place}: expected one of {', '.join(words)}")

    return check


def optional(inner: Check) -> Check:
    """The same, or null."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            inner(value, place)

    return check


def every(inner: Check) -> Check:
    """A list of these."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise ShapeError(f"{place}: expected a list")
        for place_in_list, item in enumerate(value):
            inner(item, f"{place}.{place_in_list}")

    return check


def members(required: dict[str, Check], allowed: dict[str, Check] | None = None) -> Check:
    """An object with these members; what is not named is let through, as the official document does."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise ShapeError(f"{place}: expected an object")
        for name, inner in required.items():
            if name not in value:
                raise ShapeError(f"{place}.{name}: missing")
            inner(value[name], f"{place}.{name}")
        for name, inner in (allowed or {}).items():
            if name in value:
                inner(value[name], f"{place}.{name}")

    return check


def _value(value: Any, place: str) -> None:
    if isinstance(value, dict):
        members({"x": number, "y": number})(value, place)
    elif not isinstance(value, str | int | float | bool):
        raise ShapeError(f"{place}: expected a number, string, boolean or point")


TARGETS = optional(every(text))
VALUES = members({"type": text, "values": every(_value)})
PERIOD = members({}, {"start": moment, "duration": duration, "randomizeStart": duration})
INTERVAL = members({"id": whole, "payloads": every(VALUES)}, {"intervalPeriod": PERIOD})
EVENT_DESCRIPTOR = members(
    {"objectType": word("EVENT_PAYLOAD_DESCRIPTOR"), "payloadType": text},
    {"units": optional(text), "currency": optional(text)},
)
REPORT_DESCRIPTOR = members(
    {"objectType": word("REPORT_PAYLOAD_DESCRIPTOR"), "payloadType": text},
    {"readingType": optional(text), "units": optional(text), "accuracy": optional(number)},
)
REPORT_REQUEST = members(
    {"payloadType": text},
    {
        "readingType": optional(text),
        "units": optional(text),
        "targets": TARGETS,
        "aggregate": flag,
        "startInterval": whole,
        "numIntervals": whole,
        "historical": flag,
        "frequency": whole,
        "repeat": whole,
        "reportIntervals": word(*REPORT_INTERVALS),
    },
)
SUBSCRIPTION_PART = members(
    {"objects": every(word(*OBJECTS)), "operations": every(word(*OPERATIONS)), "callbackUrl": text},
    {"bearerToken": optional(text)},
)
RESOURCE_DATA = members({"resourceName": text, "intervals": every(INTERVAL)}, {"intervalPeriod": PERIOD})

REQUESTS: dict[str, Check] = {
    "programs": members({"programName": text}, {"intervalPeriod": PERIOD, "targets": TARGETS}),
    "events": members(
        {"programID": object_id},
        {
            "eventName": optional(text),
            "duration": duration,
            "priority": optional(natural),
            "targets": TARGETS,
            "reportDescriptors": optional(every(REPORT_REQUEST)),
            "payloadDescriptors": optional(every(EVENT_DESCRIPTOR)),
            "intervalPeriod": PERIOD,
            "intervals": every(INTERVAL),
        },
    ),
    "reports": members(
        {"eventID": object_id, "clientName": text, "resources": every(RESOURCE_DATA)},
        {"reportName": optional(text), "payloadDescriptors": optional(every(REPORT_DESCRIPTOR))},
    ),
    "vens": members(
        {"objectType": word("BL_VEN_REQUEST", "VEN_VEN_REQUEST"), "venName": text},
        {"clientID": text, "targets": TARGETS, "attributes": optional(every(VALUES))},
    ),
    "resources": members(
        {"objectType": word("BL_RESOURCE_REQUEST", "VEN_RESOURCE_REQUEST"), "resourceName": text, "venID": object_id},
        {"clientID": text, "targets": TARGETS, "attributes": optional(every(VALUES))},
    ),
    "subscriptions": members(
        {"clientName": text, "objectOperations": every(SUBSCRIPTION_PART)},
        {"programID": object_id, "targets": TARGETS},
    ),
}
"""Path -> what a POST or PUT body must look like."""
