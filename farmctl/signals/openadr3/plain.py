"""An event of a plain OpenADR 3.1 VTN to a GridEvent: what its JSON leaves unsaid is filled in, then checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from farmctl.core.grid import EventClass, GridEvent
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S
from farmctl.signals._intake import origin
from farmctl.signals._intake.convert import MOST_AHEAD_MS, grid_event
from farmctl.signals._intake.duration import START_NOW, rfc3339, start_ms_of
from farmctl.signals._intake.listing import bare_extension
from farmctl.signals._intake.notification import EventBody, event_of
from farmctl.signals._intake.origin import MOST_AUTHORITY_MS
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.standing import Pair
from farmctl.signals._intake.verdict import NotAcceptedError

EXTENSION = "x-farmctl"
STAMPS = ("createdDateTime", "modificationDateTime")
_OVERLAY = ("class", "respondWithinS", "ramp", "toleranceKw", "onExpiry", "ack")
"""What a plain VTN may say in an `x-farmctl` object of its own; numbers and signatures are the transport's business."""
_LIMITING = frozenset(
    {"IMPORT_CAPACITY_LIMIT", "SIMPLE", "IMPORT_CAPACITY_SUBSCRIPTION", "IMPORT_CAPACITY_RESERVATION"}
)


def plain_event(body: JsonObject, rules: IntakeRules, *, pair: Pair, now_ms: int) -> GridEvent | None:
    """The event as the core knows it; None while it starts more than 7 days ahead.

    Its authority ends with its last interval, at most 7 days from now.  Raises NotAcceptedError.
    """
    if body.get("objectType", "EVENT") != "EVENT":
        raise NotAcceptedError(Reason.BAD_FIELD, "objectType: expected EVENT")
    made_ms = min(_stamp_ms(body) or now_ms, now_ms)
    found = event_of(_filled(body, rules, pair=pair, made_ms=made_ms, now_ms=now_ms))
    origin.check_addressee(found, _with_programme(found, rules))
    if _start_ms(found, made_ms) - now_ms > MOST_AHEAD_MS:
        return None
    event = grid_event(found, rules, now_ms=made_ms)
    until_ms = min(event.intervals[-1].end_ms, now_ms + MOST_AUTHORITY_MS, _stated_end_ms(body))
    return replace(event, created_ms=made_ms, expires_ms=until_ms)


def _filled(body: JsonObject, rules: IntakeRules, *, pair: Pair, made_ms: int, now_ms: int) -> JsonObject:
    """The body with an `x-farmctl` object, its times with Z, and an event period where only the intervals have one."""
    stated = body.get(EXTENSION)
    said = {name: stated[name] for name in _OVERLAY if name in stated} if isinstance(stated, dict) else {}
    extension = bare_extension(
        str(body.get("id")), _class(body), issuer=rules.issuer.name, pair=pair, made_ms=made_ms, now_ms=now_ms
    )
    intervals = body.get("intervals")
    listed = [_interval(i) for i in intervals] if isinstance(intervals, list) else intervals
    period = _period(body.get("intervalPeriod"))
    if period is None and isinstance(listed, list) and listed and isinstance(listed[0], dict):
        period = listed[0].get("intervalPeriod")
    rest = {name: value for name, value in body.items() if name not in STAMPS and value is not None}
    return {**rest, "intervals": listed, "intervalPeriod": period, EXTENSION: {**extension, **said}}


def _interval(interval: Any) -> Any:
    if not isinstance(interval, dict) or "intervalPeriod" not in interval:
        return interval
    return {**interval, "intervalPeriod": _period(interval["intervalPeriod"])}


def _period(period: Any) -> Any:
    """The period with its start in UTC with Z: OpenADR takes any RFC 3339 offset."""
    if not isinstance(period, dict) or not isinstance(period.get("start"), str):
        return period
    return {**period, "start": _utc(period["start"])}


def _utc(text: str) -> str:
    try:
        if start_ms_of(text) is not None:
            return text
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None or moment.year < 1970:  # noqa: PLR2004 - the Unix epoch
        return text
    return rfc3339(int(moment.timestamp() * MS_PER_S))


def _stamp_ms(body: JsonObject) -> int | None:
    for name in reversed(STAMPS):
        text = body.get(name)
        if isinstance(text, str):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                continue
            aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return int(aware.timestamp() * MS_PER_S)
    return None


def _class(body: JsonObject) -> EventClass:
    """LIMIT where anything in it limits, ECONOMIC for prices alone, else TARGET; alerts make it an EMERGENCY later."""
    intervals = body.get("intervals")
    payloads = [p for i in (intervals if isinstance(intervals, list) else []) if isinstance(i, dict) for p in _list(i)]
    types = {p.get("type") for p in payloads if isinstance(p, dict)}
    if types & _LIMITING:
        return EventClass.LIMIT
    return EventClass.ECONOMIC if types == {"PRICE"} else EventClass.TARGET


def _list(interval: JsonObject) -> list[Any]:
    payloads = interval.get("payloads")
    return payloads if isinstance(payloads, list) else []


def _stated_end_ms(body: JsonObject) -> int:
    stated = body.get(EXTENSION)
    text = stated.get("expiresAt") if isinstance(stated, dict) else None
    if not isinstance(text, str):
        return 2**62
    try:
        return start_ms_of(_utc(text))
    except ValueError as fault:
        raise NotAcceptedError(Reason.BAD_FIELD, f"x-farmctl.expiresAt: {fault}") from fault


def _start_ms(found: EventBody, made_ms: int) -> int:
    own = found.intervals[0].period
    start = found.period.start if own is None or own.start is None else own.start
    return made_ms if start == START_NOW else start


def _with_programme(found: EventBody, rules: IntakeRules) -> IntakeRules:
    """Without a list of programmes every one that the VTN shows us is ours."""
    return rules if rules.programmes else replace(rules, programmes=frozenset({found.programme}))
