"""A message against a JSON schema, walked by hand: enough of the dialect for our own schemas, and it says so if not."""

from __future__ import annotations

import re
from typing import Any

Schema = dict[str, Any]
KNOWN = {
    *("$defs", "$id", "$schema", "$ref", "anyOf", "const", "default", "description", "enum", "exclusiveMinimum"),
    *("format", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "pattern"),
    *("properties", "required", "type", "additionalProperties"),
}
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def faults(root: Schema, value: Any, schema: Schema | None = None, place: str = "$") -> list[str]:
    """Everything that does not fit."""
    schema = root if schema is None else schema
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return faults(root, value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], place)
    found: list[str] = []
    if "anyOf" in schema:
        tried = [faults(root, value, option, place) for option in schema["anyOf"]]
        found += [] if [] in tried else [f"{place}: fits no alternative: {tried}"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{place}: expected {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place}: {value!r} is none of {schema['enum']}")
    kind = schema.get("type")
    if kind is None:
        return found
    wrong = not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))
    return [*found, f"{place}: {value!r} is no {kind}"] if wrong else [*found, *_bounds(root, value, schema, place)]


def _bounds(root: Schema, value: Any, schema: Schema, place: str) -> list[str]:
    match value:
        case dict():
            known, other = schema.get("properties", {}), schema.get("additionalProperties")
            missing = [f"{place}.{name}: missing" for name in schema.get("required", ()) if name not in value]
            inner = [(name, item, known.get(name, other)) for name, item in value.items()]
            return missing + [f for n, v, s in inner if isinstance(s, dict) for f in faults(root, v, s, f"{place}.{n}")]
        case list():
            short = not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 2**31)
            items = [f for n, v in enumerate(value) for f in faults(root, v, schema.get("items", {}), f"{place}.{n}")]
            return [*([f"{place}: {len(value)} items"] if short else []), *items]
        case str():
            fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 2**31)
            fits = fits and re.search(schema.get("pattern", ""), value) is not None
            moment = schema.get("format") != "date-time" or re.fullmatch(r"[0-9T:.-]{19,}Z", value)
            return [] if fits and moment else [f"{place}: {value!r} is out of bounds"]
        case bool() | None:
            return []
        case _:
            low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
            above = value > schema.get("exclusiveMinimum", float("-inf"))
            return [] if low <= value <= high and above else [f"{place}: {value} is out of bounds"]
