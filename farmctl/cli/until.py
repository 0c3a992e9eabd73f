"""When an order ends, and what a size is of: `--for 90m`, `--until 18:00`, `20MW`, `85%`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from farmctl.control.client import ControlClient
from farmctl.control.sizes import lasting_s, moment, size_of

W_PER_KW = 1000.0
USUAL = timedelta(hours=1)
"""An override always ends: a curtailment without a stated end after so long."""


def ending(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `--for` and `--until`; it gets them as `for_text` and `until`."""
    verb = click.option("--until", default=None, help="Site time: 18:00, or a date and time.")(verb)
    return click.option("--for", "for_text", default=None, help="How long: 90m, 2h.")(verb)


def end_of(for_text: str | None, until: str | None, zone: str) -> datetime:
    """The end, UTC. Raises UsageError without exactly one of the two, SizeError for one that cannot be read."""
    if (for_text is None) == (until is None):
        raise click.UsageError("expected one of --for 90m and --until 18:00: what is held by hand always ends")
    now = datetime.now(UTC)
    return now + timedelta(seconds=lasting_s(for_text)) if for_text is not None else moment(until or "", zone, now)


def end_or_usual(for_text: str | None, until: str | None, zone: str) -> datetime:
    """The same, and the usual end where neither is given; the plan shows it before anything is asked."""
    if for_text is None and until is None:
        return datetime.now(UTC) + USUAL
    return end_of(for_text, until, zone)


def both(ends: datetime, zone: str) -> str:
    """A moment in site time and in UTC."""
    return f"until     {ends.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone} ({ends:%Y-%m-%d %H:%M:%S} UTC)"


def kilowatts(text: str, whole_kw: float) -> float:
    """`20MW`, `500kW`, `85%` of a whole, in kW. Raises SizeError."""
    return size_of(text).watts(whole_kw * W_PER_KW) / W_PER_KW


def rated_kw(client: ControlClient, circuit: str, site_kw: float) -> float:
    """What a share is of. Raises UsageError for a circuit that the site has not."""
    if not circuit:
        return site_kw
    rows = client.get("/v1/circuits")["rows"]
    node = next((row for row in rows if row["name"] == circuit), None)
    if node is None:
        raise click.UsageError(f"circuit {circuit!r}: expected one of {', '.join(row['name'] for row in rows[:20])}")
    return site_kw if node["rating_kw"] is None else float(node["rating_kw"])
