"""A recording as images of the glass: the core decides every cycle again, and each one is drawn as the stream would."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from farmctl.control import strip
from farmctl.control import why as explain
from farmctl.control.miners import row_of
from farmctl.control.mirror import first_image
from farmctl.control.roster import Places, roster
from farmctl.control.stream.image import Lists, image_of, snapshot
from farmctl.control.strip import Site
from farmctl.core.model import Override
from farmctl.engine.records import input_hash
from farmctl.engine.replay import Differs, Same, replay
from farmctl.ports.control import Extras, Lease
from farmctl.ports.feed import FleetImage
from farmctl.ports.recording import Frame
from farmctl.ports.store import InventoryRow
from farmctl.store.recording import DayFiles
from farmctl.wiring.past import PastPicture
from farmctl.wiring.replay_alarms import JournalPast, alarm_counts

WINDOW_MS = 60_000
"""Frames are read in such stretches and the file is let go: a reader that stays pins the writer's log."""
KEPT_BYTES = 24_000_000
ROW_BYTES = 64
"""Of one image: five numbers and three codes."""
MOST_KEPT = 600
STEPS_BACK = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What people had ordered in one cycle; who held the lease is not recorded."""

    overrides: tuple[Override, ...]
    lease: Lease | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Trend:
    """Power and target of every cycle that was decided again, W, oldest first."""

    at_ms: list[int] = field(default_factory=list)
    power_w: list[float] = field(default_factory=list)
    target_w: list[float] = field(default_factory=list)

    def add(self, cycle: Same) -> None:
        """One more; what is not later than the last is known already."""
        if not self.at_ms or cycle.decision.at_ms > self.at_ms[-1]:
            self.at_ms.append(cycle.decision.at_ms)
            self.power_w.append(cycle.decision.site.power_w)
            self.target_w.append(cycle.decision.budget.target_w)


class Reel:
    """One thread's work: every method may take seconds, and none may be called beside another."""

    def __init__(self, folder: Path, inventory: tuple[InventoryRow, ...], told: JournalPast, site: Site) -> None:
        """`folder` holds the recording."""
        self._files = DayFiles(folder)
        self._inventory = inventory
        self._told = told
        self._site = site
        self._places: Places | None = None
        self._cycles: Iterator[Same | Differs] = iter(())
        self._ahead: Same | None = None
        self._now: Same | None = None
        self._kept: list[FleetImage] = []
        self.trend = Trend()
        self.proved = 0
        self.fault = ""

    def span_ms(self) -> tuple[int, int] | None:
        """First moment a replay can begin at, and the last recorded one; None where nothing is recorded."""
        return self._files.span_ms()

    def at(self, at_ms: int) -> FleetImage | None:
        """The last cycle up to a moment, decided anew from the key frame before it; None before the first one."""
        key_ms = self._files.last_key_ms(at_ms)
        behind = self._now is None or at_ms < self._now.decision.at_ms
        if behind or (self._now and key_ms is not None and key_ms > self._now.decision.at_ms + WINDOW_MS):
            self._rewind(at_ms)
        before = self._now
        while self._ahead is not None and self._ahead.decision.at_ms <= at_ms:
            self._take()
        if self._now is None or (self._now is before and self._kept):
            return self._kept[-1] if self._kept else None
        return self._keep(self._now)

    def beside(self, image: FleetImage, cycles: int) -> FleetImage | None:
        """The image so many cycles from one that was shown; None where the recording ends."""
        wanted = next((kept for kept in self._kept if kept.rev == image.rev + cycles), None)
        if wanted is not None:
            return wanted
        if cycles < 0:
            return self._before(image.at_ms)
        if self._now is None or self._now.decision.cycle != image.rev:
            self.at(image.at_ms)
        if self._ahead is None:
            return None
        self._take()
        return None if self._now is None else self._keep(self._now)

    def about(self, image: FleetImage, miner: str, *, why: bool) -> dict[str, Any]:
        """One miner in a cycle that was shown, or why it was as it was. Raises ApiError 404 for an unknown one."""
        if self._now is None or self._now.decision.cycle != image.rev:
            self.at(image.at_ms)
        if self._now is None:
            return {}
        picture, site = self._picture(self._now), self._site
        columns = roster(picture, self._placed(picture))
        row = row_of(columns.ids, miner)
        digest = input_hash(picture.view, picture.decision.at_ms)
        told = explain.why(picture, columns, row, site, digest) if why else explain.details(picture, columns, row)
        plain: dict[str, Any] = orjson.loads(orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY))
        return plain

    def _before(self, at_ms: int) -> FleetImage | None:
        """The cycle before a moment; some that led to it are kept for the next steps back."""
        self._rewind(at_ms - 1)
        led: deque[Same] = deque(maxlen=STEPS_BACK)
        while self._ahead is not None and self._ahead.decision.at_ms < at_ms:
            led.append(self._ahead)
            self._take()
        for cycle in led:
            self._keep(cycle)
        return self._kept[-1] if self._kept else None

    def _rewind(self, at_ms: int) -> None:
        key_ms = self._files.last_key_ms(at_ms)
        self._now, self._ahead, self._kept, self.trend = None, None, [], Trend()
        self.fault = ""
        if key_ms is None:
            return
        self._cycles = replay(self._frames(key_ms))
        self._look()

    def _frames(self, since_ms: int) -> Iterator[Frame]:
        while (span := self.span_ms()) is not None and since_ms <= span[1]:
            yield from list(self._files.frames(since_ms=since_ms, until_ms=since_ms + WINDOW_MS - 1))
            since_ms += WINDOW_MS

    def _look(self) -> None:
        found = next(self._cycles, None)
        if isinstance(found, Differs):
            self.fault = f"cycle {found.cycle}: {found.what}"
        self._ahead = found if isinstance(found, Same) else None

    def _take(self) -> None:
        self._now = self._ahead
        if self._now is not None:
            self.proved += 1
            self.trend.add(self._now)
            self._look()

    def _keep(self, cycle: Same) -> FleetImage:
        image = self._drawn(cycle)
        self._kept.append(image)
        del self._kept[: -max(min(KEPT_BYTES // (ROW_BYTES * max(len(image.ids), 1)), MOST_KEPT), 2)]
        return image

    def _drawn(self, cycle: Same) -> FleetImage:
        picture = self._picture(cycle)
        at_ms = cycle.decision.at_ms
        alarms = self._told.alarms(at_ms)
        told = strip.state(picture, self._site, Ordered(overrides=cycle.view.overrides), at_ms)
        lists = Lists(
            strip={**told, "alarms": alarm_counts(alarms), "reach": strip.reach(picture)},
            alarms=alarms,
            events=[strip.lasting(event) for event in strip.events(picture)],
            jobs=self._told.orders(at_ms),
        )
        epoch = f"past-{cycle.frame.run}-{len(cycle.view.table)}"
        return first_image(
            snapshot(image_of(picture, self._placed(picture), Extras.unknown(len(cycle.view.table)), lists, epoch))
        )

    def _placed(self, picture: PastPicture) -> Places:
        ids = picture.view.table.miner_id
        if self._places is None or not self._places.fits(self._inventory, ids):
            self._places = Places.of(self._inventory, ids)
        return self._places

    def _picture(self, cycle: Same) -> PastPicture:
        return PastPicture(
            view=cycle.view, decision=cycle.decision, memory=cycle.memory, policy=cycle.frame.policy, proved=self.proved
        )
