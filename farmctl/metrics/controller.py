"""What the controller counts about itself, kept by prometheus_client in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

from farmctl.metrics.families import controller as row
from farmctl.metrics.families.row import Instrument
from farmctl.metrics.text import Dialect

OPEN_METRICS_END = "# EOF\n"
PRIORITIES = ("1", "2", "3", "4")


class ControllerMetrics:
    """The engine's counters; every method is cheap enough for each poll and may be called from any thread."""

    def __init__(self, site: str, version: str) -> None:
        # A _created series per counter doubles them and no rule of ours reads one.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        self.registry = CollectorRegistry(auto_describe=False)
        self._site = site
        self._commands = self._counter(row.COMMANDS_TOTAL)
        self._refused = self._counter(row.SIGNALS_REFUSED)
        self._alarms = self._counter(row.ALARMS_RAISED)
        for priority in PRIORITIES:  # from 0, so that the first one is an increase
            self._alarms.labels(site, priority)
        self._overruns = self._counter(row.POLL_OVERRUN).labels(site)
        self._journal = self._counter(row.JOURNAL_RECORDS).labels(site)
        self._command_s = self._histograms(row.COMMAND_DURATION)
        self._response_s = self._histogram(row.DISPATCH_RESPONSE)
        self._event_s = self._histogram(row.EVENT_RESPONSE)
        polls = self._counter(row.POLLS_TOTAL)
        self._polled = {True: polls.labels(site, "ok"), False: polls.labels(site, "failed")}
        self._lag_s = self._histogram(row.LOOP_LAG)
        self._cycle_s = self._histogram(row.CYCLE_DURATION)
        self._poll_s = self._histogram(row.POLL_DURATION)
        self._in_flight = self._gauge(row.POLL_IN_FLIGHT)
        self._free = self._gauge(row.STORE_FREE)
        self._clients = self._gauge(row.API_CLIENTS)
        build = Info(row.BUILD_INFO.name.removesuffix("_info"), row.BUILD_INFO.help, ("site",), registry=self.registry)
        build.labels(site).info({"version": version})

    def count_command(self, verb: str, firmware: str, result: str, commands: int = 1) -> None:
        """Commands ended; `verb` is the kind of operating point, `result` how."""
        self._commands.labels(self._site, verb, firmware, result).inc(commands)

    def know(self, firmware: str) -> None:
        """Count its commands from 0, so that the first ones are an increase."""
        self._command_s.labels(self._site, firmware)

    def observe_command(self, firmware: str, seconds: float) -> None:
        """A device answered a command."""
        self._command_s.labels(self._site, firmware).observe(seconds)

    def observe_response(self, seconds: float) -> None:
        """The first command of a signal went out this long after it came in."""
        self._response_s.observe(seconds)

    def observe_event(self, seconds: float) -> None:
        """A grid event reached its target so long after its start."""
        self._event_s.observe(seconds)

    def count_refused(self, source: str, reason: str, signals: int = 1) -> None:
        """Signals were refused; `reason` is a word of the stable vocabulary."""
        self._refused.labels(self._site, source, reason).inc(signals)

    def observe_poll(self, seconds: float, *, ok: bool = True) -> None:
        """A poll ended."""
        self._poll_s.observe(seconds)
        self._polled[ok].inc()

    def count_overrun(self, polls: int = 1) -> None:
        """Polls were due before the ones before had ended."""
        self._overruns.inc(polls)

    def set_in_flight(self, polls: int) -> None:
        """Polls that wait for an answer now."""
        self._in_flight.labels(self._site).set(polls)

    def observe_lag(self, seconds: float) -> None:
        """The event loop woke a timer this late."""
        self._lag_s.observe(seconds)

    def observe_cycle(self, seconds: float) -> None:
        """A cycle took this long."""
        self._cycle_s.observe(seconds)

    def count_journal(self, records: int = 1) -> None:
        """Records became durable."""
        self._journal.inc(records)

    def set_store_free(self, free_bytes: float) -> None:
        """Space left where the store lives."""
        self._free.labels(self._site).set(free_bytes)

    def set_api_clients(self, clients: int) -> None:
        """Clients connected to the control API."""
        self._clients.labels(self._site).set(clients)

    def count_alarm(self, priority: str) -> None:
        """An alarm was raised."""
        self._alarms.labels(self._site, priority).inc()

    def render(self, dialect: Dialect) -> str:
        """The registry as text, without the end mark of OpenMetrics."""
        match dialect:
            case Dialect.TEXT:
                return generate_latest(self.registry).decode()
            case Dialect.OPEN_METRICS:
                text: bytes = generate_open_metrics(self.registry)  # type: ignore[no-untyped-call]  # untyped there
                return text.decode().removesuffix(OPEN_METRICS_END)

    def _counter(self, instrument: Instrument) -> Counter:
        return Counter(instrument.name, instrument.help, ("site", *instrument.labels), registry=self.registry)

    def _gauge(self, instrument: Instrument) -> Gauge:
        """Without a series until it is set: unknown is absent."""
        return Gauge(instrument.name, instrument.help, ("site", *instrument.labels), registry=self.registry)

    def _histograms(self, instrument: Instrument) -> Histogram:
        labels, buckets = ("site", *instrument.labels), instrument.buckets
        return Histogram(instrument.name, instrument.help, labels, buckets=buckets, registry=self.registry)

    def _histogram(self, instrument: Instrument) -> Histogram:
        child: Histogram = self._histograms(instrument).labels(self._site)
        return child
