"""OpenADR, price and schedule sources: keys that need each other."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.config.fault import Fault
from farmctl.config.parts import Parts
from farmctl.config.schema.sources import OpenAdr2Table, OpenAdr3Table, PriceTable


def openadr_faults(parts: Parts, number: int, signal: OpenAdr3Table | OpenAdr2Table) -> Iterator[Fault]:
    """Half a login, half a certificate, more power than the site has."""
    fault = parts.document.fault
    pairs: list[tuple[str, object, str, object]] = [
        ("cert_file", signal.cert_file, "key_file", signal.key_file),
        ("key_file", signal.key_file, "cert_file", signal.cert_file),
    ]
    if isinstance(signal, OpenAdr3Table):
        pairs += [
            ("client_id", signal.client_id, "client_secret_file", signal.client_secret_file),
            ("client_secret_file", signal.client_secret_file, "client_id", signal.client_id),
        ]
    else:
        pairs.append(("cert_file", signal.cert_file, "ca_file", signal.ca_file))
    for key, value, partner, other in pairs:
        if value is not None and other is None:
            yield fault(("signal", number, key), f"expected {partner} beside {key}")
    rated_kw = float("inf") if parts.site is None else parts.site.rated_kw
    levels = signal.simple_levels_kw
    if signal.emergency_kw is not None and signal.emergency_kw > rated_kw:
        yield fault(("signal", number, "emergency_kw"), f"expected at most site.rated_kw = {rated_kw:g}")
    if levels is not None and list(levels) != sorted(levels, reverse=True):
        text = "expected levels that do not rise from 0 (normal) to 3 (emergency)"
        yield fault(("signal", number, "simple_levels_kw"), text)


def price_faults(parts: Parts, number: int, signal: PriceTable) -> Iterator[Fault]:
    """What the measure needs, and one origin per feed."""
    fault = parts.document.fault
    if signal.measures == "price" and signal.hash_price is None:
        yield fault(("signal", number, "hash_price"), 'expected a number with measures = "price"')
    if signal.measures == "surplus" and signal.baseline_kw is None:
        yield fault(("signal", number, "baseline_kw"), 'expected a number with measures = "surplus"')
    for place, feed in enumerate(signal.feeds):
        if (feed.file is None) == (feed.url is None):
            yield fault(("signal", number, "feeds", place), "expected either file or url")
        for key, partner in (("cert_file", "key_file"), ("key_file", "cert_file"), ("user", "password_file")):
            if getattr(feed, key) is not None and getattr(feed, partner) is None:
                yield fault(("signal", number, "feeds", place, key), f"expected {partner} beside {key}")
