"""What a row of the metric catalogue is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from farmctl.core.units import FloatColumn
from farmctl.metrics.snapshot import MetricsSnapshot
from farmctl.metrics.sums import FleetSums
from farmctl.metrics.text import Kind

Axis = tuple[tuple[str, ...], ...]
"""Label values that vary together: one entry per step, one text per label."""
Axes = tuple[Axis, ...]
"""The series of a family are the product of its axes, the last one fastest."""
ONE: Axes = (((),),)
"""A family with a single series."""


COUNT = "count"
SUM = "sum"
"""Last steps of a histogram's `le` axis: they are written as the _count and _sum series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric that is written from a snapshot."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    """Besides `site`; the last one of a histogram is `le`."""
    axes: Callable[[MetricsSnapshot], Axes] = lambda _: ONE
    values: Callable[[FleetSums], FloatColumn]
    """Shape (product of the axes,); NaN and infinity are absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One metric that the controller counts while it runs."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    """Besides `site`."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram."""


def gauge(
    name: str,
    unit: str,
    text: str,
    values: Callable[[FleetSums], FloatColumn],
    *,
    labels: tuple[str, ...] = (),
    axes: Callable[[MetricsSnapshot], Axes] = lambda _: ONE,
) -> Family:
    """A gauge with one series per step of its axes."""
    return Family(name=name, kind=Kind.GAUGE, unit=unit, help=text, labels=labels, axes=axes, values=values)


def counter(
    name: str,
    unit: str,
    text: str,
    values: Callable[[FleetSums], FloatColumn],
    *,
    labels: tuple[str, ...] = (),
    axes: Callable[[MetricsSnapshot], Axes] = lambda _: ONE,
) -> Family:
    """A counter whose total somebody else keeps."""
    return Family(name=name, kind=Kind.COUNTER, unit=unit, help=text, labels=labels, axes=axes, values=values)


def one(value: float) -> FloatColumn:
    """The value of a single series."""
    return np.array([value], dtype=np.float64)


def column(values: Sequence[float]) -> FloatColumn:
    """Values of a few series."""
    return np.array(values, dtype=np.float64)


def each(names: Sequence[str]) -> Axis:
    """An axis of one label."""
    return tuple((name,) for name in names)


def keys_of(axes: Axes) -> list[tuple[str, ...]]:
    """Label values of every series, in the order of its values."""
    return [tuple(itertools.chain.from_iterable(steps)) for steps in itertools.product(*axes)]
