"""What miners say beside the columns (fans, fault codes, air, pools, boards), page by page from worker to controller.

Two kinds of page for each shard: what polls tell, and the slow facts.  Each is written when it has changed, for slow
facts are some 600 bytes a miner and change by the hour.  Shares of pools are not carried: their counters are the
worker's own.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import TypeAdapter

from farmctl.core.model import MinerState, PowerSource
from farmctl.core.units import IntColumn
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.pages import LEVEL, sum_of
from farmctl.engine.poller import Poller
from farmctl.errors import MalformedReplyError
from farmctl.ports.devices import Facts, Reading
from farmctl.ports.shards import AsideKind

FAN_GRAIN_RPM = 50.0
AIR_GRAIN_C = 0.5
"""Fans hunt by some 30 rpm, and air moves: finer figures would be another page at every look."""
_FACTS: TypeAdapter[tuple[Facts | None, ...]] = TypeAdapter(tuple[Facts | None, ...])
_SAID: TypeAdapter[tuple[tuple[float | None, float | None, tuple[str, ...]] | None, ...]] = TypeAdapter(
    tuple[tuple[float | None, float | None, tuple[str, ...]] | None, ...]
)
_Said = tuple[float | None, float | None, tuple[str, ...]]
"""Slowest fan, air, fault codes."""


class Beside:
    """The worker's half: hears its poller, and knows which shards have something new to tell."""

    def __init__(self, keeper: FleetKeeper, poller: Poller, rows: Mapping[str, IntColumn]) -> None:
        """Takes the poller's `on_reading` and `on_facts`."""
        self._keeper, self._poller, self._rows = keeper, poller, rows
        self._shard = {row: shard for shard, each in rows.items() for row in each.tolist()}
        self._said: dict[int, _Said] = {}
        self._new: set[tuple[str, AsideKind]] = set()
        poller.on_reading, poller.on_facts = self.heard, self.told

    def heard(self, row: int, reading: Reading) -> None:
        """One good poll; called at every poll."""
        fan_rpm = min(reading.fans_rpm) if reading.fans_rpm else math.nan
        now = _grained(fan_rpm, FAN_GRAIN_RPM), _grained(reading.ambient_c, AIR_GRAIN_C), reading.errors
        if self._said.get(row) != now:
            self._said[row] = now
            self._new.add((self._shard[row], "said"))

    def told(self, row: int, _facts: Facts) -> None:
        """The slow facts of one miner; the poller keeps them."""
        self._new.add((self._shard[row], "facts"))

    def changed(self, shards: Sequence[str]) -> list[tuple[str, AsideKind, bytes]]:
        """Pages of these shards that are not as they were last given out."""
        held = set(shards)
        pages = [(shard, kind, self._page(shard, kind)) for shard, kind in sorted(self._new) if shard in held]
        self._new.clear()
        return pages

    def again(self, shard: str, kind: AsideKind) -> None:
        """This page could not be written."""
        self._new.add((shard, kind))

    def forget(self, shard: str) -> None:
        """It was claimed: what the last holder wrote is not what was heard here before."""
        for row in self._rows[shard].tolist():
            self._said.pop(row, None)

    def _page(self, shard: str, kind: AsideKind) -> bytes:
        rows = self._rows[shard].tolist()
        of, told = self._said, self._poller.facts.of
        lines = (
            [of.get(row) for row in rows]
            if kind == "said"
            else [asdict(told[row]) if row in told else None for row in rows]
        )
        head = {"sum": sum_of(self._keeper.table, self._rows[shard]), "lines": lines}
        return zlib.compress(json.dumps(head).encode(), LEVEL)


def take(hub: Poller, keeper: FleetKeeper, rows: IntColumn, kind: AsideKind, packed: bytes) -> None:
    """Tell the controller's listeners what a page says, as if `hub` had polled; rows that it knows nothing of stay.

    Raises MalformedReplyError where it is of other miners, or is none.
    """
    try:
        head = json.loads(zlib.decompress(packed))  # with NaN, which orjson refuses
        if head["sum"] != sum_of(keeper.table, rows):
            raise MalformedReplyError("a page is of other miners: the inventory was changed, restart both")
        if kind == "facts":
            for row, facts in zip(rows.tolist(), _FACTS.validate_python(head["lines"]), strict=True):
                if facts is not None:
                    hub.facts.keep(row, keeper.seat_of(row).row.miner_id, facts)
                    hub.on_facts(row, facts)
        else:
            for row, said in zip(rows.tolist(), _SAID.validate_python(head["lines"]), strict=True):
                if said is not None:
                    hub.on_reading(row, _reading(*said))
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise MalformedReplyError(f"a page beside the columns is unreadable: {error}") from error


def _reading(fan_rpm: float | None, ambient_c: float | None, errors: tuple[str, ...]) -> Reading:
    return Reading(
        state=MinerState.UNKNOWN, power_w=math.nan, power_source=PowerSource.DEVICE, hash_rate_hs=math.nan,
        temperature_c=math.nan, uptime_s=math.nan, setting=None, errors=errors,
        fans_rpm=() if fan_rpm is None else (fan_rpm,), ambient_c=math.nan if ambient_c is None else ambient_c,
    )  # fmt: skip


def _grained(value: float, grain: float) -> float | None:
    return None if math.isnan(value) else round(value / grain) * grain
