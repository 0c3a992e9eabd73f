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
CYCLE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)

COMMANDS_TOTAL = Instrument(
    name="farmctl_commands_total",
    kind=Kind.COUNTER,
    unit="",
    help="Commands by what they ask, the firmware they went to and how they ended.",
    labels=("verb", "firmware", "result"),
)
COMMAND_DURATION = Instrument(
    name="farmctl_command_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="From handing a command to the wire to the device's answer.",
    buckets=COMMAND_BUCKETS_S,
)
DISPATCH_RESPONSE = Instrument(
    name="farmctl_dispatch_response_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="From receiving a signal to its first command on the wire.",
    buckets=RESPONSE_BUCKETS_S,
)
SIGNALS_REFUSED = Instrument(
    name="farmctl_signals_refused_total",
    kind=Kind.COUNTER,
    unit="",
    help="Signals that were refused, by source and reason.",
    labels=("source", "reason"),
)
LOOP_LAG = Instrument(
    name="farmctl_event_loop_lag_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="How late the event loop woke a timer.",
    buckets=LAG_BUCKETS_S,
)
CYCLE_DURATION = Instrument(
    name="farmctl_cycle_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="Freeze, decide and hand over: one cycle.",
    buckets=CYCLE_BUCKETS_S,
)
POLL_DURATION = Instrument(
    name="farmctl_poll_duration_seconds",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    help="One poll of one miner, from the request to the parsed answer.",
    buckets=POLL_BUCKETS_S,
)
POLL_OVERRUN = Instrument(
    name="farmctl_poll_overrun_total",
    kind=Kind.COUNTER,
    unit="",
    help="Polls that were due before the one before had ended.",
)
POLL_IN_FLIGHT = Instrument(
    name="farmctl_poll_in_flight", kind=Kind.GAUGE, unit="", help="Polls that wait for an answer now."
)
JOURNAL_RECORDS = Instrument(
    name="farmctl_journal_records_total", kind=Kind.COUNTER, unit="", help="Records made durable in the journal."
)
STORE_FREE = Instrument(
    name="farmctl_store_free_bytes", kind=Kind.GAUGE, unit="bytes", help="Space left where the store lives."
)
API_CLIENTS = Instrument(
    name="farmctl_api_clients", kind=Kind.GAUGE, unit="", help="Clients connected to the control API."
)
ALARMS_RAISED = Instrument(
    name="farmctl_alarms_raised_total",
    kind=Kind.COUNTER,
    unit="",
    help="Alarms raised, by priority.",
    labels=("priority",),
)
BUILD_INFO = Instrument(
    name="farmctl_build_info", kind=Kind.INFO, unit="", help="Version of the controller.", labels=("version",)
)

CONTROLLER: tuple[Instrument, ...] = (
    COMMANDS_TOTAL,
    COMMAND_DURATION,
    DISPATCH_RESPONSE,
    SIGNALS_REFUSED,
    LOOP_LAG,
    CYCLE_DURATION,
    POLL_DURATION,
    POLL_OVERRUN,
    POLL_IN_FLIGHT,
    JOURNAL_RECORDS,
    STORE_FREE,
    API_CLIENTS,
    ALARMS_RAISED,
    BUILD_INFO,
)
