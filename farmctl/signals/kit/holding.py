"""The operator's end of a site's outbox: keep what came durably, drop repeats, say what is held."""

from __future__ import annotations

import asyncio
import bisect
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from farmctl.errors import FarmError
from farmctl.signals._intake.shape import MAX_INTEGER
from farmctl.signals.kit.heard import Payload, Said

log = structlog.get_logger(__name__)

KEPT_CHANNELS = frozenset({"ack", "report"})
MOST_WAITING = 16_384
"""Beyond it the newest is dropped, not acknowledged, and therefore sent again."""
MOST_BOXES = 8
"""Outboxes of one site that are remembered; one that was not heard for longest is forgotten."""
WINDOW = 16_384
"""A site keeps 4,096 unacknowledged; what is so far below the highest number can only be an old repeat."""
MOST_NAME = 64
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One ack or report of a site."""

    site: str
    channel: str
    box: str
    number: int
    at_ms: int
    """When it was heard first."""
    body: Payload


class Keeper(Protocol):
    """Where letters are durable."""

    async def state(self) -> bytes | None:
        """What `keep` was given last.  Raises FarmError."""
        ...

    async def keep(self, letters: Sequence[Letter], state: bytes) -> None:
        """Letters and state in one, durable on return.  Raises FarmError."""
        ...


class Spans:
    """A set of whole numbers as runs."""

    def __init__(self, spans: Sequence[Span] = ()) -> None:
        self._spans = [(int(first), int(last)) for first, last in spans]

    def __contains__(self, number: int) -> bool:
        place = bisect.bisect_right(self._spans, (number, 2**63)) - 1
        return place >= 0 and number <= self._spans[place][1]

    def add(self, number: int) -> None:
        """Take one in; what lies far below the highest counts as held."""
        if number in self:
            return
        place = bisect.bisect_right(self._spans, (number, number))
        first = last = number
        if place < len(self._spans) and self._spans[place][0] == number + 1:
            last = self._spans.pop(place)[1]
        if place and self._spans[place - 1][1] == number - 1:
            place -= 1
            first = self._spans.pop(place)[0]
        self._spans.insert(place, (first, last))
        floor = self._spans[-1][1] - WINDOW
        while len(self._spans) > 1 and self._spans[0][1] < floor:
            (first, _), (_, last) = self._spans[0], self._spans[1]
            self._spans[:2] = [(first, last)]

    def listed(self, most: int) -> list[Span]:
        """The highest runs, lowest first."""
        return self._spans[-most:]


class Holding:
    """What one site's acks and reports go through before they are acknowledged."""

    def __init__(self, site: str, keeper: Keeper, *, repeated: Callable[[Letter], None] | None = None) -> None:
        """`repeated` is called with each letter that was held already."""
        self.repeats = 0
        """How many came that were held already."""
        self._site = site
        self._keeper = keeper
        self._repeated = repeated
        self._boxes: dict[str, Spans] | None = None
        self._waiting: deque[Letter] = deque()
        self._news = asyncio.Event()

    def take(self, said: Said) -> None:
        """Queue what carries a mark of its outbox; the rest cannot be acknowledged."""
        header = said.body if said.channel == "ack" else said.body.get("x-farmctl")
        mark = header.get("outbox") if isinstance(header, dict) else None
        if said.channel not in KEPT_CHANNELS or not isinstance(mark, dict) or len(self._waiting) >= MOST_WAITING:
            return
        box, number = mark.get("id"), mark.get("no")
        if not isinstance(box, str) or not 0 < len(box) <= MOST_NAME or isinstance(number, bool):
            return
        if isinstance(number, int) and 0 <= number <= MAX_INTEGER:
            letter = Letter(
                site=self._site, channel=said.channel, box=box, number=number, at_ms=said.at_ms, body=said.body
            )
            self._waiting.append(letter)
            self._news.set()

    async def some(self) -> None:
        """Wait until something is queued."""
        await self._news.wait()

    async def kept(self) -> dict[str, Spans]:
        """Make what waits durable; everything held of the outboxes that it came from.  Raises FarmError."""
        after = _boxes(await self._keeper.state()) if self._boxes is None else self._boxes
        self._boxes = None  # until all of this is durable only the keeper knows
        self._news.clear()
        taken = list(self._waiting)
        fresh: list[Letter] = []
        again: list[Letter] = []
        for letter in taken:
            spans = after.pop(letter.box, None) or Spans()
            after[letter.box] = spans  # heard last
            if letter.number in spans:
                again.append(letter)
            else:
                spans.add(letter.number)
                fresh.append(letter)
        after = dict(list(after.items())[-MOST_BOXES:])
        if fresh:
            await self._keeper.keep(fresh, _written(after))
        self._boxes = after
        self.repeats += len(again)
        if self._repeated is not None:
            for letter in again:
                self._repeated(letter)
        for _ in taken:
            self._waiting.popleft()
        return {box: after[box] for box in {letter.box for letter in taken} if box in after}

    async def told(self) -> dict[str, Spans]:
        """`kept`, and nothing where it could not be: what is not acknowledged comes again."""
        try:
            return await self.kept()
        except FarmError as fault:
            log.error("site_records_not_stored", site=self._site, fault=str(fault), effect="the site sends them again")  # noqa: TRY400 - the text says it all
            self._waiting.clear()
            return {}


def _boxes(state: bytes | None) -> dict[str, Spans]:
    try:
        found = json.loads(state or b"{}")
        return {str(box): Spans(spans) for box, spans in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _written(boxes: dict[str, Spans]) -> bytes:
    return json.dumps({box: spans.listed(WINDOW) for box, spans in boxes.items()}, separators=(",", ":")).encode()
