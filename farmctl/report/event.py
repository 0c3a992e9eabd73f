"""The report of one event: everything in it is computed from the journal's records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from farmctl.core.grid import Interval
from farmctl.ports.series import UNKNOWN
from farmctl.report import account, baselines, money
from farmctl.report.canonical import Json, iso, kw, records_digest, rounded, sealed
from farmctl.report.case import BEFORE_MS, Case, facts_of, gather
from farmctl.report.gaps import data_gaps, meter_source
from farmctl.report.history_days import earlier_days
from farmctl.report.obedience_rows import obeyed
from farmctl.report.obligation import asked
from farmctl.report.response import answer, came_back, hashes, kpis
from farmctl.report.series import raw_digest
from farmctl.report.slices import slices
from farmctl.report.source import Journal, Life, Version
from farmctl.report.timeline import timeline

REPORT_FORMAT = 1
MOST_POINTS = 1_800
"""Points of the curve; a longer event is thinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the reader wants an event counted; it stands in the report."""

    tariff_per_kwh: float | None = None
    hash_price_per_th_day: float | None = None
    paid_per_mwh: float | None = None
    shortfall_per_mwh: float | None = None
    method: str | None = None
    x_of_y: tuple[int, int] | None = None
    nth: int = 0
    """Which time that the event was live, from 1; 0: the last."""

    @property
    def told(self) -> Json:
        """What was asked for, as the report states it; empty for nothing."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "nth"}
        return {name: list(value) if name == "x_of_y" else value for name, value in given.items() if value is not None}

    @property
    def prices(self) -> dict[str, float | str | None]:
        """What replaces the journalled prices."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("x_of_y", "nth")}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Wanted:
        """As an earlier report states it, so that it can be built again."""
        known = {field.name: told[field.name] for field in fields(cls) if field.name in told}
        if "x_of_y" in known:
            known["x_of_y"] = (int(known["x_of_y"][0]), int(known["x_of_y"][1]))
        return cls(**known)


async def event_report(
    journal: Journal, event_id: str, wanted: Wanted | None = None, lives: Mapping[str, Life] | None = None
) -> Json:
    """The report as its JSON is printed; `lives` saves a pass over the journal. Raises NoSuchEventError, StoreError."""
    choice = wanted or Wanted()
    case = await gather(journal, event_id, lives, choice.nth)
    x_of_y = choice.x_of_y or ((5, 10) if choice.method == baselines.X_OF_Y else None)
    days = await earlier_days(journal, case, x_of_y[1]) if x_of_y else None
    lines = baselines.baselines(case, days, x_of_y)
    told = [baselines.told(case, line) for line in lines]
    prices = money.Prices.of(case.facts.prices, **choice.prices)
    got = answer(case)
    response, lost = kpis(case, got), hashes(case)
    counted = next((each for each in told if each["method"] == prices.method), told[0])
    energy = account.account(case.series, case.pages, await facts_of(journal, case.pages), case.start_ms, case.end_ms)
    return sealed(
        {
            "schema": "farmctl/v1",
            "report": "event",
            "format": REPORT_FORMAT,
            "identity": _identity(case),
            "status": "final" if case.final else "provisional: the journal does not reach beyond it yet",
            "obligations": [_obligation(version) for version in case.versions],
            "baselines": told,
            "response": response,
            "return": came_back(case),
            "hashes": lost,
            "energy": account.told(energy),
            "money": money.settled(prices, counted, lost, response["shortfall_mwh"]),
            **obeyed(case),
            "curve": _curve(case),
            "intervals": slices(case, lines),
            "timeline": timeline(case),
            "data_gaps": data_gaps(case.series, case.start_ms - BEFORE_MS, case.known_until_ms),
            "meter": meter_source(case.series, list(case.facts.body["meter"])),
            "inputs": _inputs(case),
            "options": choice.told,
        }
    )


def _identity(case: Case) -> Json:
    event, facts = case.versions[-1].event, case.facts.body
    return {
        "site": facts["site"],
        "timezone": facts["timezone"],
        "resource": facts["site"],
        "programme": _programme(case.versions[-1]),
        "event": event.event_id,
        "nth": case.nth,
        "class": event.event_class.value,
        "source": event.source,
        "issuer": event.issuer,
        "instructions": [version.event.msg_id for version in case.versions],
        "state": case.state,
        "notice": iso(case.versions[0].heard_ms),
        "notice_s": rounded((case.start_ms - case.versions[0].heard_ms) / 1e3, 1),
        "start": iso(case.start_ms),
        "end": iso(case.end_ms),
        "duration_s": rounded((case.end_ms - case.start_ms) / 1e3, 1),
        "watched_until": iso(case.known_until_ms),
        "others_live": case.others_live(case.start_ms, case.end_ms),
        "farmctl": facts["version"],
        "config_sha256": facts["config_sha256"],
    }


def _programme(version: Version) -> str:
    """`programID` of the signal as it came; empty for forms that have none."""
    try:
        message = json.loads(version.raw)
    except ValueError:
        return ""
    listed = message.get("events", [message.get("object", message)]) if isinstance(message, dict) else []
    for each in listed:
        if isinstance(each, dict) and each.get("programID") and each.get("id") in (None, version.event.event_id):
            return str(each["programID"])
    return ""


def _obligation(version: Version) -> Json:
    event = version.event
    return {
        "heard": iso(version.heard_ms),
        "seq": version.seq,
        "instruction": event.msg_id,
        "epoch": event.epoch,
        "sequence": event.seq,
        "priority": event.priority,
        "respond_within_s": event.respond_within_s,
        "tolerance_kw": kw(event.tolerance_w),
        "expires": iso(event.expires_ms),
        "intervals": [_interval(interval) for interval in event.intervals],
    }


def _interval(interval: Interval) -> Json:
    return {
        "start": iso(interval.start_ms),
        "end": iso(interval.end_ms),
        "setpoint_kw": kw(interval.setpoint_w),
        "limit_kw": kw(interval.limit_w),
        "subscription_kw": kw(interval.subscription_w),
        "price": interval.price,
    }


def _curve(case: Case) -> Json:
    """Columns over time, from the look-back to the horizon: what the plots show."""
    series = case.series
    shown = np.flatnonzero(series.at_ms <= case.horizon_ms)
    keep = shown[:: max(1, -(-len(shown) // MOST_POINTS))]
    at_ms = series.at_ms[keep]
    order = asked(case, at_ms)
    power_w = np.where(series.ok, series.site["meter_w"], np.nan)[keep]
    columns: Json = {"t_s": [rounded((at - case.start_ms) / 1e3, 1) for at in at_ms]}
    columns["power_kw"] = [kw(value) for value in power_w]
    columns["devices_kw"] = [_known(value, 1e-3, 3) for value in series.site["device_w"][keep]]
    columns["target_kw"] = [kw(value) for value in order.target_w]
    columns["low_kw"] = [kw(value) for value in order.low_w]
    columns["high_kw"] = [kw(value) for value in order.high_w]
    columns["could_kw"] = [_known(value, 1e-3, 3) for value in series.site["could_w"][keep]]
    columns["hash_ths"] = [_known(value, 1e-3, 1) for value in series.site["hash_ghs"][keep]]
    columns["temperature_c"] = [_known(value, 0.1, 1) for value in series.site["temperature_dc"][keep]]
    for state in ("hashing", "throttled", "curtailed", "booting", "fault", "offline"):
        columns[state] = [None if value == UNKNOWN else int(value) for value in series.site[state][keep]]
    return columns


def _known(value: int, scale: float, digits: int) -> float | None:
    return None if value == UNKNOWN else rounded(value * scale, digits)


def _inputs(case: Case) -> Json:
    last = case.used[-1]
    return {
        "records": len(case.used),
        "first_seq": case.used[0].seq,
        "last_seq": last.seq,
        "last_hash": last.hash,
        "sha256": records_digest(case.used),
        "meter_csv_sha256": raw_digest(case.series),
    }
