"""The filter grammar on an image: words are compared once each, in the vocabulary, never per row."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from farmctl.control.filter import Columns, Term, matching, parse
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn, IdColumn, MaskColumn
from farmctl.ports.feed import FleetImage

WORDS = {"cont": "container", "fw": "firmware"} | {
    name: name for name in ("circuit", "host", "model", "protected", "rack", "reason", "slot", "state", "want")
}
"""Field of a filter -> word column of an image."""
NUMBERS = ("age", "jth", "t", "ths", "tier", "w", "want_w")


def fitting(image: FleetImage, text: str) -> MaskColumn:
    """Rows that fulfil every term, shape (rows,). Raises FilterError."""
    mask = np.ones(len(image.ids), dtype=np.bool_)
    for term in parse(text):
        mask &= _fits(image, term)
    return mask


def _fits(image: FleetImage, term: Term) -> MaskColumn:
    if term.field in WORDS:
        column = image.words[WORDS[term.field]]
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
    numbers = image.numbers
    ths: FloatColumn = numbers["hash_rate_hs"] / HASHES_PER_TERAHASH
    age_s: FloatColumn = (image.at_ms - numbers["seen_ms"]) / MS_PER_S
    derived: dict[str, FloatColumn] = {
        "w": numbers["power_w"],
        "ths": ths,
        "jth": np.divide(numbers["power_w"], ths, out=np.full(len(ths), np.nan), where=ths > 0),
        "t": numbers["temperature_c"],
        "age": age_s,
    }
    return derived[field] if field in derived else numbers[field]


@lru_cache(maxsize=2)
def _ids(ids: tuple[str, ...]) -> IdColumn:
    return np.array(ids, dtype=np.str_)
