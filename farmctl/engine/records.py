"""What a cycle writes into the journal, and the hash that ties a decision to its inputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import fields

from farmctl.core.alarms import Condition
from farmctl.core.fleet import FleetTable, FleetView
from farmctl.core.step import Decision
from farmctl.engine.actuator import CommandFate
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind

_COLUMNS = tuple(column.name for column in fields(FleetTable))


def input_hash(view: FleetView, now_ms: int) -> str:
    """SHA-256 over everything that `step` was shown, except its own memory."""
    digest = hashlib.sha256(str(now_ms).encode())
    for name in _COLUMNS:
        digest.update(getattr(view.table, name).tobytes())
    digest.update(view.circuits.rating_w.tobytes())
    scalars = (view.meter, view.links, view.inbox, view.overrides, view.stop_all, view.maintenance)
    digest.update(repr((scalars, view.armed, view.may_raise, view.seed, view.rules)).encode())
    return digest.hexdigest()


def decision_record(
    view: FleetView, decision: Decision, alarms: tuple[Condition, ...], inputs_sha256: str | None = None
) -> JournalRecord:
    """One decision: what was asked, what was planned, and why; None: the inputs are hashed here."""
    budget, allocation, site = decision.budget, decision.allocation, decision.site
    body: dict[str, JsonValue] = {
        "cycle": decision.cycle,
        "mode": decision.mode.value,
        "reason": budget.reason.value,
        "source": budget.source,
        "event": budget.event_id,
        "target_w": _watts(budget.target_w),
        "ceiling_w": _watts(budget.ceiling_w),
        "limit_reason": budget.limit_reason.value,
        "limit_source": budget.limit_source,
        "shortfall_w": _watts(budget.shortfall_w),
        "lost": [{"source": w.source, "event": w.event_id, "reason": w.reason.value} for w in budget.lost],
        "power_w": _watts(site.power_w),
        "metered": site.metered,
        "gain": round(site.gain, 4),
        "unexplained_w": _watts(site.unexplained_w),
        "goal_w": _watts(allocation.goal_w),
        "planned_w": _watts(allocation.planned_w),
        "worst_w": _watts(allocation.worst_w),
        "commands": len(decision.commands),
        "alarms": [a.alarm for a in alarms],
        "input_sha256": input_hash(view, decision.at_ms) if inputs_sha256 is None else inputs_sha256,
    }
    return JournalRecord(kind=RecordKind.DECISION, at_ms=decision.at_ms, body=body)


def transition_records(decision: Decision) -> list[JournalRecord]:
    """Moves of events, and a change of the site's mode."""
    records = [
        JournalRecord(
            kind=RecordKind.EVENT,
            at_ms=decision.at_ms,
            body={
                "event": move.track.event.event_id,
                "source": move.track.event.source,
                "state": move.track.state.value,
                "reason": move.track.reason.value if move.track.reason else "",
                "epoch": move.epoch,
                "seq": move.seq,
                "power_w": _watts(decision.site.power_w),
                "target_w": _watts(decision.budget.target_w),
            },
        )
        for move in decision.transitions
    ]
    if decision.mode is not decision.mode_before:
        body = {"before": decision.mode_before.value, "mode": decision.mode.value}
        records.append(JournalRecord(kind=RecordKind.MODE, at_ms=decision.at_ms, body=body))
    return records


def command_records(decision: Decision) -> list[JournalRecord]:
    """Intent of the commands, and what telemetry said of earlier ones; like ones share a record."""
    seen = decision.seen
    alike: dict[tuple[str, str, str, int], list[str]] = {}
    for command in decision.commands:
        key = (command.point.setting, command.lane.value, command.reason.value, command.attempt)
        alike.setdefault(key, []).append(command.miner)
    records = [
        JournalRecord(
            kind=RecordKind.COMMAND,
            at_ms=decision.at_ms,
            body={
                "cycle": decision.cycle,
                "setting": setting,
                "lane": lane,
                "reason": reason,
                "attempt": attempt,
                "miners": miners,
            },
        )
        for (setting, lane, reason, attempt), miners in alike.items()
    ]
    for mask, fate in ((seen.confirmed, "confirmed"), (seen.gave_up, "gave_up")):
        miners = [str(miner) for miner in seen.rows.miner_id[mask]]
        if miners:
            body: dict[str, JsonValue] = {"fate": fate, "miners": miners}
            records.append(JournalRecord(kind=RecordKind.FATE, at_ms=decision.at_ms, body=body))
    return records


def fate_records(fates: Iterable[CommandFate]) -> list[JournalRecord]:
    """What became of commands on the wire; like ones share a record, stamped with the last of them."""
    alike: dict[tuple[str, int, str], list[CommandFate]] = {}
    for fate in fates:
        alike.setdefault((fate.fate.value, fate.command.cycle, fate.detail), []).append(fate)
    return [
        JournalRecord(
            kind=RecordKind.FATE,
            at_ms=max(f.at_ms for f in same),
            body={"fate": name, "cycle": cycle, "detail": detail, "miners": [f.command.miner for f in same]},
        )
        for (name, cycle, detail), same in alike.items()
    ]


def _watts(power_w: float) -> float | None:
    """Whole watts; None where unknown."""
    return None if math.isnan(power_w) else round(power_w)
