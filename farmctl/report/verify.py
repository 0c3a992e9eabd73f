"""Is a report what the journal says? Rebuilds it and compares, with an earlier copy where one is given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farmctl.errors import RefusedError
from farmctl.report.canonical import DIGEST, digest

_EMBEDDED = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)


class NotAReportError(RefusedError):
    """The file given to compare with holds no report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """The first place where a copy and the rebuilt report part."""

    where: str
    copy: str
    rebuilt: str


def read_copy(text: str) -> Mapping[str, Any]:
    """The report in a JSON file, or in an HTML file that was made from one. Raises NotAReportError."""
    embedded = _EMBEDDED.search(text)
    try:
        found = json.loads(embedded[1] if embedded else text)
    except ValueError as error:
        raise NotAReportError(f"expected a report as JSON or HTML: {error}") from None
    if not isinstance(found, dict) or DIGEST not in found:
        raise NotAReportError("expected a report as JSON or HTML: it has no digest of its own")
    return found


def compare(copy: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> Differs | None:
    """None where the copy is whole and the journal gives the same report."""
    right = digest(copy)
    if copy[DIGEST] != right:
        return Differs(where="the copy's own digest", copy=str(copy[DIGEST]), rebuilt=right)
    if copy[DIGEST] == rebuilt[DIGEST]:
        return None
    return _first(copy, rebuilt, "") or Differs(where=DIGEST, copy=str(copy[DIGEST]), rebuilt=str(rebuilt[DIGEST]))


def _first(copy: object, rebuilt: object, where: str) -> Differs | None:
    if isinstance(copy, dict) and isinstance(rebuilt, dict):
        for key in sorted({*copy, *rebuilt} - {DIGEST}):
            found = _first(copy.get(key), rebuilt.get(key), f"{where}.{key}" if where else str(key))
            if found is not None:
                return found
        return None
    if isinstance(copy, list) and isinstance(rebuilt, list) and len(copy) == len(rebuilt):
        for index, (left, right) in enumerate(zip(copy, rebuilt, strict=True)):
            found = _first(left, right, f"{where}[{index}]")
            if found is not None:
                return found
        return None
    return None if copy == rebuilt else Differs(where=where, copy=str(copy)[:200], rebuilt=str(rebuilt)[:200])
