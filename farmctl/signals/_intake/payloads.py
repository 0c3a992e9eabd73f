"""Payload types of OpenADR 3.1 to limits, set-points, allocations and prices (SIGNALS 3.2)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from farmctl.core.grid import Interval
from farmctl.core.reasons import Reason
from farmctl.core.units import WATTS_PER_KW
from farmctl.signals._intake.notification import Descriptor, Payload
from farmctl.signals._intake.permissions import check_payload
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.verdict import NOT_SUPPORTED, NotAcceptedError

POWER_TYPES = frozenset(
    {"IMPORT_CAPACITY_LIMIT", "DISPATCH_SETPOINT", "IMPORT_CAPACITY_SUBSCRIPTION", "IMPORT_CAPACITY_RESERVATION"}
)
ALERT_TYPES = frozenset({"ALERT_GRID_EMERGENCY", "ALERT_BLACK_START"})
SUPPORTED = POWER_TYPES | ALERT_TYPES | {"SIMPLE", "CONTROL_LEVEL_OFFSET_PERCENT", "PRICE"}
MOST_ALERT_CHARS = 128
SIMPLE_EMERGENCY = 3
UNITS = {**dict.fromkeys(POWER_TYPES, "KW"), "PRICE": "KWH", "CONTROL_LEVEL_OFFSET_PERCENT": "PERCENT"}
"""The only unit taken of each type; OpenADR 3.1 has no MW."""

Number = int | float
Value = int | float | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One part of an interval during which all values hold."""

    interval: Interval
    emergency: bool = False
    """An alert or SIMPLE 3: the event is an EMERGENCY whatever its class says."""
    granted_w: float | None = None
    """Reservation on top of the standing allocation."""


def stretches(
    payloads: Sequence[Payload], descriptors: Sequence[Descriptor], span: tuple[int, int], rules: IntakeRules
) -> list[Stretch]:
    """The interval cut where any of its values changes.

    Several values of a payload share the interval evenly.  Raises NotAcceptedError: 251 for a type that is not
    supported, 252 outside the issuer's range, 253 for a value out of bounds.
    """
    _check_types(payloads, descriptors)
    start, end = span
    edges = {start, end}
    for payload in payloads:
        parts = len(payload.values)
        edges |= {start + (end - start) * k // parts for k in range(parts)}
    marks = sorted(edges)
    found = []
    for since, until in itertools.pairwise(marks):
        stretch = Stretch(interval=Interval(start_ms=since, end_ms=until))
        for payload in payloads:
            part = _part(since - start, end - start, len(payload.values))
            stretch = _stated(stretch, payload.type, payload.values[part], rules)
        found.append(_with_grant(stretch, rules))
    for payload in payloads:  # an interval shorter than its values in ms must not hide a bad one
        for value in payload.values:
            _stated(Stretch(interval=Interval(start_ms=start, end_ms=end)), payload.type, value, rules)
    return found


def _part(elapsed_ms: int, length_ms: int, parts: int) -> int:
    """Which of the parts holds: the last whose edge, rounded down to a millisecond, is not later."""
    return min(((elapsed_ms + 1) * parts - 1) // length_ms, parts - 1)


def _check_types(payloads: Sequence[Payload], descriptors: Sequence[Descriptor]) -> None:
    types = [p.type for p in payloads]
    for name in types:
        if name not in SUPPORTED:
            raise NotAcceptedError(Reason.UNSUPPORTED, f"payload type {name[:64]}", code=NOT_SUPPORTED)
    if len(set(types)) != len(types):
        raise NotAcceptedError(Reason.BAD_FIELD, "payloads: a type occurs twice in one interval")
    for descriptor in descriptors:
        wanted = UNITS.get(descriptor.payload_type)
        if wanted is not None and descriptor.units not in (None, wanted):
            raise NotAcceptedError(
                Reason.BAD_FIELD, f"payloadDescriptors: units of {descriptor.payload_type} must be {wanted}"
            )


def _stated(stretch: Stretch, kind: str, value: Value, rules: IntakeRules) -> Stretch:
    """The stretch with one more statement in it."""
    return (
        _power_stated(stretch, kind, value, rules) if kind in POWER_TYPES else _sign_stated(stretch, kind, value, rules)
    )


def _power_stated(stretch: Stretch, kind: str, value: Value, rules: IntakeRules) -> Stretch:
    power_w = _power_w(kind, value, rules)
    match kind:
        case "IMPORT_CAPACITY_LIMIT":
            return _limited(stretch, power_w, rules)
        case "DISPATCH_SETPOINT":
            return replace(stretch, interval=_aimed(stretch.interval, power_w))
        case "IMPORT_CAPACITY_SUBSCRIPTION":
            return replace(stretch, interval=replace(stretch.interval, subscription_w=min(power_w, rules.rating_w)))
        case _:
            return replace(stretch, granted_w=power_w)


def _sign_stated(stretch: Stretch, kind: str, value: Value, rules: IntakeRules) -> Stretch:
    check_payload(rules.issuer, kind, None)
    match kind:
        case "SIMPLE":
            return _level(stretch, value, rules)
        case "CONTROL_LEVEL_OFFSET_PERCENT":
            return replace(stretch, interval=_aimed(stretch.interval, _offset_w(value, rules)))
        case "PRICE":
            return replace(stretch, interval=replace(stretch.interval, price=_number(kind, value)))
        case _:
            return _alerted(stretch, kind, value, rules)


def _number(kind: str, value: Value) -> float:
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise NotAcceptedError(Reason.BAD_FIELD, f"{kind}: expected a finite number")
    return float(value)


def _power_w(kind: str, value: Value, rules: IntakeRules) -> float:
    kw = _number(kind, value)
    power_w = kw * WATTS_PER_KW
    if kw < 0 or not math.isfinite(power_w):
        raise NotAcceptedError(Reason.BAD_FIELD, f"{kind}: expected kW of at least 0")
    check_payload(rules.issuer, kind, power_w)
    return power_w


def _limited(stretch: Stretch, limit_w: float, rules: IntakeRules) -> Stretch:
    """The lowest of several limits of one stretch holds; above the rating it is the rating."""
    known = stretch.interval.limit_w
    lowest = min(limit_w, rules.rating_w, *(() if known is None else (known,)))
    return replace(stretch, interval=replace(stretch.interval, limit_w=lowest))


def _aimed(interval: Interval, setpoint_w: float) -> Interval:
    """The lowest of several set-points of one stretch holds; above the rating it stays, to report the shortfall."""
    lowest = setpoint_w if interval.setpoint_w is None else min(setpoint_w, interval.setpoint_w)
    return replace(interval, setpoint_w=lowest)


def _level(stretch: Stretch, value: Value, rules: IntakeRules) -> Stretch:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SIMPLE_EMERGENCY:
        raise NotAcceptedError(Reason.BAD_FIELD, "SIMPLE: expected 0, 1, 2 or 3")
    if rules.simple_levels_w is None:
        raise NotAcceptedError(Reason.UNSUPPORTED, "SIMPLE: the site has no table of levels", code=NOT_SUPPORTED)
    if value == SIMPLE_EMERGENCY:
        table = rules.simple_levels_w[SIMPLE_EMERGENCY:]
        return replace(_limited(stretch, min((rules.emergency_w, *table)), rules), emergency=True)
    return _limited(stretch, rules.simple_levels_w[value], rules)


def _offset_w(value: Value, rules: IntakeRules) -> float:
    """An offset from full operation, as a set-point.

    OpenADR 3.1 says both "the lower, the less load" and "negative is more load" (event-interval-payloads.schema.yaml);
    whichever the sender meant, (1 - |offset|) of the rating is never more load than asked for.
    """
    kind = "CONTROL_LEVEL_OFFSET_PERCENT"
    offset = _number(kind, value)
    if not -1 <= offset <= 1:
        raise NotAcceptedError(Reason.BAD_FIELD, f"{kind}: expected -1 to 1")
    return (1 - abs(offset)) * rules.rating_w


def _alerted(stretch: Stretch, kind: str, value: Value, rules: IntakeRules) -> Stretch:
    if not isinstance(value, str) or len(value) > MOST_ALERT_CHARS:
        raise NotAcceptedError(Reason.BAD_FIELD, f"{kind}: expected a text of at most {MOST_ALERT_CHARS} characters")
    return replace(_limited(stretch, rules.emergency_w, rules), emergency=True)


def _with_grant(stretch: Stretch, rules: IntakeRules) -> Stretch:
    """A reservation is granted on top of the allocation that the interval or the site states."""
    if stretch.granted_w is None:
        return stretch
    stated = stretch.interval.subscription_w
    base = stated if stated is not None else rules.subscription_w or 0.0
    allowed = min(base + stretch.granted_w, rules.rating_w)
    return replace(stretch, interval=replace(stretch.interval, subscription_w=allowed))
