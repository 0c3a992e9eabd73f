"""Metrics that the controller counts while it runs; prometheus_client keeps them."""

from __future__ import annotations

from farmctl.metrics.families.row import Instrument
from farmctl.metrics.text import Kind

POLL_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""A miner answers in 10-500 ms; 2 s is the deadline that a silent one costs its slot."""
LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""The loop must stay below 50 ms at p99."""
COMMAND_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
RESPONSE_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""From the signal to the first command: 100 ms is the target."""
EVENT_BUCKETS_S = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0)
"""From fast firmware (5 s down) to stock machines that restart (10 minutes)."""
CYCLE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)

COMMANDS_TOTAL = Instrument(
    name="farmctl_commands_total",
    kind=Kind.COUNTER,
    unit="",
    help=(
        "Commands by what they ask, the firmware they went to and how they ended: confirmed by telemetry, "
        "failed on the wire, unfollowed after every retry, expired or superseded."
    ),
    labels=("verb", "firmware", "result"),
)
COMMAND_DURATION = Instrument(
    name="farmctl_command_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="From handing a command to the wire to the device's answer, by firmware, seconds.",
    labels=("firmware",),
    buckets=COMMAND_BUCKETS_S,
)
DISPATCH_RESPONSE = Instrument(
    name="farmctl_dispatch_response_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="From receiving a signal to its first command on the wire, seconds.",
    buckets=RESPONSE_BUCKETS_S,
)
EVENT_RESPONSE = Instrument(
    name="farmctl_event_response_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="From the start of a grid event to its target reached at the meter, seconds.",
    buckets=EVENT_BUCKETS_S,
)
SIGNALS_REFUSED = Instrument(
    name="farmctl_signals_refused_total",
    kind=Kind.COUNTER,
    unit="",
    help="Signals that were refused, by source and reason; a refused one never actuates.",
    labels=("source", "reason"),
)
LOOP_LAG = Instrument(
    name="farmctl_event_loop_lag_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="How late the event loop woke a timer, seconds.",
    buckets=LAG_BUCKETS_S,
)
CYCLE_DURATION = Instrument(
    name="farmctl_cycle_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="Freeze, decide, journal and hand over: one control cycle, seconds.",
    buckets=CYCLE_BUCKETS_S,
)
POLL_DURATION = Instrument(
    name="farmctl_poll_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="One poll of one miner, from the request to the parsed answer or the failure, seconds.",
    buckets=POLL_BUCKETS_S,
)
POLLS_TOTAL = Instrument(
    name="farmctl_polls_total",
    kind=Kind.COUNTER,
    unit="",
    help="Polls that ended, by result: ok or failed.",
    labels=("result",),
)
POLL_OVERRUN = Instrument(
    name="farmctl_poll_overrun_total",
    kind=Kind.COUNTER,
    unit="",
    help="Polls that were due while the bound on polls in flight was reached.",
)
POLL_IN_FLIGHT = Instrument(
    name="farmctl_poll_in_flight", kind=Kind.GAUGE, unit="", help="Number of polls that wait for an answer now."
)
JOURNAL_RECORDS = Instrument(
    name="farmctl_journal_records_total",
    kind=Kind.COUNTER,
    unit="",
    help="Records made durable in the journal.",
)
STORE_FREE = Instrument(
    name="farmctl_store_free_bytes", kind=Kind.GAUGE, unit="bytes", help="Space left on the disk of the store, bytes."
)
API_CLIENTS = Instrument(
    name="farmctl_api_clients", kind=Kind.GAUGE, unit="", help="Number of clients that follow the control API."
)
ALARMS_RAISED = Instrument(
    name="farmctl_alarms_raised_total",
    kind=Kind.COUNTER,
    unit="",
    help="Alarms raised since the controller started, by priority.",
    labels=("priority",),
)
BUILD_INFO = Instrument(
    name="farmctl_build_info",
    kind=Kind.INFO,
    unit="",
    help="Version of the controller.",
    labels=("version",),
)

CONTROLLER: tuple[Instrument, ...] = (
    COMMANDS_TOTAL,
    COMMAND_DURATION,
    DISPATCH_RESPONSE,
    EVENT_RESPONSE,
    SIGNALS_REFUSED,
    LOOP_LAG,
    CYCLE_DURATION,
    POLL_DURATION,
    POLLS_TOTAL,
    POLL_OVERRUN,
    POLL_IN_FLIGHT,
    JOURNAL_RECORDS,
    STORE_FREE,
    API_CLIENTS,
    ALARMS_RAISED,
    BUILD_INFO,
)
