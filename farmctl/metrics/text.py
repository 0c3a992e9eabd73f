"""The exposition as text: escaping, values, headers, in both dialects that Prometheus speaks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum

from farmctl.core.units import FloatColumn

TOTAL = "_total"
INFO = "_info"


class Dialect(StrEnum):
    """Content type of an exposition."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Kind(StrEnum):
    """Type of a family."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


def escape_label(value: str) -> str:
    """A label value between its quotes; both dialects escape the same three characters."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def escape_help(text: str, dialect: Dialect) -> str:
    """A HELP text; OpenMetrics escapes quotes too."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if dialect is Dialect.OPEN_METRICS else escaped


def label_block(names: Sequence[str], values: Sequence[str]) -> str:
    """`{a="1",b="2"}`."""
    pairs = (f'{name}="{escape_label(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def header(name: str, kind: Kind, unit: str, text: str, dialect: Dialect) -> str:
    """HELP, TYPE and UNIT lines.  OpenMetrics names a counter and an info without their suffix; text has no info."""
    shown = kind.value
    if dialect is Dialect.OPEN_METRICS:
        name = name.removesuffix(TOTAL) if kind is Kind.COUNTER else name
        name = name.removesuffix(INFO) if kind is Kind.INFO else name
    elif kind is Kind.INFO:
        shown = Kind.GAUGE.value
    lines = f"# HELP {name} {escape_help(text, dialect)}\n# TYPE {name} {shown}\n"
    return lines + f"# UNIT {name} {unit}\n" if unit and dialect is Dialect.OPEN_METRICS else lines


def samples(prefixes: Iterable[str], values: FloatColumn) -> list[str]:
    """One line per finite value; `prefixes` end with the blank.  Unknown and unlimited are absent."""
    lines = zip(prefixes, values.tolist(), strict=True)
    return [f"{prefix}{value!r}\n" for prefix, value in lines if math.isfinite(value)]
