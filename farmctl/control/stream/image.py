"""The whole site at one revision, as the wire writes it: columns with few digits, words as codes, small lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from farmctl.control.roster import WANT_WORDS, Places, state_codes, want_codes
from farmctl.control.wire import SCHEMA, Json, iso
from farmctl.core.circuits import node_load_w
from farmctl.core.confirm import nominal_w
from farmctl.core.model import MinerState
from farmctl.core.reasons import ORDER
from farmctl.core.units import (
    HASHES_PER_TERAHASH,
    MS_PER_S,
    WATTS_PER_KW,
    FloatColumn,
    IdColumn,
    IntColumn,
    MaskColumn,
)
from farmctl.ports.control import Extras, SitePicture

NUMBERS = ("power_w", "want_w", "ths", "temperature_c", "seen_s", "fan_rpm", "since_s")
"""Numbers that move. `seen_s` is the moment of the last good poll: an age would change every row in every revision."""
CODES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(state.name.lower() for state in sorted(MinerState)),
    "want": WANT_WORDS,
    "reason": tuple(reason.value for reason in ORDER),
}
"""Words that move, and the vocabulary that their codes point into."""
GROWING = ("pool", "fault")
"""Words that move, and whose vocabulary grows at its end; a delta tells the whole of it when it has."""
PLACES = {
    "cont": "container", "rack": "rack", "slot": "slot", "model": "model", "fw": "firmware", "host": "host",
    "phase": "phase",
}  # fmt: skip
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lists:
    """What goes with the columns; small, already as JSON."""

    strip: Json
    alarms: Sequence[Json]
    events: Sequence[Json]
    jobs: Sequence[Json]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WireImage:
    """One revision, ready to be written whole or compared with the next one."""

    rev: int
    epoch: str
    at_ms: int
    columns: Mapping[str, NDArray[Any]]
    """What moves: `NUMBERS` as float64 (NaN unknown), `CODES` and `GROWING` as int64."""
    words: Mapping[str, tuple[str, ...]]
    """Vocabulary of every column of codes."""
    limit_c: FloatColumn
    picture: SitePicture
    places: Places
    lists: Lists


def image_of(picture: SitePicture, places: Places, extras: Extras, lists: Lists, epoch: str) -> WireImage:
    """A picture as the wire writes it; O(rows), call it off the loop."""
    return WireImage(
        rev=picture.decision.cycle,
        epoch=epoch,
        at_ms=picture.decision.at_ms,
        columns={**_numbers(picture, extras), **_codes(picture, extras)},
        words={**CODES, "pool": extras.pools, "fault": extras.faults},
        limit_c=extras.limit_c.round(1),
        picture=picture,
        places=places,
        lists=lists,
    )


def snapshot(image: WireImage) -> bytes:
    """The whole site as one JSON object."""
    table, tree = image.picture.view.table, image.picture.view.circuits
    fixed: dict[str, object] = {name: _coded(image.places.columns[field]) for field, name in PLACES.items()}
    fixed["circuit"] = {"dict": tree.names, "idx": table.node}
    fixed["limit_c"] = image.limit_c
    fixed["protected"] = {"dict": ("no", "yes"), "idx": table.protected.astype(np.int64)}
    moving = {
        name: {"dict": image.words[name], "idx": column} if name in image.words else column
        for name, column in image.columns.items()
    }
    whole = {
        "schema": SCHEMA,
        **_head(image),
        "n": len(table),
        "columns": {"id": table.miner_id.tolist(), "tier": table.tier.astype(np.int64), **moving, **fixed},
        "strip": image.lists.strip,
        "alarms": image.lists.alarms,
        "events": image.lists.events,
        "jobs": image.lists.jobs,
        "circuits": {
            "name": tree.names,
            "parent": tree.parent,
            "rating_kw": _kw(np.where(np.isfinite(tree.rating_w), tree.rating_w, np.nan)),
            **_loads(image.picture),
        },
    }
    return orjson.dumps(whole, option=_OPTIONS)


def changes(before: WireImage, after: WireImage) -> dict[str, bytes]:
    """Topic -> data of what differs; `decision` is always there and comes last."""
    told: dict[str, object] = {}
    rows = np.flatnonzero(_differs(before, after))
    if len(rows):
        moved = {name: column[rows] for name, column in after.columns.items() if _moved(before, name, column).any()}
        grown = {name: after.words[name] for name in GROWING if after.words[name] != before.words[name]}
        told["delta"] = {"rev": after.rev, "rows": rows, "columns": moved, **({"words": grown} if grown else {})}
    old, new = before.lists, after.lists
    for topic, was, now in (
        ("alarm", old.alarms, new.alarms),
        ("event", old.events, new.events),
        ("job", old.jobs, new.jobs),
    ):
        if was != now:
            told[topic] = {"rev": after.rev, "rows": now}
    told["decision"] = {**_head(after), "strip": new.strip, "circuits": _loads(after.picture)}
    # Copied: orjson leaves its answers in the room it guessed, 64 KB for 26, and these are kept for minutes.
    return {topic: bytes(memoryview(orjson.dumps(data, option=_OPTIONS))) for topic, data in told.items()}


def _head(image: WireImage) -> dict[str, object]:
    return {"rev": image.rev, "epoch": image.epoch, "at": iso(image.at_ms), "at_ms": image.at_ms}


def _numbers(picture: SitePicture, extras: Extras) -> dict[str, FloatColumn]:
    """Rounded to what a person can use, so that noise below it costs no bytes."""
    view, wanted = picture.view, picture.decision.allocation.step
    table = view.table
    want_w = np.where(wanted >= 0, nominal_w(view, wanted), np.nan)
    return {
        "power_w": table.power_w.round(),
        "want_w": want_w.round(),
        "ths": (table.hash_rate_hs / HASHES_PER_TERAHASH).round(2),
        "temperature_c": table.temperature_c.round(1),
        "seen_s": _moments_s(table.seen_ms),
        "fan_rpm": extras.fan_rpm,
        "since_s": _moments_s(extras.since_ms),
    }


def _codes(picture: SitePicture, extras: Extras) -> dict[str, IntColumn]:
    return {
        "state": state_codes(picture).astype(np.int64),
        "want": want_codes(picture),
        "reason": picture.decision.reasons.astype(np.int64),
        "pool": extras.pool.astype(np.int64),
        "fault": extras.fault.astype(np.int64),
    }


def _moments_s(at_ms: IntColumn) -> FloatColumn:
    return np.where(at_ms < 0, np.nan, (at_ms / MS_PER_S).round(1))


def _loads(picture: SitePicture) -> dict[str, FloatColumn]:
    view = picture.view
    load_w = node_load_w(view.circuits, view.table.node, picture.decision.seen.power_now_w)
    return {"load_kw": _kw(load_w), "meter_kw": _kw(view.circuits.meter_w)}


def _kw(power_w: FloatColumn) -> FloatColumn:
    return (power_w / WATTS_PER_KW).round(1)


def _coded(column: IdColumn) -> Json:
    words, index = np.unique(column, return_inverse=True)
    return {"dict": words.tolist(), "idx": index.astype(np.int64)}


def _differs(before: WireImage, after: WireImage) -> MaskColumn:
    """Rows of which anything moved."""
    differs = np.zeros(len(after.columns["state"]), dtype=np.bool_)
    for name, column in after.columns.items():
        differs |= _moved(before, name, column)
    return differs


def _moved(before: WireImage, name: str, column: NDArray[Any]) -> MaskColumn:
    old = before.columns[name]
    unlike = np.asarray(old != column, dtype=np.bool_)
    if column.dtype.kind == "f":
        unlike &= ~(np.isnan(old) & np.isnan(column))
    return unlike
