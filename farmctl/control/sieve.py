"""The filter grammar on an image: words are compared once each, in the vocabulary, never per row."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from farmctl.control.filter import Columns, Term, matching, parse
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn, IdColumn, MaskColumn
from farmctl.ports.feed import FleetImage, Words

WORDS = {"cont": "container", "fw": "firmware"} | {
    name: name
    for name in (
        "circuit",
        "fault",
        "host",
        "model",
        "phase",
        "pool",
        "protected",
        "rack",
        "reason",
        "slot",
        "state",
        "want",
    )
}
"""Field of a filter -> word column of an image."""
COLUMNS = {"w": "power_w", "t": "temperature_c", "fan": "fan_rpm"}
MOMENTS = {"age": "seen_ms", "since": "since_ms"}
NUMBERS = ("age", "fan", "jth", "margin", "since", "t", "ths", "tier", "w", "want_w")


def fitting(image: FleetImage, text: str) -> MaskColumn:
    """Rows that fulfil every term, shape (rows,). Raises FilterError."""
    mask = np.ones(len(image.ids), dtype=np.bool_)
    for term in parse(text):
        mask &= _fits(image, term)
    return mask


def _fits(image: FleetImage, term: Term) -> MaskColumn:
    if term.field in WORDS:
        column = image.words.get(WORDS[term.field]) or Words(codes=np.zeros(len(image.ids), np.int64), words=())
        vocabulary: IdColumn = np.array(column.words or ("",), dtype=np.str_)
        hit = matching((term,), Columns(words={"id": vocabulary, term.field: vocabulary}, numbers={}))
        return np.asarray(hit[column.codes], dtype=np.bool_)
    if term.field in NUMBERS:
        numbers = {term.field: _number(image, term.field)}
        return matching((term,), Columns(words={"id": _ids(image.ids)}, numbers=numbers))
    nothing = np.zeros(0)
    known = dict.fromkeys(WORDS, np.zeros(0, dtype=np.str_))
    words = {**known, "id": _ids(image.ids) if term.field == "id" else known["cont"]}
    return matching((term,), Columns(words=words, numbers=dict.fromkeys(NUMBERS, nothing)))


def _number(image: FleetImage, field: str) -> FloatColumn:
    match field:
        case "ths":
            return _told(image, "hash_rate_hs") / HASHES_PER_TERAHASH
        case "jth":
            power_w, ths = _told(image, "power_w"), _number(image, "ths")
            joules: FloatColumn = np.divide(power_w, ths, out=np.full(len(ths), np.nan), where=ths > 0)
            return joules
        case "margin":
            return _told(image, "limit_c") - _told(image, "temperature_c")
        case "age" | "since":
            return (image.at_ms - _told(image, MOMENTS[field])) / MS_PER_S
        case _:
            return _told(image, COLUMNS.get(field, field))


def _told(image: FleetImage, name: str) -> FloatColumn:
    """A column of the image; unknown where the controller is older and tells none."""
    column = image.numbers.get(name)
    return np.full(len(image.ids), np.nan) if column is None else column


@lru_cache(maxsize=2)
def _ids(ids: tuple[str, ...]) -> IdColumn:
    return np.array(ids, dtype=np.str_)
