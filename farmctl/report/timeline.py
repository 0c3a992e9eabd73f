"""What happened, in order, each line with the number of its journal record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from farmctl.ports.series import SETTLEMENT_FACTS
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.report.canonical import W_PER_KW, Json, iso
from farmctl.report.case import Case

_QUIET = frozenset({RecordKind.SERIES, RecordKind.INPUT})


def timeline(case: Case) -> list[Json]:
    """Every record but the series, from the look-back to the horizon, with the event's own signals before that."""
    told: list[Json] = []
    before: tuple[object, ...] = ()
    listed: dict[object, object] = {}
    for each in case.used:
        if each.record.kind in _QUIET or _repeats(each, listed):
            continue
        body = each.record.body
        if each.record.kind is RecordKind.DECISION:
            said = tuple(body.get(key) for key in ("event", "reason", "limit_reason", "target_w", "ceiling_w", "mode"))
            if said == before and not body.get("commands"):
                continue
            before = said
        told.append(
            {
                "seq": each.seq,
                "at": iso(each.record.at_ms),
                "kind": each.record.kind.value,
                "text": _WORDS.get(each.record.kind, _plain)(body),
                "by": _by(body),
                **_verbatim(each),
            }
        )
    return told


def _repeats(each: StoredRecord, listed: dict[object, object]) -> bool:
    """A snapshot that lists what the last one of its source did; it comes every few seconds."""
    body: Mapping[str, Any] = each.record.body
    if each.record.kind is not RecordKind.SIGNAL or "events" not in body.get("message", {}):
        return False
    events = tuple((event.get("event_id"), event.get("seq")) for event in body["message"]["events"])
    known, listed[body.get("source")] = listed.get(body.get("source")), events
    return known == events


def _verbatim(each: StoredRecord) -> Json:
    """Signals stand as they came."""
    if each.record.kind not in (RecordKind.SIGNAL, RecordKind.REFUSAL):
        return {}
    return {"raw": each.record.body.get("raw", each.record.body.get("raw_base64", ""))}


def _by(body: Mapping[str, Any]) -> str:
    return str(body.get("owner") or body.get("by") or body.get("source") or "")


def _signal(body: Mapping[str, Any]) -> str:
    message = body.get("message", {})
    events = message.get("events") or ([message["event"]] if "event" in message else [])
    names = ", ".join(str(event.get("event_id")) for event in events[:5]) or str(message.get("event_id", ""))
    return f"{body.get('kind', 'signal')} from {body.get('source')}: {names or 'no events'}"


def _refusal(body: Mapping[str, Any]) -> str:
    return f"refused {body.get('reason')}: {body.get('detail')}"


def _decision(body: Mapping[str, Any]) -> str:
    return (
        f"{body.get('mode')}: target {_kw(body.get('target_w'))} because {body.get('reason')} ({body.get('source')}), "
        f"limit {_kw(body.get('ceiling_w'))} because {body.get('limit_reason')}, {body.get('commands')} commands, "
        f"power {_kw(body.get('power_w'))}"
    )


def _event(body: Mapping[str, Any]) -> str:
    reason = f" ({body['reason']})" if body.get("reason") else ""
    return f"{body.get('event')} is {body.get('state')}{reason} at {_kw(body.get('power_w'))}"


def _command(body: Mapping[str, Any]) -> str:
    again = f", attempt {body['attempt']}" if body.get("attempt", 1) != 1 else ""
    miners = len(body.get("miners", []))
    return f"{body.get('setting')} to {_n(miners)} because {body.get('reason')}, {body.get('lane')}{again}"


def _fate(body: Mapping[str, Any]) -> str:
    detail = f": {body['detail']}" if body.get("detail") else ""
    return f"{_n(len(body.get('miners', [])))} {str(body.get('fate')).replace('_', ' ')}{detail}"


def _mode(body: Mapping[str, Any]) -> str:
    return f"mode {body.get('before')} to {body.get('mode')}"


def _config(body: Mapping[str, Any]) -> str:
    if body.get("what") == SETTLEMENT_FACTS:
        return f"facts of the site for settlement, farmctl {body.get('version')}"
    return _plain(body)


def _plain(body: Mapping[str, Any]) -> str:
    cells = (f"{key} {value}" for key, value in sorted(body.items()) if isinstance(value, str | int | float) and value)
    return ", ".join(cells)[:300]


def _n(miners: int) -> str:
    return f"{miners} miner" if miners == 1 else f"{miners} miners"


def _kw(power_w: object) -> str:
    return f"{power_w / W_PER_KW:.1f} kW" if isinstance(power_w, int | float) else "unknown"


_WORDS: dict[RecordKind, Callable[[Mapping[str, Any]], str]] = {
    RecordKind.SIGNAL: _signal,
    RecordKind.REFUSAL: _refusal,
    RecordKind.DECISION: _decision,
    RecordKind.EVENT: _event,
    RecordKind.COMMAND: _command,
    RecordKind.FATE: _fate,
    RecordKind.MODE: _mode,
    RecordKind.CONFIG: _config,
}
