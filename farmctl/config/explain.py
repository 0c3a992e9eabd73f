"""What pydantic found wrong with one table, in the words of a person who has to mend the file."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Iterable, Iterator
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from farmctl.config.document import Document
from farmctl.config.fault import Fault, KeyPath, dotted
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.kinds import Table

SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "pass", "secret", "token", "private_key", "key"})
"""Keys under which people paste secrets; none of them is ours, and their values are never printed."""

_SHOWN_CHARACTERS = 60
_TYPES = {
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "string_type": "expected a string",
    "tuple_type": "expected a list",
    "model_type": "expected a table",
    "path_type": "expected a path as a string",
    "finite_number": "expected a finite number",
    "timezone_aware": "expected a time with its zone, such as 2026-11-23T10:00:00Z",
    "datetime_type": "expected a time with its zone, such as 2026-11-23T10:00:00Z",
}
_BOUNDS = {
    "greater_than": ("gt", "expected more than"),
    "greater_than_equal": ("ge", "expected at least"),
    "less_than": ("lt", "expected less than"),
    "less_than_equal": ("le", "expected at most"),
}
_FROM_CONTEXT = {
    "literal_error": ("expected", "expected "),
    "string_pattern_mismatch": ("pattern", "expected text that matches "),
    "too_short": ("min_length", "too few, expected at least "),
    "too_long": ("max_length", "too many, expected at most "),
    "string_too_short": ("min_length", "too short, expected a length of at least "),
    "string_too_long": ("max_length", "too long, expected a length of at most "),
    "value_error": ("error", ""),
}


def explain(error: ValidationError, path: KeyPath, document: Document) -> Iterator[Fault]:
    """One fault for each thing that pydantic lists about the table at `path`."""
    details = error.errors(include_url=False)
    for detail in details:
        where, depth = (*path, *detail["loc"]), len(detail["loc"])
        match detail["type"]:
            case "too_short" if any(d["loc"][:depth] == detail["loc"] and len(d["loc"]) > depth for d in details):
                continue  # pydantic counts the items that have no fault
            case "missing":
                yield document.fault(where, f"missing; {_meaning(where)}")
            case "extra_forbidden":
                yield unknown_key(where, document)
            case _:
                got = shown(_value_at(document, where))
                yield document.fault(where, f"{_expectation(detail)}, got {got}")


def unknown_key(path: KeyPath, document: Document) -> Fault:
    """A key that no table of ours has, with the nearest one that exists."""
    key = str(path[-1])
    table = table_at(path[:-1])
    known = tuple(table.model_fields) if table else ()
    if key.lower() in SECRET_WORDS:
        hint = "" if "password_file" not in known else "; expected password_file with the path of a file of mode 0600"
        return document.fault(path, f"a secret never stands in the configuration{hint}")
    return document.fault(path, f"unknown key{did_you_mean(key, known) or _elsewhere(key)}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest known word, else the few there are."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def shown(value: object) -> str:
    """A value of the file, short and without control characters, for a message."""
    match value:
        case dict():
            return "a table"
        case list():
            return f"a list of {len(value)}"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value[:_SHOWN_CHARACTERS], ensure_ascii=False)
        case int() if abs(value) >= 10**_SHOWN_CHARACTERS:
            return "a number beyond measure"
        case _:
            return str(value)[:_SHOWN_CHARACTERS]


def table_at(path: KeyPath) -> type[Table] | None:
    """The model of the table at a path; None where the schema has none."""
    table: type[Table] | None = FarmConfig
    for part in path:
        if isinstance(part, int):
            continue
        field = table.model_fields.get(part) if table else None
        table = _table_in(field.annotation) if field else None
    return table


def _table_in(annotation: object) -> type[Table] | None:
    if inspect.isclass(annotation) and issubclass(annotation, Table):
        return annotation
    inner = (_table_in(part) for part in get_args(annotation))
    return next((table for table in inner if table), None)


def _elsewhere(key: str) -> str:
    homes = [name for name in FarmConfig.model_fields if key in getattr(table_at((name,)), "model_fields", {})]
    return f"; {dotted((homes[0], key))} exists" if homes else ""


def _meaning(path: KeyPath) -> str:
    table = table_at(path[:-1])
    field = table.model_fields.get(str(path[-1])) if table else None
    if field is None or not field.description:
        return "expected a value"
    return " ".join(field.description.split()).rstrip(".")


def _expectation(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"{words} {context[key]:g}"
    if kind in _FROM_CONTEXT:
        key, words = _FROM_CONTEXT[kind]
        return f"{words}{context[key]}"
    return _TYPES.get(kind, detail["msg"])


def _value_at(document: Document, path: KeyPath) -> object:
    value: object = document.values
    for part in path:
        match value, part:
            case dict(), _:
                value = value.get(part)
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                return None
    return value
