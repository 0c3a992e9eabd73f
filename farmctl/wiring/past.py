"""A moment of the past from the recording beside a journal: what was seen, decided and remembered, proved by replay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from farmctl.control import plan, why
from farmctl.control.miners import row_of
from farmctl.control.roster import Places, roster
from farmctl.control.sizes import size_of
from farmctl.control.strip import Site
from farmctl.control.wire import Json
from farmctl.core.alarms import EMPTY_BOARD, AlarmBoard, Condition
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.step import Decision
from farmctl.core.units import MS_PER_S
from farmctl.engine.records import input_hash
from farmctl.engine.replay import Differs, Same, replay
from farmctl.errors import AskHumanError
from farmctl.ports.store import InventoryRow
from farmctl.store.places import Place, open_reader
from farmctl.store.recording import DayFiles

OLDEST_S = 120.0
"""The last recorded cycle may be this much older than the moment asked for; a virtual day skips quiet minutes."""


class PastError(AskHumanError):
    """Nothing is recorded of that moment."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PastPicture:
    """One cycle of the past; alarms are in the journal, not in the recording."""

    view: FleetView
    decision: Decision
    memory: Memory
    policy: str
    proved: int
    """Cycles that came out as recorded on the way here."""
    alarms: tuple[Condition, ...] = ()
    board: AlarmBoard = EMPTY_BOARD


def past_picture(folder: Path, at: datetime) -> PastPicture:
    """The last cycle up to a moment. Raises PastError where none is recorded, or where the replay differs."""
    at_ms = int(at.timestamp() * MS_PER_S)
    files = DayFiles(folder)
    begin_ms = files.last_key_ms(at_ms)
    if begin_ms is None:
        raise PastError(f"{folder}: no recording of {_told(at_ms)}; the recording is kept for two days")
    last: Same | None = None
    proved = 0
    for found in replay(files.frames(since_ms=begin_ms, until_ms=at_ms)):
        if isinstance(found, Differs):
            raise PastError(f"cycle {found.cycle} at {_told(found.at_ms)}: {found.what}; run farmctl replay")
        last, proved = found, proved + 1
    if last is None or at_ms - last.decision.at_ms > OLDEST_S * MS_PER_S:
        newest = "none" if last is None else _told(last.decision.at_ms)
        raise PastError(f"{folder}: no cycle at {_told(at_ms)}; the last before it: {newest}")
    return PastPicture(
        view=last.view, decision=last.decision, memory=last.memory, policy=last.frame.policy, proved=proved
    )


async def inventory_of(journal: Place) -> tuple[InventoryRow, ...]:
    """The miners as the journal's store lists them now."""
    reader = await open_reader(journal)
    try:
        return await reader.inventory()
    finally:
        await reader.close()


def why_then(picture: PastPicture, inventory: tuple[InventoryRow, ...], miner: str) -> Json:
    """What `farmctl why` would have said at that moment."""
    columns = roster(picture, Places.of(inventory, picture.view.table.miner_id))
    row = row_of(columns.ids, miner)
    return why.why(picture, columns, row, _site(picture), input_hash(picture.view, picture.decision.at_ms))


def plan_then(picture: PastPicture, *, to: str | None, by: str | None, rows: int) -> Json:
    """What `farmctl plan` would have said at that moment; nothing of it can be ordered any more."""
    now_w = picture.decision.site.power_w
    target_w = size_of(to).watts(picture.view.rules.rated_w) if to else now_w - size_of(by or "").watts(now_w)
    site = _site(picture)
    made = plan.told(plan.imagine(picture, plan.held_at(picture, max(target_w, 0.0)), site), site, rows)
    return {**made, "confirm": None}


def _site(picture: PastPicture) -> Site:
    return Site(name=picture.view.circuits.names[0], policy=picture.policy)


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / MS_PER_S, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
