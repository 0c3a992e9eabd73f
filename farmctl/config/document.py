"""Files, environment and flags become one tree of values that remembers where each of them was set."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from typing_extensions import TypeIs, override

from farmctl.config.fault import ConfigFaultsError, Fault, KeyPath, dotted
from farmctl.config.positions import key_lines

ENV_PREFIX = "FARMCTL_"
ENV_SEPARATOR = "__"
"""FARMCTL_POLL__INTERVAL_S sets poll.interval_s; names without the separator are not ours to read."""

_DECODE_LINE = re.compile(r"\(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who set a value."""

    place: str
    """A file, `env NAME`, `flag NAME` or `default`."""
    line: int = 0

    @override
    def __str__(self) -> str:
        """`file:line`, or the place alone."""
        return f"{self.place}:{self.line}" if self.line else self.place


DEFAULT = Origin(place="default")


@dataclass(slots=True)
class Document:
    """The merged tree, before any of it is believed."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    main: str = ""
    """Name of the first file, for faults about what is not there."""

    def origin(self, path: KeyPath) -> Origin:
        """Where a value was set; for a missing key the table that lacks it."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, Origin(place=self.main))

    def fault(self, path: KeyPath, expected: str) -> Fault:
        """A fault at a value or, where there is none, at its table."""
        origin = self.origin(path)
        return Fault(file=origin.place, line=origin.line, key=dotted(path), expected=expected)


def read_document(text: str, file: str) -> Document:
    """Read one file; raises ConfigFaultsError with the line of the first thing that is not TOML."""
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ConfigFaultsError([Fault(file=file, line=0, key="", expected="expected shallow tables")]) from None
    except ValueError as error:  # TOMLDecodeError, and what int() and date() say of absurd numbers
        found = _DECODE_LINE.search(str(error))
        line = int(found[1]) if found else 0
        raise ConfigFaultsError([Fault(file=file, line=line, key="", expected=f"not TOML: {error}")]) from None
    origins = {path: Origin(place=file, line=line) for path, line in key_lines(text).items()}
    return Document(values=values, origins=origins, main=file)


def overlay(document: Document, other: Document) -> None:
    """Lay `other` over `document`: tables merge key by key, list items with the same name merge, the rest is added."""
    _merge_tables(document, (), document.values, other, (), other.values)


def overlay_environment(document: Document, environment: Mapping[str, str]) -> None:
    """Lay FARMCTL_SECTION__KEY variables over the document."""
    for name in sorted(environment):
        if name.startswith(ENV_PREFIX) and ENV_SEPARATOR in name:
            section, _, key = name.removeprefix(ENV_PREFIX).lower().partition(ENV_SEPARATOR)
            overlay(document, _single((section, key), _scalar(environment[name]), Origin(place=f"env {name}")))


def overlay_flags(document: Document, flags: Mapping[tuple[str, str], tuple[str, object]]) -> None:
    """Lay command-line flags over the document: (section, key) -> (the flag's spelling, value)."""
    for path, (flag, value) in flags.items():
        overlay(document, _single(path, value, Origin(place=f"flag {flag}")))


def _single(path: tuple[str, str], value: object, origin: Origin) -> Document:
    section, key = path
    return Document(values={section: {key: value}}, origins={(section,): origin, path: origin})


def _scalar(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _merge_tables(
    document: Document,
    path: KeyPath,
    values: dict[str, object],
    other: Document,
    other_path: KeyPath,
    other_values: dict[str, object],
) -> None:
    for key, value in other_values.items():
        here, there = (*path, key), (*other_path, key)
        old = values.get(key)
        if _is_table(old) and _is_table(value):
            _merge_tables(document, here, old, other, there, value)
        elif _is_tables(old) and _is_tables(value):
            _merge_lists(document, here, old, other, there, value)
        else:
            values[key] = value
            _take_origins(document, here, other, there)


def _merge_lists(
    document: Document,
    path: KeyPath,
    items: list[dict[str, object]],
    other: Document,
    other_path: KeyPath,
    other_items: list[dict[str, object]],
) -> None:
    by_name = {item["name"]: number for number, item in enumerate(items) if isinstance(item.get("name"), str)}
    for other_number, item in enumerate(other_items):
        name = item.get("name")
        number = by_name.get(name) if isinstance(name, str) else None
        there = (*other_path, other_number)
        if number is None:
            items.append(item)
            _take_origins(document, (*path, len(items) - 1), other, there)
        else:
            _merge_tables(document, (*path, number), items[number], other, there, item)


def _take_origins(document: Document, here: KeyPath, other: Document, there: KeyPath) -> None:
    for path in [path for path in document.origins if path[: len(here)] == here]:
        del document.origins[path]
    for path, origin in other.origins.items():
        if path[: len(there)] == there:
            document.origins[(*here, *path[len(there) :])] = origin


def _is_table(value: object) -> TypeIs[dict[str, object]]:
    return isinstance(value, dict)


def _is_tables(value: object) -> TypeIs[list[dict[str, object]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
