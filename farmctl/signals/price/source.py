"""The market as a signal source: says what the fleet is worth at this price, and nothing where the price is stale."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import aiohttp
import structlog

from farmctl.core.grid import MARKET_PRIORITY, Ack, EventClass, EventDelete, EventPut, GridEvent, Interval, OnExpiry
from farmctl.core.units import MS_PER_S
from farmctl.errors import FarmError, StoreError
from farmctl.ports.grid import Inbox, Receipt, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake.convert import respond_within_s
from farmctl.signals.price.config import CsvFeed, HttpFeed, MqttFeed, PriceConfig, StrikeRule, check
from farmctl.signals.price.feeds import read
from farmctl.signals.price.quotes import Quote, joined, value_at
from farmctl.signals.price.strike import WINDOW_MS, Gate, ModelGroup, after_window, tripped, wanted_w
from farmctl.signals.price.topic import listen

log = structlog.get_logger()

TICK_S = 5.0
NEWS = 0.001
"""A set-point within this part of the one in force is no news before its window ends."""


class PriceSource:
    """A SignalSource without a link: it never counts as the grid's voice.  Raises ConfigError for faults.

    `groups` gives the fleet by model as it is now; the surplus rule does not ask.
    """

    def __init__(self, config: PriceConfig, clock: Clock, groups: Callable[[], Sequence[ModelGroup]]) -> None:
        check(config)
        self.name = config.name
        self.price: float | None = None
        """The value that holds now; None: stale."""
        self.gates: dict[str, Gate] = {}
        self.said_w: float | None = None
        """What is in force; None: nothing was said."""
        self._config = config
        self._clock = clock
        self._groups = groups
        self._quotes: list[tuple[Quote, ...]] = [() for _ in config.feeds]
        self._raw: list[bytes] = [b"" for _ in config.feeds]
        self._read_s = [float("-inf") for _ in config.feeds]
        self._faults = ["" for _ in config.feeds]
        self._window = -1
        self._samples: list[float] = []
        self._stated_window = -1
        self._until_ms = 0
        self._seq = 0

    async def run(self, inbox: Inbox) -> None:
        """Watch the market until cancelled."""
        self._recall(await inbox.state(self._state_name))
        timeout = aiohttp.ClientTimeout(total=max(getattr(f, "deadline_s", TICK_S) for f in self._config.feeds))
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            for number, feed in enumerate(self._config.feeds):
                if isinstance(feed, MqttFeed):
                    tasks.create_task(self._listen(number, feed))
            await self._watch(session, inbox)

    async def _watch(self, session: aiohttp.ClientSession, inbox: Inbox) -> None:
        while True:
            await self._refresh(session)
            try:
                await self._tick(inbox)
            except StoreError as fault:
                log.error("grid_signal_not_stored", source=self.name, fault=str(fault))  # noqa: TRY400 - the text says it all
            await self._clock.sleep(TICK_S)

    async def ack(self, ack: Ack) -> None:
        """A market wants no answer: each window states anew what still holds."""

    async def telemetry(self, telemetry: Telemetry) -> None:
        """A market wants no telemetry."""

    async def site_state(self, state: SiteState) -> None:
        """A market has no place for it."""

    async def _refresh(self, session: aiohttp.ClientSession) -> None:
        """Read the feeds that are due, side by side; one that fails keeps what it said, which ends by itself."""
        now_s = self._clock.monotonic_s()
        async with asyncio.TaskGroup() as tasks:
            for number, feed in enumerate(self._config.feeds):
                if not isinstance(feed, MqttFeed) and now_s - self._read_s[number] >= feed.read_s:
                    self._read_s[number] = now_s
                    tasks.create_task(self._read(number, feed, session))

    async def _read(self, number: int, feed: CsvFeed | HttpFeed, session: aiohttp.ClientSession) -> None:
        try:
            self._quotes[number], self._raw[number] = await read(feed, session)
        except FarmError as fault:
            self._lost(number, str(fault))
            return
        self._back(number)

    async def _listen(self, number: int, feed: MqttFeed) -> None:
        def heard(quotes: tuple[Quote, ...], raw: bytes) -> None:
            self._quotes[number] = joined(self._quotes[number], quotes, self._clock.now_ms())
            self._raw[number] = raw
            self._back(number)

        await listen(feed, self._clock, heard, lambda fault: self._lost(number, fault))

    def _lost(self, number: int, fault: str) -> None:
        if fault != self._faults[number]:
            log.warning("price_feed_lost", source=self.name, fault=fault)
        self._faults[number] = fault

    def _back(self, number: int) -> None:
        if self._faults[number]:
            log.info("price_feed_back", source=self.name, feed=number)
        self._faults[number] = ""

    async def _tick(self, inbox: Inbox) -> None:
        now_ms = self._clock.now_ms()
        found = [(value_at(quotes, now_ms), raw) for quotes, raw in zip(self._quotes, self._raw, strict=True)]
        value, raw = next(((v, r) for v, r in found if v is not None), (None, b""))
        self.price = value
        ended = self._sample(value, now_ms)
        if value is None:
            self._expired(now_ms)
            return
        wanted = self._wanted(value, ended)
        if ended is not None:
            await inbox.keep({self._state_name: self._state(self.said_w, self._until_ms)})
        if wanted is None:
            await self._withdraw(inbox, now_ms)
        elif self._is_news(wanted, now_ms):
            await self._put(inbox, wanted, now_ms, raw)

    def _sample(self, value: float | None, now_ms: int) -> float | None:
        """Mean of the window that has just ended; None while it lasts, or where part of it had no price."""
        window = now_ms // WINDOW_MS
        mean = None
        if window != self._window:
            whole = window == self._window + 1 and self._samples and not any(map(math.isnan, self._samples))
            mean = sum(self._samples) / len(self._samples) if whole else None
            self._samples = [] if self._window >= 0 else [math.nan]  # the window of the start was not seen whole
            self._window = window
        self._samples.append(math.nan if value is None else value)
        return mean

    def _wanted(self, value: float, ended: float | None) -> float | None:
        rule = self._config.rule
        if not isinstance(rule, StrikeRule):
            return max(rule.baseline_w + value * 1_000.0, 0.0)
        groups = self._groups()
        if ended is not None:
            self.gates = after_window(self.gates, groups, ended, rule)
        self.gates = tripped(self.gates, groups, value, rule)
        return wanted_w(self.gates, groups, rule)

    def _is_news(self, wanted: float, now_ms: int) -> bool:
        if self.said_w is None or self._stated_window != now_ms // WINDOW_MS:
            return True
        return abs(wanted - self.said_w) > NEWS * max(self.said_w, wanted)

    async def _put(self, inbox: Inbox, wanted: float, now_ms: int, raw: bytes) -> None:
        """State it until the end of this window and the time that a stale price is held."""
        until_ms = (now_ms // WINDOW_MS + 1) * WINDOW_MS + round(self._config.holds_s * MS_PER_S)
        limit = self._config.states == "limit"
        event = GridEvent(
            event_id=self.name,
            msg_id=f"{self.name}-{self._seq + 1}",
            source=self.name,
            issuer=self.name,
            epoch=0,
            seq=self._seq + 1,
            event_class=EventClass.ECONOMIC,
            priority=MARKET_PRIORITY if self._config.priority is None else self._config.priority,
            created_ms=now_ms,
            expires_ms=until_ms,
            intervals=(
                Interval(
                    start_ms=now_ms,
                    end_ms=until_ms,
                    limit_w=wanted if limit else None,
                    setpoint_w=None if limit else wanted,
                    price=self.price if isinstance(self._config.rule, StrikeRule) else None,
                ),
            ),
            respond_within_s=respond_within_s(EventClass.ECONOMIC),
            on_expiry=OnExpiry.RELEASE,
        )
        await self._accept(inbox, EventPut(event=event), raw[:1_000], said_w=wanted, until_ms=until_ms)
        self._stated_window = now_ms // WINDOW_MS

    async def _withdraw(self, inbox: Inbox, now_ms: int) -> None:
        """Every group is worth its power again."""
        if self.said_w is None:
            return
        if now_ms < self._until_ms:
            message = EventDelete(
                source=self.name,
                event_id=self.name,
                msg_id=f"{self.name}-{self._seq + 1}",
                epoch=0,
                seq=self._seq + 1,
            )
            await self._accept(inbox, message, b"", said_w=None, until_ms=0)
        self.said_w = None

    def _expired(self, now_ms: int) -> None:
        """Without a price nothing is said: the last statement holds until its own end and is then released."""
        if self.said_w is not None and now_ms >= self._until_ms:
            log.warning("price_stale", source=self.name)
            self.said_w = None

    async def _accept(
        self, inbox: Inbox, message: EventPut | EventDelete, raw: bytes, *, said_w: float | None, until_ms: int
    ) -> None:
        self._seq += 1
        states = {self._state_name: self._state(said_w, until_ms)}
        await inbox.accept(Receipt(source=self.name, topic=self.name, message=message, raw=raw, states=states))
        self.said_w, self._until_ms = said_w, until_ms

    def _state(self, said_w: float | None, until_ms: int) -> bytes:
        gates = {name: asdict(gate) for name, gate in self.gates.items()}
        return json.dumps({"seq": self._seq, "said_w": said_w, "until_ms": until_ms, "gates": gates}).encode()

    def _recall(self, stored: bytes | None) -> None:
        """Gates and the last statement; rubbish counts as a first start."""
        try:
            state = json.loads(stored or b"{}")
            self.gates = {name: Gate(**gate) for name, gate in state["gates"].items()}
            self._seq, self._until_ms, self.said_w = int(state["seq"]), int(state["until_ms"]), state["said_w"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    @property
    def _state_name(self) -> str:
        return f"signals.{self.name}.market"
