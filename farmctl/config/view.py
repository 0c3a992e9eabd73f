"""Every key with its value and its origin, as `farmctl config view --show-origin` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farmctl.config.document import DEFAULT, Origin
from farmctl.config.fault import KeyPath, dotted
from farmctl.config.load import Loaded
from farmctl.config.schema.kinds import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key as it is in force."""

    key: str
    value: str
    """As text; a secret is only ever the path of its file."""
    origin: Origin


def settings(loaded: Loaded) -> Iterator[Setting]:
    """All keys in the order of the schema, defaults included."""
    return _of_table(loaded, loaded.config, ())


def _of_table(loaded: Loaded, table: Table, path: KeyPath) -> Iterator[Setting]:
    for name in type(table).model_fields:
        value, here = getattr(table, name), (*path, name)
        if isinstance(value, Table):
            yield from _of_table(loaded, value, here)
        elif isinstance(value, tuple) and value and all(isinstance(item, Table) for item in value):
            for number, item in enumerate(value):
                yield from _of_table(loaded, item, (*here, number))
        else:
            yield Setting(key=dotted(here), value=_text(value), origin=loaded.origins.get(here, DEFAULT))


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(_text(item) for item in value)}]"
        case _:
            return str(value)
