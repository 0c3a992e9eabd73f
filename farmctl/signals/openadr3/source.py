"""The OpenADR 3.1 VEN: polls for ever, tells the site what changed and how alive the link is, reports back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import structlog

from farmctl.core.grid import Ack, EventState
from farmctl.core.units import MS_PER_S, NEVER_MS
from farmctl.errors import FarmError, RefusedError, StoreError
from farmctl.ports.grid import Inbox, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals.openadr3 import notifier
from farmctl.signals.openadr3.config import OpenAdr3Config, check
from farmctl.signals.openadr3.listener import Listener
from farmctl.signals.openadr3.metering import Metering
from farmctl.signals.openadr3.reports import ReportBody, Reporter, ack_report
from farmctl.signals.openadr3.rest import ConflictError, UnknownPathError, Vtn

log = structlog.get_logger()

MOST_WAITING = 1_000
"""Reports kept while the VTN is away; the oldest are dropped first, because the newest state counts."""
RETRY_S = 5.0
NOTIFIER_RETRY_S = 60.0
PROGRAMMES_EVERY_S = 60.0


class OpenAdr3Source:
    """A SignalSource and the Uplink to the same VTN.  Raises ConfigError for a configuration with faults."""

    def __init__(self, config: OpenAdr3Config, clock: Clock) -> None:
        check(config)
        if config.certificates is not None:
            config.certificates.context()
        self.name = config.name
        self.polls = 0
        """Good polls."""
        self.dropped = 0
        """Reports that the VTN refused, or that waited too long."""
        self._config = config
        self._clock = clock
        self._reporter = Reporter(
            client_name=config.ven_name, resource=config.resource or config.site, rating_w=config.rating_w
        )
        self._metering = Metering(self._reporter)
        self._listener = Listener(config.rules(), self._metering, path=f"{config.url.rstrip('/')}/events")
        self._waiting: deque[ReportBody] = deque()
        self._work = asyncio.Event()
        self._nudged = asyncio.Event()
        self._connected = False
        self._told_lost = False
        self._last_good_ms = NEVER_MS
        self._told_all_ms = NEVER_MS
        self._asked = self._heeded = 0
        """How often everything was to be told again, and for which of them it was."""
        self._ids: frozenset[str] = frozenset()
        self._asked_programmes_s = float("-inf")

    async def run(self, inbox: Inbox) -> None:
        """Poll until cancelled."""
        await self._listener.recall(inbox)
        async with Vtn(self._config) as vtn, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_for_ever(vtn, inbox))
            tasks.create_task(self._report_for_ever(vtn))
            if self._config.notifications or self._config.register:
                tasks.create_task(self._enrol(vtn))

    async def ack(self, ack: Ack) -> None:
        """Queue one ack about an event of this VTN."""
        if ack.source == self.name:
            self._queue([ack_report(ack, self._reporter)])

    def ask_again(self) -> None:
        """Poll now, and state everything that is listed anew."""
        self._asked += 1
        self._nudged.set()

    async def telemetry(self, telemetry: Telemetry) -> None:
        """Measure for the reports that events ask for; OpenADR has no telemetry of its own."""
        self._metering.sample(telemetry)
        self._queue(self._metering.due(telemetry.at_ms))

    async def site_state(self, state: SiteState) -> None:
        """OpenADR has no place for it."""

    def _queue(self, reports: Iterable[ReportBody]) -> None:
        for report in reports:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(report)
            self._work.set()

    async def _poll_for_ever(self, vtn: Vtn, inbox: Inbox) -> None:
        while True:
            self._nudged.clear()
            try:
                await self._poll(vtn, inbox)
            except StoreError as fault:
                log.error("grid_signal_not_stored", source=self.name, fault=str(fault))  # noqa: TRY400 - the text says it all
            except FarmError as fault:
                self._say_lost(fault)
            self._tell(inbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.poll_s):
                    await self._nudged.wait()

    async def _poll(self, vtn: Vtn, inbox: Inbox) -> None:
        """One good poll: the list was read whole and every change is durable."""
        asked = self._asked
        if asked != self._heeded:
            self._listener.forget()
        listed = await vtn.listing("/events", {"active": "true"})
        rules = await self._rules(vtn, listed)
        now_ms = self._clock.now_ms()
        for event in await self._listener.take(listed, rules, inbox, now_ms):
            if EventState.RECEIVED in event.ack_states:
                received = Ack(
                    source=self.name,
                    event_id=event.event_id,
                    msg_id=event.msg_id,
                    epoch=event.epoch,
                    seq=event.seq,
                    state=EventState.RECEIVED,
                    code=1,
                    reason="",
                    at_ms=now_ms,
                )
                self._queue([ack_report(received, self._reporter)])
        self.polls += 1
        self._last_good_ms = now_ms
        self._heeded = asked
        if asked == self._asked:
            self._told_all_ms = now_ms
        self._say_back()

    async def _rules(self, vtn: Vtn, listed: list[JsonObject]) -> IntakeRules:
        """The checks, with the ids of programmes that the configuration knows by name."""
        rules, named = self._config.rules(), self._config.programmes
        strangers = any(body.get("programID") not in named | self._ids for body in listed)
        due = self._clock.monotonic_s() - self._asked_programmes_s >= PROGRAMMES_EVERY_S
        if named and strangers and due:
            self._asked_programmes_s = self._clock.monotonic_s()
            found = await vtn.listing("/programs")
            self._ids = frozenset(str(p.get("id")) for p in found if p.get("programName") in named)
        return replace(rules, programmes=named | self._ids) if named else rules

    def _tell(self, inbox: Inbox) -> None:
        age_ms = self._clock.now_ms() - self._last_good_ms
        fresh = self._last_good_ms != NEVER_MS and age_ms < self._config.loss_after_s * MS_PER_S
        inbox.link(
            self.name,
            connected=self._connected,
            last_valid_ms=self._last_good_ms,
            confirmed=fresh,
            clock_offset_ms=0,
            told_all_ms=self._told_all_ms,
        )

    async def _report_for_ever(self, vtn: Vtn) -> None:
        """Deliver in order; what the VTN refuses is dropped, what it cannot take now waits."""
        while True:
            while self._waiting:
                report = self._waiting.popleft()
                try:
                    await vtn.post("/reports", report)
                except RefusedError as fault:
                    self.dropped += 1
                    log.warning("grid_report_refused", source=self.name, fault=str(fault))
                except FarmError as fault:
                    log.debug("grid_report_waits", source=self.name, fault=str(fault))
                    self._waiting.appendleft(report)
                    await self._clock.sleep(RETRY_S)
            self._work.clear()
            await self._work.wait()

    async def _enrol(self, vtn: Vtn) -> None:
        """Be known to the VTN and listen to its notifier; both are extras, the polls do without."""
        told = False
        while True:
            try:
                ven_id = await self._ven_id(vtn)
                broker = await notifier.discover(vtn, ven_id) if ven_id and self._config.notifications else None
                if broker is None:
                    return
                log.info("grid_notifier", source=self.name, broker=str(broker.url), topics=broker.topics)
                await notifier.listen(broker, vtn, self._config, self._nudged.set)
            except notifier.BROKEN as fault:
                if not told:
                    log.warning("grid_notifier_lost", source=self.name, fault=str(fault))
                told = True
            await self._clock.sleep(NOTIFIER_RETRY_S)

    async def _ven_id(self, vtn: Vtn) -> str:
        """Our id at the VTN; empty where it has none and we may not make one."""
        name = self._config.ven_name
        try:
            known = [ven for ven in await vtn.listing("/vens", {"venName": name}) if ven.get("venName") == name]
            if not known and self._config.register:
                known = [await vtn.post("/vens", {"objectType": "VEN_VEN_REQUEST", "venName": name})]
        except (UnknownPathError, ConflictError) as fault:
            log.warning("grid_ven_unknown", source=self.name, ven=name, fault=str(fault))
            return ""
        return str(known[0].get("id", "")) if known else ""

    def _say_lost(self, fault: FarmError) -> None:
        self._connected = False
        if not self._told_lost:
            log.warning("grid_link_lost", source=self.name, url=self._config.url, fault=str(fault))
        self._told_lost = True

    def _say_back(self) -> None:
        self._connected = True
        if self._told_lost:
            log.info("grid_link_back", source=self.name, url=self._config.url)
        self._told_lost = False
