"""The reader's side of list and watch: JSON of the stream in, images with columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn, to_kw
from farmctl.errors import MalformedReplyError
from farmctl.ports.feed import (
    AlarmView,
    CircuitView,
    ContainerView,
    EventView,
    FleetImage,
    JobView,
    StripView,
    Words,
)

NUMBERS = {
    "ths": ("hash_rate_hs", HASHES_PER_TERAHASH),
    "seen_s": ("seen_ms", float(MS_PER_S)),
    "since_s": ("since_ms", float(MS_PER_S)),
}
"""Column on the wire -> column of the image, and the factor to SI."""
Scalar = TypeVar("Scalar", bound=np.generic)
_STRIP: TypeAdapter[StripView] = TypeAdapter(StripView)
_ALARMS: TypeAdapter[tuple[AlarmView, ...]] = TypeAdapter(tuple[AlarmView, ...])
_JOBS: TypeAdapter[tuple[JobView, ...]] = TypeAdapter(tuple[JobView, ...])
_EVENTS: TypeAdapter[tuple[EventView, ...]] = TypeAdapter(tuple[EventView, ...])


def first_image(data: bytes) -> FleetImage:
    """An image of a snapshot. Raises MalformedReplyError."""
    try:
        told = orjson.loads(data)
        columns: Mapping[str, Any] = told["columns"]
        words = {name: _words(column) for name, column in columns.items() if isinstance(column, dict)}
        numbers = dict(_number(n, c) for n, c in columns.items() if n != "id" and not isinstance(c, dict))
        image = FleetImage(
            rev=told["rev"],
            epoch=told["epoch"],
            at_ms=told["at_ms"],
            ids=tuple(columns["id"]),
            numbers=numbers,
            words=words,
            changed=None,
            strip=_strip(told["strip"], told["at_ms"]),
            alarms=_ALARMS.validate_python(told["alarms"]),
            events=_events(told["events"], told["at_ms"]),
            jobs=_jobs(told["jobs"], told["at_ms"]),
            containers=(),
            circuits=_circuits(told["circuits"]),
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        message = f"GET /v1/snapshot: expected columns, strip and lists, got {error!r}"
        raise MalformedReplyError(message) from error
    return replace(image, containers=containers_of(image.numbers, image.words))


def next_image(image: FleetImage, events: Sequence[tuple[str, bytes]]) -> FleetImage:
    """The image after one revision, given as (topic, data). Raises MalformedReplyError."""
    changes: dict[str, Any] = {"changed": np.zeros(0, dtype=np.int64)}
    try:
        for topic, data in events:
            changes |= _change(image, topic, orjson.loads(data))
    except (ValueError, KeyError, TypeError, IndexError, ValidationError) as error:
        message = f"GET /v1/watch: expected a revision that follows {image.rev}, got {error!r}"
        raise MalformedReplyError(message) from error
    after = _counted(replace(image, **changes))
    if "numbers" in changes:
        after = replace(after, containers=containers_of(after.numbers, after.words))
    return after


def containers_of(numbers: Mapping[str, FloatColumn], words: Mapping[str, Words]) -> tuple[ContainerView, ...]:
    """Every container summed up, by name; O(rows)."""
    place, state = words["container"], words["state"]
    n, kinds = len(place.words), len(state.words)
    counts = np.bincount(place.codes * kinds + state.codes, minlength=n * kinds).reshape(n, kinds)
    power_w = np.bincount(place.codes, weights=np.nan_to_num(numbers["power_w"]), minlength=n)
    rate_hs = np.bincount(place.codes, weights=np.nan_to_num(numbers["hash_rate_hs"]), minlength=n)
    hottest_c = np.full(n, -np.inf)
    np.maximum.at(hottest_c, place.codes, np.nan_to_num(numbers["temperature_c"], nan=-np.inf))
    found = [
        ContainerView(
            name=name,
            miners=int(counts[number].sum()),
            states=dict(zip(state.words, counts[number].tolist(), strict=True)),
            power_kw=to_kw(float(power_w[number])),
            hash_rate_ths=round(float(rate_hs[number]) / HASHES_PER_TERAHASH, 2),
            hottest_c=float(hottest_c[number]) if np.isfinite(hottest_c[number]) else None,
        )
        for number, name in enumerate(place.words)
        if name
    ]
    return tuple(sorted(found, key=lambda container: container.name))


def _counted(image: FleetImage) -> FleetImage:
    """Every countdown as it stands at the time of the image."""
    events = tuple(
        replace(e, starts_in_s=_until_s(e.start, image.at_ms), ends_in_s=_until_s(e.end, image.at_ms))
        for e in image.events
    )
    jobs = tuple(replace(job, elapsed_s=-_until_s(job.at, image.at_ms, low=-np.inf)) for job in image.jobs)
    return replace(image, events=events, jobs=jobs)


def _change(image: FleetImage, topic: str, told: Mapping[str, Any]) -> dict[str, Any]:
    match topic:
        case "delta":
            return _delta(image, told)
        case "alarm":
            return {"alarms": _ALARMS.validate_python(told["rows"])}
        case "event":
            return {"events": _events(told["rows"], image.at_ms)}
        case "job":
            return {"jobs": _jobs(told["rows"], image.at_ms)}
        case "decision":
            at_ms = told["at_ms"]
            strip, circuits = _strip(told["strip"], at_ms), _loaded(image.circuits, told["circuits"])
            return {"rev": told["rev"], "at_ms": at_ms, "strip": strip, "circuits": circuits}
        case _:
            return {}


def _delta(image: FleetImage, told: Mapping[str, Any]) -> dict[str, Any]:
    rows = np.array(told["rows"], dtype=np.int64)
    numbers, words = dict(image.numbers), dict(image.words)
    for name, vocabulary in told.get("words", {}).items():
        words[name] = Words(codes=words[name].codes, words=tuple(vocabulary))
    for name, values in told["columns"].items():
        if name in words:
            codes = words[name].codes.copy()
            codes[rows] = values
            words[name] = Words(codes=_sealed(codes), words=words[name].words)
        else:
            field, moved = _number(name, values)
            column = numbers[field].copy()
            column[rows] = moved
            numbers[field] = _sealed(column)
    return {"numbers": numbers, "words": words, "changed": rows}


def _number(name: str, values: Sequence[float | None]) -> tuple[str, FloatColumn]:
    """The image's name of a column, and its numbers in SI; null is NaN."""
    field, factor = NUMBERS.get(name, (name, 1.0))
    return field, _sealed(np.array(values, dtype=np.float64) * factor)


def _words(column: Mapping[str, Any]) -> Words:
    return Words(codes=_sealed(np.array(column["idx"], dtype=np.int32)), words=tuple(column["dict"]))


def _strip(told: Mapping[str, Any], at_ms: int) -> StripView:
    event = None if told["event"] is None else _renamed(told["event"], at_ms)
    return _STRIP.validate_python({**told, "event": event})


def _events(rows: Sequence[Mapping[str, Any]], at_ms: int) -> tuple[EventView, ...]:
    return _EVENTS.validate_python([_renamed(row, at_ms) for row in rows])


def _renamed(row: Mapping[str, Any], at_ms: int) -> dict[str, Any]:
    """`class` is no name in Python; the countdowns are counted here."""
    start_s, end_s = (_until_s(row[name], at_ms) for name in ("start", "end"))
    return {**row, "event_class": row["class"], "starts_in_s": start_s, "ends_in_s": end_s}


def _jobs(rows: Sequence[Mapping[str, Any]], at_ms: int) -> tuple[JobView, ...]:
    """Jobs as they are shown; of the progress only its figures, for `by_reason` is a table of its own."""
    shown = [
        {**row, "elapsed_s": -_until_s(row["at"], at_ms, low=-np.inf), "progress": _figures(row["progress"])}
        for row in rows
    ]
    return _JOBS.validate_python(shown)


def _figures(progress: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {name: figure for name, figure in progress.items() if not isinstance(figure, Mapping | list)}


def _until_s(moment: str | None, at_ms: int, low: float = 0.0) -> float:
    if moment is None:
        return 0.0
    return max(datetime.fromisoformat(moment).timestamp() - at_ms / MS_PER_S, low)


def _circuits(told: Mapping[str, Any]) -> tuple[CircuitView, ...]:
    names: list[str] = told["name"]
    columns = (told[name] for name in ("name", "parent", "rating_kw", "load_kw", "meter_kw"))
    return tuple(
        CircuitView(
            name=name, parent=names[parent] if parent >= 0 else "", rating_kw=rating, load_kw=load, meter_kw=meter
        )
        for name, parent, rating, load, meter in zip(*columns, strict=True)
    )


def _loaded(circuits: tuple[CircuitView, ...], told: Mapping[str, Any]) -> tuple[CircuitView, ...]:
    loads = zip(circuits, told["load_kw"], told["meter_kw"], strict=True)
    return tuple(replace(circuit, load_kw=load, meter_kw=meter) for circuit, load, meter in loads)


def _sealed(column: NDArray[Scalar]) -> NDArray[Scalar]:
    column.flags.writeable = False
    return column
