"""The columns that the miners table can show: one row per column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn
from farmctl.ports.feed import FleetImage, Words
from farmctl.tui.words import fixed, span

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the table."""

    key: str
    title: str
    width: int
    number: Callable[[FleetImage], FloatColumn] | None = None
    """The numbers to show and to sort by; None: a column of words."""
    shown: Callable[[float], str] = lambda value: fixed(value, 0)
    word: str = ""
    """Name in `FleetImage.words`; empty with `number` None: the miner's id."""

    @property
    def right(self) -> bool:
        """Numbers stand at the right."""
        return self.number is not None

    def rank(self, image: FleetImage) -> FloatColumn:
        """What to sort by, shape (rows,); NaN sorts last."""
        if self.number is not None:
            numbers: FloatColumn = self.number(image)
            return numbers
        words = image.words.get(self.word)
        if words is None:
            return np.arange(len(image.ids), dtype=np.float64)
        rank_of_code = np.argsort(np.argsort(np.array(words.words or ("",), dtype=np.str_))).astype(np.float64)
        ranks: FloatColumn = rank_of_code[words.codes]
        return ranks


def ages_s(image: FleetImage) -> FloatColumn:
    """Age of every row's last good poll when the image was made, s; NaN never seen."""
    seen_ms = number_of(image, "seen_ms")
    return np.where(seen_ms < 0, np.nan, np.maximum(image.at_ms - seen_ms, 0.0) / MS_PER_S)


def number_of(image: FleetImage, name: str) -> FloatColumn:
    """A column of numbers; all unknown where the feed has none of that name."""
    column = image.numbers.get(name)
    return np.full(len(image.ids), np.nan) if column is None else column


def word_of(image: FleetImage, name: str, row: int) -> str:
    """One word of one row; empty where it is unknown."""
    words: Words | None = image.words.get(name)
    return "" if words is None or not words.words else words.words[int(words.codes[row])]


def margins_k(image: FleetImage) -> FloatColumn:
    """How far every row's hottest chip is below the heat at which it protects itself, K; NaN unknown."""
    margins: FloatColumn = number_of(image, "limit_c") - number_of(image, "temperature_c")
    return margins


def since_s(image: FleetImage) -> FloatColumn:
    """How long every row has been in its state when the image was made, s; NaN while no change was seen.

    A silent row counts from its last good poll.
    """
    since_ms = number_of(image, "since_ms")
    states = image.words.get("state")
    if states is not None:
        since_ms = np.where(states.where("offline"), number_of(image, "seen_ms"), since_ms)
    return np.where(since_ms > 0, np.maximum(image.at_ms - since_ms, 0.0) / MS_PER_S, np.nan)


def _fans(image: FleetImage) -> FloatColumn:
    return number_of(image, "fan_rpm")


def _power(image: FleetImage) -> FloatColumn:
    return number_of(image, "power_w")


def _wanted(image: FleetImage) -> FloatColumn:
    return number_of(image, "want_w")


def _temperature(image: FleetImage) -> FloatColumn:
    return number_of(image, "temperature_c")


def _tier(image: FleetImage) -> FloatColumn:
    return number_of(image, "tier")


def _terahashes(image: FleetImage) -> FloatColumn:
    return number_of(image, "hash_rate_hs") / HASHES_PER_TERAHASH


def _joules(image: FleetImage) -> FloatColumn:
    ths = _terahashes(image)
    joules: FloatColumn = np.divide(_power(image), ths, out=np.full(len(ths), np.nan), where=ths > 0)
    return joules


def _age(value: float) -> str:
    return f"{value:.1f}" if value < MINUTE_S else span(value)


COLUMNS: tuple[Column, ...] = (
    Column(key="id", title="ID", width=17),
    Column(key="container", title="Cont", width=6, word="container"),
    Column(key="rack", title="Rack", width=8, word="rack"),
    Column(key="slot", title="Slot", width=5, word="slot"),
    Column(key="model", title="Model", width=11, word="model"),
    Column(key="state", title="State", width=9, word="state"),
    Column(key="want", title="Want", width=8, word="want"),
    Column(key="power_w", title="W", width=5, number=_power),
    Column(key="want_w", title="Want W", width=7, number=_wanted),
    Column(key="ths", title="TH/s", width=6, number=_terahashes, shown=lambda value: fixed(value, 1)),
    Column(key="temp", title="Tmax C", width=6, number=_temperature),
    Column(key="jth", title="J/TH", width=6, number=_joules, shown=lambda value: fixed(value, 1)),
    Column(key="age", title="Age s", width=5, number=ages_s, shown=_age),
    Column(key="margin", title="Margin", width=6, number=margins_k),
    Column(key="fan", title="Fan", width=5, number=_fans),
    Column(key="fault", title="Fault", width=9, word="fault"),
    Column(key="since", title="Since", width=6, number=since_s, shown=span),
    Column(key="pool", title="Pool", width=16, word="pool"),
    Column(key="reason", title="Reason", width=22, word="reason"),
    Column(key="circuit", title="Circuit", width=8, word="circuit"),
    Column(key="phase", title="Phase", width=8, word="phase"),
    Column(key="owner", title="Owner", width=10, word="owner"),
    Column(key="driver", title="Driver", width=11, word="driver"),
    Column(key="firmware", title="Firmware", width=14, word="firmware"),
    Column(key="host", title="Address", width=15, word="host"),
    Column(key="tier", title="Tier", width=4, number=_tier),
    Column(key="protected", title="Prot", width=4, word="protected"),
)
BY_KEY = {column.key: column for column in COLUMNS}
SHOWN: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("id", "rack", "model", "state", "power_w", "ths", "temp", "age", "fault", "since")),
    (118, (
        "id", "rack", "model", "state", "want", "power_w", "ths", "temp", "margin", "fan", "age", "fault", "since",
    )),
    (158, (
        "id", "container", "rack", "model", "state", "want", "power_w", "ths", "temp", "margin", "fan", "pool", "age",
        "fault", "since", "reason",
    )),
    (200, (
        "id", "container", "rack", "slot", "model", "state", "want", "power_w", "want_w", "ths", "jth", "temp",
        "margin", "fan", "pool", "age", "fault", "since", "reason",
    )),
)  # fmt: skip
"""Width of the table from which on these columns are shown, until somebody chooses others."""


def shown_at(width: int) -> tuple[Column, ...]:
    """What fits."""
    keys = next(keys for least, keys in reversed(SHOWN) if width >= least)
    return tuple(BY_KEY[key] for key in keys)
