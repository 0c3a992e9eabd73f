"""The 2.0b VEN: registers, polls for ever, opts in or out of each event, and tells how alive the link is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta

import aiohttp
import structlog

from farmctl.core.grid import Ack, EventState
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S, NEVER_MS
from farmctl.errors import FarmError, RefusedError, StoreError
from farmctl.ports.grid import Inbox, Receipt, Refusal, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake import listing, standing
from farmctl.signals._intake.desk import sequence_state
from farmctl.signals._intake.listing import Change
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.standing import Standing
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.openadr2.answers import Opt, Opts
from farmctl.signals.openadr2.codec import Codec, Message, request_id
from farmctl.signals.openadr2.config import OpenAdr2Config, check
from farmctl.signals.openadr2.events import CANCELLED, COMPLETED, Circumstances, converted
from farmctl.signals.openadr2.wire import OK_CODE, Wire

log = structlog.get_logger()

DEFAULT_POLL_S = 10.0
RESYNC_S = 60.0
"""A whole list is asked for this often, in case a distribution was lost."""
LOAD_HOLDS_MS = 30_000


class OpenAdr2Source:
    """A SignalSource and the Uplink to the same VTN.  Raises ConfigError for a configuration with faults."""

    def __init__(self, config: OpenAdr2Config, clock: Clock) -> None:
        check(config)
        self.name = config.name
        self.polls = 0
        """Good polls."""
        self._config = config
        self._clock = clock
        self._tls = config.certificates.context() if config.certificates is not None else None
        self._standing = Standing()
        self._refused: dict[str, str] = {}
        self._opts = Opts()
        self._listed: list[JsonObject] | None = None
        self._ven_id = config.ven_id
        self._registered = False
        self._resync_s = float("-inf")
        self._poll_s = config.poll_s or DEFAULT_POLL_S
        self._load: tuple[int, float] | None = None
        self._connected = False
        self._told_lost = False
        self._last_good_ms = NEVER_MS
        self._told_all_ms = NEVER_MS
        self._asked = self._heeded = 0
        """How often everything was to be told again, and for which of them it was."""

    async def run(self, inbox: Inbox) -> None:
        """Poll until cancelled.  Raises ConfigError where the extra `openadr2` is not installed."""
        codec = await asyncio.to_thread(Codec, self._config)  # a second of imports
        self._standing = standing.from_bytes(await inbox.state(sequence_state(self.name)))
        timeout = aiohttp.ClientTimeout(total=self._config.deadline_s)
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        headers = {"Content-Type": "application/xml"}
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            wire = Wire(config=self._config, codec=codec, session=session)
            while True:
                await self._turn(wire, inbox)
                await self._clock.sleep(self._poll_s)

    async def ack(self, ack: Ack) -> None:
        """A local decision against an event becomes an optOut; optIn was said when it was taken."""
        if ack.source == self.name and ack.state is EventState.OPTED_OUT:
            self._opts.change(ack.event_id, "optOut")

    def ask_again(self) -> None:
        """Ask for the whole list, and state everything that is on it anew."""
        self._asked += 1

    async def telemetry(self, telemetry: Telemetry) -> None:
        """The load against which a delta is stated; 2.0b reports are not offered."""
        self._load = (telemetry.at_ms, telemetry.power_w)

    async def site_state(self, state: SiteState) -> None:
        """OpenADR has no place for it."""

    async def _turn(self, wire: Wire, inbox: Inbox) -> None:
        asked = self._asked
        if asked != self._heeded:
            self._standing = self._standing.without_orders()
            self._resync_s = float("-inf")
        try:
            await self._poll(wire)
            await self._take(inbox)
            self._heeded = asked
            await self._answer(wire)
            self.polls += 1
            self._last_good_ms = self._clock.now_ms()
            if asked == self._asked:
                self._told_all_ms = self._last_good_ms
            self._say_back()
        except StoreError as fault:
            log.error("grid_signal_not_stored", source=self.name, fault=str(fault))  # noqa: TRY400 - the text says it all
        except FarmError as fault:
            self._say_lost(fault)
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

    async def _poll(self, wire: Wire) -> None:
        """Register where needed, then hear what is new; the whole list from time to time."""
        if not self._registered:
            await self._register(wire)
        if self._clock.monotonic_s() - self._resync_s >= RESYNC_S:
            reply = await wire.call("EiEvent", "oadrRequestEvent", request_id=request_id(), ven_id=self._ven_id)
            self._hear(reply, whole=True)
            self._resync_s = self._clock.monotonic_s()
            return
        self._hear(await wire.call("OadrPoll", "oadrPoll", ven_id=self._ven_id), whole=False)

    def _hear(self, reply: Message, *, whole: bool) -> None:
        match reply.kind:
            case "oadrDistributeEvent":
                found = reply.body.get("events")
                self._listed = [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []
                self._opts.heard(self._listed, str(reply.body.get("request_id", "")))
            case "oadrResponse" if whole:
                self._listed = []
            case "oadrRequestReregistration" | "oadrCancelPartyRegistration":
                self._registered = False
                self._resync_s = float("-inf")
            case "oadrResponse":
                pass
            case other:
                log.debug("grid_message_unserved", source=self.name, kind=other)

    async def _register(self, wire: Wire) -> None:
        reply = await wire.call(
            "EiRegisterParty",
            "oadrCreatePartyRegistration",
            request_id=request_id(),
            ven_name=self._config.ven_name,
            ven_id=self._ven_id,
            http_pull_model=True,
            xml_signature=self._config.certificates is not None,
            report_only=False,
            profile_name="2.0b",
            transport_name="simpleHttp",
            transport_address=None,
            registration_id=None,
        )
        ven_id = reply.body.get("ven_id")
        if not reply.body.get("registration_id") or not ven_id:
            raise RefusedError(f"the VTN does not register VEN {self._config.ven_name!r}")
        self._ven_id = str(ven_id)
        self._registered = True
        asked = reply.body.get("requested_oadr_poll_freq")
        seconds = asked.total_seconds() if isinstance(asked, timedelta) else DEFAULT_POLL_S
        self._poll_s = self._config.poll_s or min(max(seconds, 1.0), self._config.loss_after_s / 2)

    async def _take(self, inbox: Inbox) -> None:
        """Tell the site what changed; each change is durable before it counts."""
        if self._listed is None:
            return
        now_ms = self._clock.now_ms()
        live = [event for event in self._listed if _status(event) not in (CANCELLED, COMPLETED)]
        for event in live:
            change = await self._changed(event, inbox, now_ms)
            if change is not None:
                await self._accept(change, inbox, _raw(event))
        present = {_event_id(event) for event in self._listed if _status(event) != CANCELLED}
        for change in listing.gone(self._standing, present, source=self.name, now_ms=now_ms):
            await self._accept(change, inbox, b"")

    async def _changed(self, event: JsonObject, inbox: Inbox, now_ms: int) -> Change | None:
        name = _event_id(event)
        digest = listing.listing_digest(json.loads(_raw(event)), without=("targets_by_type",))
        if self._refused.get(name) == digest:
            return None
        pair = listing.next_pair(self._standing)
        at = Circumstances(rules=self._config.rules(), pair=pair, now_ms=now_ms, load_w=self._load_w(now_ms))
        try:
            found = converted(event, at)
            change = None if found is None else listing.put(self._standing, found, digest, now_ms)
        except NotAcceptedError as fault:
            self._refused = {**dict(list(self._refused.items())[-999:]), name: digest}
            self._opts.change(name, "optOut")
            await inbox.refuse(_refusal(self._config, event, fault))
            return None
        if found is not None:
            self._opts.change(name, "optIn")
        return change

    async def _accept(self, change: Change, inbox: Inbox, raw: bytes) -> None:
        states = {sequence_state(self.name): standing.to_bytes(change.standing)}
        topic = f"{self._config.url}/EiEvent"
        await inbox.accept(Receipt(source=self.name, topic=topic, message=change.message, raw=raw, states=states))
        self._standing = change.standing

    async def _answer(self, wire: Wire) -> None:
        """One oadrCreatedEvent with every answer that is owed; what fails is owed still."""
        owed = self._opts.owed()
        if not owed:
            return
        ok = {"response_code": OK_CODE, "response_description": "OK", "request_id": owed[0].request_id}
        answers = list(_answers(owed))
        await wire.call("EiEvent", "oadrCreatedEvent", ven_id=self._ven_id, response=ok, event_responses=answers)
        self._opts.said(owed)

    def _load_w(self, now_ms: int) -> float | None:
        return self._load[1] if self._load is not None and now_ms - self._load[0] <= LOAD_HOLDS_MS else None

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


def _answers(owed: list[Opt]) -> Iterator[dict[str, object]]:
    for opt in owed:
        yield {
            "response_code": OK_CODE,
            "response_description": "OK",
            "request_id": opt.request_id,
            "event_id": opt.event_id,
            "modification_number": opt.modification,
            "opt_type": opt.opt_type,
        }


def _refusal(config: OpenAdr2Config, event: JsonObject, fault: NotAcceptedError) -> Refusal:
    return Refusal(
        source=config.name,
        topic=f"{config.url}/EiEvent",
        reason=Reason(fault.reason),
        detail=f"event {_event_id(event)[:64]}: {fault.detail}",
        ack=None,
        raw=_raw(event),
    )


def _descriptor(event: JsonObject) -> JsonObject:
    found = event.get("event_descriptor")
    return found if isinstance(found, dict) else {}


def _event_id(event: JsonObject) -> str:
    return str(_descriptor(event).get("event_id", ""))


def _status(event: JsonObject) -> str:
    return str(_descriptor(event).get("event_status", ""))


def _raw(event: JsonObject) -> bytes:
    """What was said, for the journal and the digest: without the status, which changes by itself."""
    descriptor = {name: value for name, value in _descriptor(event).items() if name != "event_status"}
    return json.dumps({**event, "event_descriptor": descriptor}, default=str, sort_keys=True).encode()
