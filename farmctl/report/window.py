"""A day or a month of a site: energy, efficiency and every event that ended in it; what settles the bill."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from farmctl.errors import RefusedError, StoreError
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.report import account, money, source
from farmctl.report.canonical import MS_PER_S, Json, iso, records_digest, rounded, sealed, whole
from farmctl.report.case import SiteFacts, facts_of
from farmctl.report.event import REPORT_FORMAT, Wanted, event_report
from farmctl.report.gaps import data_gaps, meter_source
from farmctl.report.series import MAX_GAP_MS, Page, SiteSeries, joined, pages, raw_digest, wh
from farmctl.report.slices import COMPLETE
from farmctl.report.source import Journal, Life

QUARTER_MS = 900_000
_PERIOD = re.compile(r"\d{4}-\d{2}(-\d{2})?")
_KINDS = frozenset({RecordKind.SERIES, RecordKind.EVENT})


class PeriodError(RefusedError):
    """Not a day or a month."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Period:
    """A stretch of the calendar with all records in it."""

    name: str
    timezone: str
    from_ms: int
    to_ms: int
    records: Sequence[StoredRecord]
    pages: Sequence[Page]
    facts: Sequence[SiteFacts]
    closed: bool
    """The journal goes beyond it."""


async def period_report(journal: Journal, period: str, timezone: str | None, wanted: Wanted | None = None) -> Json:
    """A settlement file; `period` is `2026-11-30` or `2026-11` in the site's time zone.

    Raises PeriodError; StoreError where the journal has no series in it.
    """
    choice = wanted or Wanted()
    if not _PERIOD.fullmatch(period):
        raise PeriodError(f"{period}: expected a day such as 2026-11-30 or a month such as 2026-11")
    from_ms, to_ms = bounds(period, timezone or "UTC")
    around = await source.window(journal, from_ms - MAX_GAP_MS, to_ms + MAX_GAP_MS, _KINDS)
    records, found = around.records, pages(around.records)
    if not found:
        raise StoreError(f"{period}: the journal holds no series of the site's power in it")
    facts = await facts_of(journal, found)
    if timezone is None and facts[-1].body["timezone"] != "UTC":
        return await period_report(journal, period, str(facts[-1].body["timezone"]), choice)
    lives = await source.lives(journal)
    events = [
        await event_report(journal, name, replace(choice, nth=nth), lives)
        for name, nth in _ended_in(lives, from_ms, to_ms)
    ]
    stretch = _Period(
        name=period,
        timezone=timezone or "UTC",
        from_ms=from_ms,
        to_ms=to_ms,
        records=records,
        pages=found,
        facts=facts,
        closed=around.closed,
    )
    told = _told(stretch, events, choice)
    status = "final" if around.closed else "provisional: the period is not over in the journal"
    return sealed(told | {"status": status, "options": choice.told})


def bounds(period: str, timezone: str) -> tuple[int, int]:
    """First and last millisecond of a day or month. Raises PeriodError for a date that does not exist."""
    whole_month = period.count("-") == 1
    try:
        begin = datetime.strptime(period, "%Y-%m" if whole_month else "%Y-%m-%d").replace(tzinfo=ZoneInfo(timezone))
    except ValueError:
        raise PeriodError(f"{period}: expected a date of the calendar") from None
    end = (begin + timedelta(days=32)).replace(day=1) if whole_month else begin + timedelta(days=1)
    return _ms(begin), _ms(end)


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * MS_PER_S)


def _told(stretch: _Period, events: Sequence[Json], choice: Wanted) -> Json:
    from_ms, to_ms, facts = stretch.from_ms, stretch.to_ms, stretch.facts
    series = joined(stretch.pages, from_ms - MAX_GAP_MS, to_ms + MAX_GAP_MS)
    energy = account.account(series, stretch.pages, facts, from_ms, to_ms)
    prices = money.Prices.of(facts[-1].prices, **choice.prices)
    earned = money.hash_value(prices, energy.terahashes)
    cost = energy.metered_wh / 1e3 * prices.tariff_per_kwh
    known_ms = to_ms if stretch.closed else max(min(to_ms, int(series.at_ms[-1])), from_ms)
    gaps = data_gaps(series, from_ms, known_ms)
    return {
        "schema": "farmctl/v1",
        "report": "month" if stretch.name.count("-") == 1 else "day",
        "format": REPORT_FORMAT,
        "identity": {
            "site": facts[-1].body["site"],
            "timezone": stretch.timezone,
            "period": stretch.name,
            "start": iso(from_ms),
            "end": iso(to_ms),
            "farmctl": facts[-1].body["version"],
            "config_sha256": facts[-1].body["config_sha256"],
        },
        "energy": account.told(energy),
        "hashes_th": whole(energy.terahashes),
        "money": {
            "hash_revenue": rounded(earned, 4),
            "energy_cost": rounded(cost, 4),
            "events_net": rounded(sum(event["money"]["net"] or 0.0 for event in events), 4),
            **prices.told,
        },
        "events": [_row(event) for event in events],
        "totals": _totals(events),
        "intervals": _quarters(series, from_ms, to_ms),
        "data_gaps": gaps,
        "meter": meter_source(series, list(facts[-1].body["meter"])),
        "inputs": {
            "records": len(stretch.records),
            "first_seq": stretch.records[0].seq,
            "last_seq": stretch.records[-1].seq,
            "last_hash": stretch.records[-1].hash,
            "sha256": records_digest(stretch.records),
            "meter_csv_sha256": raw_digest(series),
        },
    }


def _ended_in(lives: Mapping[str, Life], from_ms: int, to_ms: int) -> list[tuple[str, int]]:
    """Name and number of every time that an event was live and ended in the period, in order of the end.

    Each counts in one period only.
    """
    found: list[tuple[int, str, int]] = []
    for name, life in lives.items():
        for each in source.episodes(life):
            last = each.moves[-1].record
            if last.body.get("state") in source.TERMINAL_WORDS and from_ms <= last.at_ms < to_ms:
                found.append((last.at_ms, name, each.nth))
    return [(name, nth) for _, name, nth in sorted(found)]


def _row(event: Json) -> Json:
    identity, response = event["identity"], event["response"]
    by_method = {
        line["method"]: {key: line[key] for key in ("delivered_mwh", "absorbed_mwh")} for line in event["baselines"]
    }
    return {
        "event": identity["event"],
        "class": identity["class"],
        "state": identity["state"],
        "start": identity["start"],
        "end": identity["end"],
        "direction": response["direction"],
        "target_kw": response["target_kw"],
        "power_kw": response["power_kw"],
        "mean_error_pct": response["mean_error_pct"],
        "in_band_pct": response["in_band_pct"],
        "shortfall_mwh": response["shortfall_mwh"],
        "by_method": by_method,
        "net": event["money"]["net"],
        "method": event["money"]["method"],
        "sha256": event["sha256"],
    }


def _totals(events: Sequence[Json]) -> list[Json]:
    """Sums per baseline method, never across methods."""
    sums: dict[str, list[float]] = {}
    for event in events:
        for line in event["baselines"]:
            sums.setdefault(line["method"], [0.0, 0.0, 0.0])
            sums[line["method"]][0] += line["delivered_mwh"] or 0.0
            sums[line["method"]][1] += line["absorbed_mwh"] or 0.0
            sums[line["method"]][2] += 1
    return [
        {
            "method": method,
            "delivered_mwh": rounded(total[0], 9),
            "absorbed_mwh": rounded(total[1], 9),
            "events": int(total[2]),
        }
        for method, total in sorted(sums.items())
    ]


def _quarters(series: SiteSeries, from_ms: int, to_ms: int) -> list[Json]:
    """Metered kWh of every quarter of an hour that has samples."""
    power, origin = series.power()
    rows: list[Json] = []
    for begin_ms in range(from_ms, to_ms, QUARTER_MS):
        stretch = power.clipped(begin_ms, begin_ms + QUARTER_MS)
        covered = stretch.covered_s() * MS_PER_S / QUARTER_MS
        if covered > 0:
            rows.append(
                {
                    "start": iso(begin_ms),
                    "end": iso(begin_ms + QUARTER_MS),
                    "metered_kwh": rounded(wh(stretch) / 1e3, 6),
                    "quality": "ESTIMATED" if origin != "METER" else "OK" if covered >= COMPLETE else "BAD",
                    "coverage_pct": rounded(100.0 * covered, 2),
                }
            )
    return rows
