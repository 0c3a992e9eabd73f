"""Checks of this host: clock, limits of the kernel against the size of the fleet, loop lag, who scrapes."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import resource
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from farmctl.cli.doctor.finding import Finding, fail, ok, warn
from farmctl.cli.doctor.patient import Patient
from farmctl.cli.doctor.site import Check
from farmctl.config.schema.kinds import split_endpoint

UNSYNCHRONISED = 5
"""TIME_ERROR of adjtimex(2)."""
FILES_PER_MINER = 2
FILES_SPARE = 500
LAG_WARN_S, LAG_FAIL_S = 0.05, 0.5
METRICS_S = 5.0
LARGEST = 64 * 2**20
_LAG = re.compile(rb'^farmctl_event_loop_lag_seconds\{[^}]*quantile="0\.99"[^}]*\} ([0-9.e+-]+)$', re.MULTILINE)
_BUCKET = re.compile(rb'^farmctl_event_loop_lag_seconds_bucket\{[^}]*le="([^"]+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
_GAUGE = re.compile(rb"^farmctl_event_loop_lag_seconds(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)
CONNECTED = "01"
"""ESTABLISHED in /proc/net/tcp: a scraper keeps its connection open between scrapes."""


def _clock(patient: Patient) -> Iterator[Finding]:
    off = [row for row in patient.alarms if row["alarm"] in ("clock_offset", "clock_refusing")]
    for row in off:
        yield fail("clock offset", f"{row['where']}: {row['detail']}", "see docs/runbooks/clock_refusing.md")
    library = ctypes.util.find_library("c")
    try:
        state = ctypes.CDLL(library, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return
    if state == UNSYNCHRONISED or state < 0:
        yield warn("NTP", "the kernel says that this clock is not synchronised", "start chrony or systemd-timesyncd")
    else:
        yield ok("NTP", "the kernel's clock is synchronised")


def _limits(patient: Patient) -> Iterator[Finding]:
    """Open files, tracked connections and neighbours that the fleet needs, against what the kernel gives."""
    miners = max(len(patient.inventory), 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = FILES_PER_MINER * miners + FILES_SPARE
    told = f"{soft} (hard {hard}), {miners} miners want {need}"
    fix = f"LimitNOFILE={max(need, 65_536)} in the service, ulimit -n in a shell"
    yield ok("open files", told) if soft >= need else warn("open files", told, fix)
    for name, path, each in (
        ("conntrack", "net/netfilter/nf_conntrack_max", 3 * miners),
        ("ARP gc_thresh3", "net/ipv4/neigh/default/gc_thresh3", 2 * miners),
    ):
        value = _sysctl(path)
        if value is None:
            yield ok(name, "not in use here")
        elif value < each:
            yield warn(name, f"{value}, {miners} miners want {each}", f"sysctl -w {path.replace('/', '.')}={each}")
        else:
            yield ok(name, f"{value}, {miners} miners want {each}")


def _sysctl(path: str) -> int | None:
    try:
        return int(Path("/proc/sys", path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _metrics(patient: Patient) -> Iterator[Finding]:
    """Loop lag out of our own metrics, and whether somebody else reads them."""
    if patient.loaded is None or patient.state is None:
        return
    host, port = split_endpoint(patient.loaded.config.metrics.listen)
    host = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104 - compared, not bound
    scraped = _connections(port)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=METRICS_S) as answer:
            text = answer.read(LARGEST)
    except (OSError, urllib.error.URLError, ValueError) as error:
        yield warn(
            "metrics", f"{host}:{port}: {error}", "check [metrics] listen; TLS or a password keeps this check out"
        )
        return
    lag_s = lag_of(text)
    if lag_s is not None:
        told = f"{1000 * lag_s:.0f} ms"
        fix = "fewer miners in this process, a faster core, or a slower poll"
        level = fail if lag_s > LAG_FAIL_S else warn
        yield ok("loop lag p99", told) if lag_s <= LAG_WARN_S else level("loop lag p99", told, fix)
    if scraped:
        yield ok("Prometheus", f"{scraped} scraper connected to port {port}")
    else:
        yield warn("Prometheus", f"nobody is connected to port {port}", "add this controller to the scrape job")


def lag_of(text: bytes) -> float | None:
    """p99 of the loop lag in an exposition, s: a summary, a histogram's bucket, or a gauge; None for none."""
    if found := _LAG.search(text):
        return float(found[1])
    buckets = [(float(le), float(n)) for le, n in _BUCKET.findall(text)]
    if buckets:
        total = max(n for _, n in buckets)
        return next((le for le, n in buckets if total and n >= 0.99 * total), None)
    return float(found[1]) if (found := _GAUGE.search(text)) else None


def _connections(port: int) -> int:
    """Connections to a local port, by the kernel's table."""
    wanted, n = f":{port:04X}", 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        n += sum(line.split()[1].endswith(wanted) and line.split()[3] == CONNECTED for line in lines)
    return n


CHECKS: tuple[Check, ...] = (_clock, _limits, _metrics)
