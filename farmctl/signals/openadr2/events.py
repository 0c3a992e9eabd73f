"""A 2.0b event to a GridEvent: its signals are said in the words of OpenADR 3.1 and pass the same checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from farmctl.core.grid import EventClass, GridEvent
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S, WATTS_PER_KW, to_kw
from farmctl.signals._intake import origin
from farmctl.signals._intake.convert import MOST_AHEAD_MS, grid_event
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.listing import bare_extension
from farmctl.signals._intake.notification import EventBody, event_of
from farmctl.signals._intake.origin import MOST_AUTHORITY_MS
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.standing import Pair
from farmctl.signals._intake.verdict import NOT_SUPPORTED, NotAcceptedError

SCALE = {"none": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
DEFAULT_UNIT_W = WATTS_PER_KW
"""A LOAD_DISPATCH without an item base is read in kW, as every other power that the grid states."""
OPEN_ENDED = "P9999Y"
CANCELLED = "cancelled"
COMPLETED = "completed"
Said = tuple[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a conversion depends on besides the event."""

    rules: IntakeRules
    pair: Pair
    now_ms: int
    load_w: float | None
    """What the site draws now; a delta is stated against it."""


def converted(event: JsonObject, at: Circumstances) -> GridEvent | None:
    """The event as the core knows it; None while it cannot be judged yet.

    That is: it starts more than 7 days ahead, or asks for a delta against a load that is not known before its start.
    Raises NotAcceptedError.
    """
    start_ms = _ms(_member(event, "active_period", "dtstart"))
    if start_ms - at.now_ms > MOST_AHEAD_MS:
        return None
    if any(_is_delta(signal) for signal in _signals(event)) and (start_ms > at.now_ms or at.load_w is None):
        return None
    body = _body(event, at)
    found = event_of(body)
    origin.check_addressee(found, _with_programme(found, at.rules))
    made = grid_event(found, at.rules, now_ms=at.now_ms)
    if _member(event, "event_descriptor", "test_event") in (True, "true"):
        made = replace(made, event_class=EventClass.TEST)
    return replace(made, expires_ms=min(made.intervals[-1].end_ms, at.now_ms + MOST_AUTHORITY_MS))


def _body(event: JsonObject, at: Circumstances) -> JsonObject:
    descriptor = _member(event, "event_descriptor")
    event_id = str(descriptor.get("event_id", ""))
    made_ms = min(_ms(descriptor.get("created_date_time"), at.now_ms), at.now_ms)
    priority = descriptor.get("priority")
    intervals, kinds = _intervals(event, at)
    limits = bool(kinds & {"SIMPLE"})
    event_class = EventClass.LIMIT if limits else EventClass.ECONOMIC if kinds == {"PRICE"} else EventClass.TARGET
    extension = bare_extension(
        event_id, event_class, issuer=at.rules.issuer.name, pair=at.pair, made_ms=made_ms, now_ms=at.now_ms
    )
    return {
        "id": event_id,
        "programID": str(descriptor.get("market_context", "")),
        # 1 is the highest in 2.0b and 0 means none was given
        **({"priority": priority} if isinstance(priority, int) and priority > 0 else {}),
        "createdDateTime": rfc3339(made_ms),
        "intervalPeriod": {**intervals[0]["intervalPeriod"], "randomizeStart": _random(event)},
        "intervals": intervals,
        "x-farmctl": extension,
    }


def _intervals(event: JsonObject, at: Circumstances) -> tuple[list[JsonObject], set[str]]:
    """The intervals of all signals side by side; signals whose intervals do not coincide are not supported."""
    signals = _signals(event)
    if not signals:
        raise NotAcceptedError(Reason.BAD_FIELD, "event_signals: expected at least one")
    spans = [_spans(signal, event) for signal in signals]
    if any(other != spans[0] for other in spans[1:]):
        raise NotAcceptedError(Reason.UNSUPPORTED, "event_signals: intervals that differ", code=NOT_SUPPORTED)
    said = [[_said(signal, value, at) for value in _values(signal)] for signal in signals]
    made = [
        {
            "id": number,
            "intervalPeriod": {"start": rfc3339(start_ms), "duration": _duration(length_ms)},
            "payloads": [{"type": row[number][0], "values": [row[number][1]]} for row in said],
        }
        for number, (start_ms, length_ms) in enumerate(spans[0])
    ]
    return made, {kind for row in said for kind, _ in row}


def _said(signal: JsonObject, value: Any, at: Circumstances) -> Said:
    """One value in the words of OpenADR 3.1 (SIGNALS section 9)."""
    name, kind = str(signal.get("signal_name")), str(signal.get("signal_type"))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotAcceptedError(Reason.BAD_FIELD, f"{name}: expected a finite number")
    match name.upper(), kind:
        case "SIMPLE", "level":
            return "SIMPLE", int(value) if value == int(value) else -1
        case "ELECTRICITY_PRICE", "price":
            return "PRICE", float(value)
        case "LOAD_DISPATCH", "setpoint":
            return "DISPATCH_SETPOINT", to_kw(value * _unit_w(signal))
        case "LOAD_DISPATCH", "delta":
            return "DISPATCH_SETPOINT", to_kw(max((at.load_w or 0.0) + value * _unit_w(signal), 0.0))
        case (("LOAD_CONTROL" | "LOAD_DISPATCH"), "x-loadControlCapacity"):
            if not 0 <= value <= 1:
                raise NotAcceptedError(Reason.BAD_FIELD, f"{name} {kind}: expected 0 to 1")
            return "CONTROL_LEVEL_OFFSET_PERCENT", 1.0 - value
        case _:
            raise NotAcceptedError(Reason.UNSUPPORTED, f"signal {name[:64]} {kind[:64]}", code=NOT_SUPPORTED)


def _unit_w(signal: JsonObject) -> float:
    """Watts per unit of the signal, from its item base."""
    base = signal.get("measurement")
    if base is None:
        return DEFAULT_UNIT_W
    scale = SCALE.get(str(base.get("scale"))) if isinstance(base, dict) and base.get("unit") == "W" else None
    if scale is None:
        raise NotAcceptedError(Reason.BAD_FIELD, "LOAD_DISPATCH: expected real power in W, kW, MW or GW")
    return scale


def _is_delta(signal: JsonObject) -> bool:
    return signal.get("signal_type") == "delta"


def _signals(event: JsonObject) -> list[JsonObject]:
    found = event.get("event_signals")
    if isinstance(found, dict):
        found = found.get("event_signals")
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []


def _rows(signal: JsonObject) -> list[JsonObject]:
    found = signal.get("intervals")
    rows = [i for i in found if isinstance(i, dict)] if isinstance(found, list) else []
    if not rows:
        raise NotAcceptedError(Reason.BAD_FIELD, "event_signals: a signal without intervals")
    return rows


def _values(signal: JsonObject) -> list[Any]:
    return [row.get("signal_payload") for row in _rows(signal)]


def _spans(signal: JsonObject, event: JsonObject) -> list[tuple[int, int]]:
    """(start, length) in ms; an interval without a start follows the one before, a length of 0 has no end."""
    at_ms = _ms(_member(event, "active_period", "dtstart"))
    spans = []
    for row in _rows(signal):
        start_ms = _ms(row.get("dtstart"), at_ms)
        length = row.get("duration")
        if not isinstance(length, timedelta) or length < timedelta(0):
            raise NotAcceptedError(Reason.BAD_FIELD, "intervals: expected a duration")
        length_ms = round(length.total_seconds() * MS_PER_S)
        spans.append((start_ms, length_ms))
        at_ms = start_ms + length_ms
    return spans


def _duration(length_ms: int) -> str:
    return f"PT{length_ms / MS_PER_S:.3f}S" if length_ms else OPEN_ENDED


def _random(event: JsonObject) -> str:
    """The tolerance of the start, which 2.0b calls startafter."""
    period = _member(event, "active_period")
    tolerance = period.get("tolerance")
    after = tolerance.get("tolerate", tolerance).get("startafter") if isinstance(tolerance, dict) else None
    return f"PT{round(after.total_seconds())}S" if isinstance(after, timedelta) else "PT0S"


def _ms(moment: object, default: int | None = None) -> int:
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return round(moment.timestamp() * MS_PER_S)
    if default is not None:
        return default
    raise NotAcceptedError(Reason.BAD_FIELD, "active_period.dtstart: expected a time with a zone")


def _member(event: JsonObject, *path: str) -> Any:
    found: Any = event
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if found is None and path[-1] in ("event_descriptor", "active_period"):
        raise NotAcceptedError(Reason.BAD_FIELD, f"{path[-1]}: missing")
    return found


def _with_programme(found: EventBody, rules: IntakeRules) -> IntakeRules:
    """Without a list of market contexts every one that the VTN sends is ours."""
    return rules if rules.programmes else replace(rules, programmes=frozenset({found.programme}))
