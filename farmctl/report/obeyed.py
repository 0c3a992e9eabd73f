"""Which machines followed: success by firmware, and the stragglers with their reasons."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from farmctl.core.model import Fate
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.report.canonical import MS_PER_S, Json, kw, rounded
from farmctl.report.case import Case

MOST_NAMED = 500
"""Stragglers named one by one; all are counted."""
GAVE_UP = "gave_up"


@dataclass(slots=True)
class _Order:
    """The last command of a miner, and what became of it."""

    setting: str
    at_ms: int
    fate: str = "sent, no answer yet"
    attempts: int = 1


@dataclass(slots=True)
class _Group:
    """Commands of one model and firmware."""

    miners: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, eq=False)
class Obedience:
    """What was commanded between start and end, and what came of it."""

    groups: dict[str, _Group]
    open: dict[str, _Order]
    """Miners whose last command was not confirmed."""
    confirmed: int


def obedience(case: Case) -> Obedience:
    """Walk the commands and their fates from the start of the event to its horizon."""
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    orders: dict[str, _Order] = {}
    left: dict[str, _Order] = {}
    confirmed = 0
    for record in _in_time(case.records, case.start_ms, case.horizon_ms):
        body, at_ms = record.record.body, record.record.at_ms
        for miner in _miners(record):
            group = groups[case.facts.group(miner)]
            if record.record.kind is RecordKind.COMMAND:
                if at_ms >= case.end_ms:  # another order: what comes of it is another event's business
                    if miner in orders:
                        left[miner] = orders.pop(miner)
                    continue
                group.miners.add(miner)
                first = int(str(body.get("attempt", 1))) == 1
                group.counts["issued" if first else "retried"] += 1
                if first and miner in orders:
                    group.counts["superseded"] += 1
                tries = orders[miner].attempts + 1 if miner in orders and not first else 1
                orders[miner] = _Order(str(body.get("setting", "")), at_ms, attempts=tries)
            elif miner in orders:
                fate, detail = str(body.get("fate", "")), str(body.get("detail", ""))
                group.counts[fate] += fate != Fate.SUPERSEDED.value
                if fate == Fate.CONFIRMED.value:
                    confirmed += 1
                    del orders[miner]
                else:
                    orders[miner].fate = _said(fate, detail)
    commanded = {name: group for name, group in groups.items() if group.miners}
    return Obedience(groups=commanded, open=left | orders, confirmed=confirmed)


def by_firmware(found: Obedience) -> list[Json]:
    """One row per model and firmware, in order of name; success is confirmed over all that were not superseded."""
    rows: list[Json] = []
    for name, group in sorted(found.groups.items()):
        counts = group.counts
        due = counts["issued"] - counts["superseded"]
        rows.append(
            {
                "firmware": name,
                "miners": len(group.miners),
                "issued": counts["issued"],
                "retried": counts["retried"],
                "superseded": counts["superseded"],
                "acknowledged": counts[Fate.ACKNOWLEDGED.value],
                "failed": counts[Fate.FAILED.value],
                "expired": counts[Fate.EXPIRED.value],
                "gave_up": counts[GAVE_UP],
                "confirmed": counts[Fate.CONFIRMED.value],
                "success_pct": rounded(100.0 * min(counts[Fate.CONFIRMED.value] / due, 1.0), 2) if due > 0 else None,
            }
        )
    return rows


def stragglers(case: Case, found: Obedience) -> Json:
    """Miners that were commanded and never seen to follow: how many, what they can draw, and why."""
    reasons = Counter(order.fate for order in found.open.values())
    named = [
        {
            "miner": miner,
            "firmware": case.facts.group(miner),
            "full_kw": kw(case.facts.full_w(miner)),
            "setting": order.setting,
            "attempts": order.attempts,
            "reason": order.fate,
            "before_end_s": rounded((case.end_ms - order.at_ms) / MS_PER_S, 1),
        }
        for miner, order in sorted(found.open.items())
    ]
    return {
        "miners": len(found.open),
        "full_kw": kw(sum(case.facts.full_w(miner) for miner in found.open)),
        "by_reason": dict(sorted(reasons.items())),
        "named": named[:MOST_NAMED],
        "not_named": max(len(named) - MOST_NAMED, 0),
    }


def _said(fate: str, detail: str) -> str:
    words = {
        Fate.ACKNOWLEDGED.value: "acknowledged, not confirmed by telemetry",
        Fate.FAILED.value: "failed",
        Fate.EXPIRED.value: "expired before it was sent",
        Fate.SUPERSEDED.value: "sent, no answer yet",
        GAVE_UP: "did not follow after every retry",
    }
    said = words.get(fate, fate)
    return f"{said}: {detail}" if detail else said


def _miners(record: StoredRecord) -> Sequence[str]:
    miners = record.record.body.get("miners", [])
    return [str(miner) for miner in miners] if isinstance(miners, list) else []


def _in_time(records: Sequence[StoredRecord], from_ms: int, to_ms: int) -> Iterator[StoredRecord]:
    for each in records:
        if each.record.kind in (RecordKind.COMMAND, RecordKind.FATE) and from_ms <= each.record.at_ms <= to_ms:
            yield each
