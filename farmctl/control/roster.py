"""One picture as named columns, for filters, sorting and lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from farmctl.control.filter import Columns
from farmctl.core.confirm import nominal_w
from farmctl.core.fleet import NO_LADDER
from farmctl.core.model import MinerState, PointKind
from farmctl.core.reasons import ORDER
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, CodeColumn, FloatColumn, IdColumn, IntColumn
from farmctl.ports.control import Extras, SitePicture
from farmctl.ports.store import InventoryRow

UNKNOWN_WORD = "unknown"
_STATES = np.array([state.name.lower() for state in sorted(MinerState)], dtype=np.str_)
_REASONS = np.array([reason.value for reason in ORDER], dtype=np.str_)
WANT_WORDS = (*(kind.name.lower() for kind in sorted(PointKind)), UNKNOWN_WORD)
_KINDS = np.array(WANT_WORDS, dtype=np.str_)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Places:
    """What only the inventory knows, one entry per row of the table."""

    source: Sequence[InventoryRow]
    miner_id: IdColumn
    columns: dict[str, IdColumn]

    @classmethod
    def of(cls, inventory: Sequence[InventoryRow], miner_id: IdColumn) -> Places:
        """Bring the inventory into the order of the table; a miner that it does not list has empty places."""
        known = {row.miner_id: row for row in inventory}
        rows = [known.get(miner) for miner in miner_id.tolist()]
        return cls(
            source=inventory,
            miner_id=miner_id,
            columns={
                "cont": _words(row.container if row else "" for row in rows),
                "rack": _words(row.rack if row else "" for row in rows),
                "slot": _words(row.slot if row else "" for row in rows),
                "phase": _words(row.phase if row else "" for row in rows),
                "model": _words(row.model if row else "" for row in rows),
                "fw": _words(row.firmware if row else "" for row in rows),
                "driver": _words(row.driver if row else "" for row in rows),
                "host": _words(row.host if row else "" for row in rows),
                "owner": _words(row.owner if row else "" for row in rows),
                "serial": _words(row.serial if row else "" for row in rows),
                "tag": _words(" ".join(row.tags) if row else "" for row in rows),
            },
        )

    def fits(self, inventory: Sequence[InventoryRow], miner_id: IdColumn) -> bool:
        """True while neither the inventory nor the order of the rows has changed."""
        same = self.miner_id is miner_id or np.array_equal(self.miner_id, miner_id)
        return self.source is inventory and same


def state_codes(picture: SitePicture) -> CodeColumn:
    """What every miner does, as a `MinerState`; one that does not answer is offline."""
    codes: CodeColumn = picture.view.table.state.copy()
    codes[~picture.decision.seen.fresh] = MinerState.OFFLINE
    return codes


def state_words(picture: SitePicture) -> IdColumn:
    """The same as words."""
    words: IdColumn = _STATES[state_codes(picture)]
    return words


def roster(picture: SitePicture, places: Places, extras: Extras | None = None) -> Columns:
    """Every field that a filter or a list may name, shape (rows,); NaN is unknown."""
    extras = extras or Extras.unknown(len(picture.view.table))
    view, decision = picture.view, picture.decision
    table, wanted = view.table, decision.allocation.step
    ths = table.hash_rate_hs / HASHES_PER_TERAHASH
    joules = np.divide(table.power_w, ths, out=np.full(len(table), np.nan), where=ths > 0)
    return Columns(
        words={
            "id": table.miner_id,
            **places.columns,
            "circuit": np.array(view.circuits.names, dtype=np.str_)[table.node],
            "state": state_words(picture),
            "want": _KINDS[want_codes(picture)],
            "reason": _REASONS[decision.reasons],
            "protected": np.where(table.protected, "yes", "no"),
            "commandable": np.where(table.commandable, "yes", "no"),
            "fault": np.array(extras.faults, dtype=np.str_)[extras.fault],
            "pool": np.array(extras.pools, dtype=np.str_)[extras.pool],
        },
        numbers={
            "w": table.power_w,
            "want_w": np.where(wanted >= 0, nominal_w(view, wanted), np.nan),
            "ths": ths,
            "jth": joules,
            "t": table.temperature_c,
            "age": ages_s(picture),
            "fan": extras.fan_rpm,
            "margin": extras.limit_c - table.temperature_c,
            "since": np.where(extras.since_ms < 0, np.nan, (decision.at_ms - extras.since_ms) / MS_PER_S),
            "tier": table.tier.astype(np.float64),
        },
    )


def ages_s(picture: SitePicture) -> FloatColumn:
    """Age of every row's last good poll, s; NaN never seen."""
    seen_ms = picture.view.table.seen_ms
    return np.where(seen_ms < 0, np.nan, (picture.decision.at_ms - seen_ms) / MS_PER_S)


def want_codes(picture: SitePicture) -> IntColumn:
    """`PointKind` of what is wanted of every row; the last code where nothing is."""
    table, book = picture.view.table, picture.view.ladders
    wanted: CodeColumn = picture.decision.allocation.step
    kinds = np.full(book.power_w.shape, len(PointKind), dtype=np.int64)
    for number, ladder in enumerate(book.ladders):
        kinds[number, : len(ladder.points)] = [int(point.kind) for point in ladder.points]
    codes = np.full(len(table), len(PointKind), dtype=np.int64)
    known = (table.ladder != NO_LADDER) & (wanted >= 0)
    codes[known] = kinds[table.ladder[known], wanted[known]]
    return codes


def _words(words: Iterable[str]) -> IdColumn:
    return np.array(list(words), dtype=np.str_)
