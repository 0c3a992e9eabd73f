"""[site], [control], [poll] and [[credentials]] against each other and against what the program knows."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator

from farmctl.config.checks.names import unknown_name
from farmctl.config.credentials import SELECTOR_FIELDS, split_selector
from farmctl.config.explain import did_you_mean
from farmctl.config.fault import Fault
from farmctl.config.parts import Known, Parts


def site_faults(parts: Parts, known: Known) -> Iterator[Fault]:
    """Levels that do not nest, unknown zones, policies, drivers."""
    yield from _levels(parts)
    yield from _zone(parts)
    yield from _polling(parts)
    if parts.control is not None and known.policies is not None:
        yield from unknown_name(parts, ("control", "policy"), parts.control.policy, known.policies, "policy")
    for number, driver in parts.names("credentials", "driver") if known.drivers is not None else ():
        yield from unknown_name(parts, ("credentials", number, "driver"), driver, known.drivers or (), "driver")
    for number, entry in parts.credentials.items():
        field, _ = split_selector(entry.selector)
        if field not in SELECTOR_FIELDS:
            hint = did_you_mean(field, SELECTOR_FIELDS) or f"; known: {', '.join(SELECTOR_FIELDS)}"
            path = ("credentials", number, "selector")
            yield parts.document.fault(path, f'expected field=glob, got the field "{field}"{hint}')


def _levels(parts: Parts) -> Iterator[Fault]:
    site, fault = parts.site, parts.document.fault
    if site is None:
        return
    if site.safe_min_kw > site.rated_kw:
        yield fault(("site", "safe_min_kw"), f"expected at most rated_kw = {site.rated_kw:g}, got {site.safe_min_kw:g}")
    for key, level in (("standing_kw", site.standing_kw), ("failsafe_limit_kw", site.failsafe_limit_kw)):
        if level is not None and level > site.rated_kw:
            yield fault(("site", key), f"expected at most rated_kw = {site.rated_kw:g}, got {level:g}")
        elif level is not None and level < site.safe_min_kw <= site.rated_kw:
            yield fault(("site", key), f"expected at least safe_min_kw = {site.safe_min_kw:g}, got {level:g}")


def _zone(parts: Parts) -> Iterator[Fault]:
    name = "UTC" if parts.site is None else parts.site.timezone
    if name == "UTC":
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, zoneinfo.available_timezones())
        text = f'expected an IANA time zone that this machine knows, got "{name}"{hint}'
        yield parts.document.fault(("site", "timezone"), text)


def _polling(parts: Parts) -> Iterator[Fault]:
    poll, fault = parts.poll, parts.document.fault
    if poll is None:
        return
    for key, value in (("backoff_max_s", poll.backoff_max_s), ("seen_stale_s", poll.seen_stale_s)):
        if value < poll.interval_s:
            yield fault(("poll", key), f"expected at least interval_s = {poll.interval_s:g}, got {value:g}")
