"""Which messages of a site count: signed by it where its keys are known, about it, and newer than the last one."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from farmctl.core.reasons import Reason
from farmctl.core.units import NEVER_MS
from farmctl.ports.grid import Refusal
from farmctl.signals._intake.clocks import MOST_SKEW_MS
from farmctl.signals._intake.duration import time_ms_of
from farmctl.signals._intake.keys import Keyring
from farmctl.signals._intake.origin import ForgedError, check_version
from farmctl.signals._intake.shape import JsonObject, json_object
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.kit.heard import header_of, is_signed
from farmctl.signals.kit.holding import Letter

log = structlog.get_logger(__name__)

JUDGED = frozenset({"ack", "report", "telemetry", "state", "capability"})
"""`status` is a hint from which nothing is counted; other topics are nobody's."""
RETAINED = frozenset({"state", "capability"})
"""Said again byte for byte over each new connection, by the broker and by the site, and true until the next one."""
MOST_WAITING = 1_024
"""Refusals not journalled yet; what a flood brings beyond it is only logged."""
Refuse = Callable[[Refusal], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTerms:
    """What is known of a site before it speaks."""

    site: str
    root: str
    """Its topics without the last level, as it signed them."""
    keys: Keyring | None
    """Its public keys; None: it is believed unsigned, on loopback only."""
    stale_ms: int
    """Telemetry that is older by its own time is worth nothing: it may have been held back."""
    bare: frozenset[str] = frozenset()
    """Channels on which a signature may be missing; one that is there must be genuine."""


class Gate:
    """Judges what a broker says that a site has said; what does not count is told to `refuse`, in order."""

    def __init__(self, terms: GateTerms, refuse: Refuse) -> None:
        self.dropped = 0
        """Refusals that were too many to be journalled."""
        self._terms = terms
        self._refuse = refuse
        self._last: dict[str, tuple[bytes, tuple[int, int]]] = {}
        """Channel -> the last message that counted, and its (ts, seq)."""
        self._waiting: deque[Refusal] = deque()
        self._news = asyncio.Event()
        self._told: set[str] = set()

    def admits(self, channel: str, raw: bytes, now_ms: int) -> bool:
        """Whether a message on that topic of the site counts; never raises."""
        if channel not in JUDGED:
            return channel == "status"
        last = self._last.get(channel)
        if channel in RETAINED and last is not None and last[0] == raw:
            return True
        try:
            self._check(channel, raw, now_ms)
        except NotAcceptedError as fault:
            self._turn_away(channel, fault.reason, fault.detail, raw)
            return False
        return True

    def repeated(self, letter: Letter) -> None:
        """An ack or report came that was held already: it is answered again, and changes nothing."""
        detail = f"number {letter.number} of outbox {letter.box} is held already"
        self._turn_away(letter.channel, Reason.DUPLICATE, detail, json.dumps(letter.body).encode())

    async def run(self) -> None:
        """Hand on what was refused, until cancelled; what is interrupted is handed on again."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._refuse(self._waiting[0])
                self._waiting.popleft()

    def _check(self, channel: str, raw: bytes, now_ms: int) -> None:
        """Raises NotAcceptedError."""
        body = json_object(raw)
        header = header_of(channel, body)
        if header is None:
            raise NotAcceptedError(Reason.BAD_FIELD, "x-farmctl: expected an object")
        self._check_origin(channel, body, header, now_ms)
        check_version(header)
        if header.get("site") != self._terms.site:
            told = str(header.get("site"))[:64]
            raise NotAcceptedError(Reason.NOT_FOR_THIS_SITE, f"site {told!r}, expected {self._terms.site!r}")
        if channel not in ("ack", "report"):  # those may have waited for hours, and are known by their number
            self._check_time(channel, raw, header, now_ms)

    def _check_origin(self, channel: str, body: JsonObject, header: JsonObject, now_ms: int) -> None:
        """Raises ForgedError; messages of a site name no key, so each one that is valid now may have signed it."""
        ring, topic = self._terms.keys, f"{self._terms.root}/{channel}"
        if ring is None or ("sig" not in header and channel in self._terms.bare):
            return
        usable = {kid: key for kid in ring.keys if (key := ring.usable(kid, now_ms)) is not None}
        if not any(is_signed(channel, body, topic, key.public) for key in usable.values()):
            names = ", ".join(sorted(usable)) or "none is valid now"
            what = "sig is by none of this site's keys" if "sig" in header else "sig is missing; this site has keys"
            raise ForgedError(Reason.UNKNOWN_ISSUER, f"{what} ({names}) over topic {topic} and this payload")

    def _check_time(self, channel: str, raw: bytes, header: JsonObject, now_ms: int) -> None:
        """Raises NotAcceptedError for what is from the future, not newer than the last, or telemetry that is stale."""
        try:
            at_ms = time_ms_of(header.get("ts"))
        except ValueError as fault:
            raise NotAcceptedError(Reason.BAD_FIELD, f"ts: {fault}") from fault
        seq = header.get("seq") if channel in RETAINED else 0  # telemetry echoes the sequence of its event
        if not isinstance(seq, int):
            raise NotAcceptedError(Reason.BAD_FIELD, "seq: expected an integer")
        if at_ms > now_ms + MOST_SKEW_MS:
            raise NotAcceptedError(Reason.CLOCK_AHEAD, f"ts is {at_ms - now_ms} ms ahead of the clock here")
        if channel == "telemetry" and at_ms < now_ms - self._terms.stale_ms - MOST_SKEW_MS:
            detail = f"ts is {now_ms - at_ms} ms old: it was held back, or the site's clock is late"
            raise NotAcceptedError(Reason.EXPIRED, detail)
        before, mark = self._last.get(channel, (b"", (NEVER_MS, 0))), (at_ms, seq)
        if before[0] == raw:
            raise NotAcceptedError(Reason.DUPLICATE, "the same message was heard before")
        if mark <= before[1]:
            raise NotAcceptedError(Reason.OLD_SEQUENCE, f"(ts, seq) {mark} is not above the last one {before[1]}")
        self._last[channel] = raw, mark

    def _turn_away(self, channel: str, reason: Reason, detail: str, raw: bytes) -> None:
        if reason not in self._told and reason is not Reason.DUPLICATE:  # a broken link brings those by itself
            self._told.add(reason)
            log.warning(
                "site_message_refused", site=self._terms.site, topic=channel, reason=reason.value, detail=detail
            )
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % MOST_WAITING == 0:
                log.warning("site_refusals_not_journalled", site=self._terms.site, so_far=self.dropped)
            return
        refusal = Refusal(
            source=f"programme.{self._terms.site}",
            topic=f"{self._terms.root}/{channel}",
            reason=reason,
            detail=detail,
            ack=None,
            raw=raw,
        )
        self._waiting.append(refusal)
        self._news.set()
