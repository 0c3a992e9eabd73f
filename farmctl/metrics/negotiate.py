"""What a scraper accepts: the dialect and the compression of the answer."""

from __future__ import annotations

from farmctl.metrics.text import Dialect

OPEN_METRICS_TYPE = "application/openmetrics-text"
TEXT_TYPE = "text/plain"


def dialect_of(accept: str) -> Dialect:
    """OpenMetrics where the Accept header names it with a quality not below plain text's, else text."""
    qualities = _qualities(accept)
    wanted = qualities.get(OPEN_METRICS_TYPE, 0.0)
    return Dialect.OPEN_METRICS if wanted > 0 and wanted >= qualities.get(TEXT_TYPE, 0.0) else Dialect.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """True where the Accept-Encoding header permits gzip."""
    return _qualities(accept_encoding).get("gzip", 0.0) > 0


def _qualities(header: str) -> dict[str, float]:
    """Best quality of every name in an Accept-like header; a quality that is no number is 0."""
    best: dict[str, float] = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _number(parameter[2:])
        best[name] = max(best.get(name, 0.0), quality)
    return best


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
