"""`GET /v1/history`: lines over time from the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from farmctl.control.sizes import SizeError, span_s
from farmctl.control.wire import ApiError, Json, whole
from farmctl.core.units import DAY_MS, MS_PER_S
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.history import History, HistoryLines

DEFAULT_SPAN = "1h"
LONGEST_MS = 400 * DAY_MS
LONGEST_STEP_S = 86_400
DIGITS = 3


async def lines(history: History | None, query: Mapping[str, str], now_ms: int) -> Json:
    """Answer one question. Raises ApiError 400 for a bad one, 404 where no history is kept, 507 for a bad file."""
    if history is None:
        raise ApiError(404, "no history is kept here", hint="[history] enabled = true")
    series = [text for text in query.get("series", "").split(",") if text]
    to_ms = moment_ms(query.get("to", "0s"), "to", now_ms)
    from_ms = moment_ms(query.get("from", DEFAULT_SPAN), "from", now_ms)
    if not 0 < to_ms - from_ms <= LONGEST_MS:
        raise ApiError(400, f"from={query.get('from')}: expected a time before `to`, at most 400 days", field="from")
    step = query.get("step")
    step_s = None if step is None else _step_s(step)
    try:
        return told(await history.lines(series, from_ms, to_ms, step_s))
    except RefusedError as error:
        raise ApiError(400, str(error), field="series") from error
    except StoreError as error:
        raise ApiError(507, str(error)) from error


def told(found: HistoryLines) -> Json:
    """Columns; null is unknown."""
    return {
        "step_s": found.step_s,
        "source": found.source,
        "at_ms": found.at_ms.tolist(),
        "series": [
            {"name": name, "values": [None if np.isnan(v) else round(v, DIGITS) for v in values.tolist()]}
            for name, values in found.values.items()
        ],
    }


LAST_MS = 253_402_300_799_000
"""The end of the year 9999, after which no calendar of ours has a name for a moment."""


def moment_ms(text: str, field: str, now_ms: int) -> int:
    """`2h` (ago), ISO 8601 (UTC unless it names a zone), or milliseconds since 1970. Raises ApiError 400."""
    if text.isascii() and text.isdigit() and len(text) > len("1000000000"):
        return min(int(text[:15]), LAST_MS)
    try:
        return now_ms - int(span_s(text.removeprefix("-")) * MS_PER_S)
    except SizeError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * MS_PER_S)
    except (ValueError, OverflowError):
        message = f"{field}={text}: expected 2h (ago), a date and time, or milliseconds since 1970"
        raise ApiError(400, message, field=field) from None


def _step_s(text: str) -> int:
    if text.isascii() and text.isdigit():
        return whole(text, "step", low=1, high=LONGEST_STEP_S)
    try:
        return max(1, min(round(span_s(text)), LONGEST_STEP_S))
    except SizeError as error:
        raise ApiError(400, f"step={error}", field="step") from None
