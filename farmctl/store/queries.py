"""SQL that travels in the wheel: named blocks and numbered migrations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from sqlite3 import complete_statement

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_(\w+)\.sql$")
_FOLDER = resources.files("farmctl.store") / "sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    def statements(self) -> Iterator[str]:
        """The statements one by one: `executescript` would commit the transaction around them."""
        lines: list[str] = []
        for line in self.sql.splitlines():
            lines.append(line)
            if complete_statement(statement := "\n".join(lines)):
                yield statement
                lines.clear()
        if any(line.strip() for line in lines):
            raise ValueError(f"migration {self.version:04}_{self.name}.sql: the last statement has no end")


def named(text: str) -> Mapping[str, str]:
    """The `-- name: xxx` blocks of a text; raises ValueError for a name used twice."""
    parts = _NAME.split(text)[1:]
    blocks = {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}
    if len(blocks) * 2 != len(parts):
        raise ValueError("queries.sql: a name is used twice")
    return blocks


def load_migrations(dialect: str = "") -> tuple[Migration, ...]:
    """All migrations of a dialect in order; raises ValueError for a number that is missing or used twice."""
    found = []
    for file in (_FOLDER / dialect / "migrations").iterdir():
        if (match := _MIGRATION.match(file.name)) is not None:
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(version=int(match[1]), name=match[2], sql=sql))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("sql/migrations: expected the numbers 0001, 0002, ... once each")
    return tuple(found)


def load_queries(dialect: str) -> Mapping[str, str]:
    """The named queries of a dialect."""
    return named((_FOLDER / dialect / "queries.sql").read_text(encoding="utf-8"))


QUERIES = named((_FOLDER / "queries.sql").read_text(encoding="utf-8"))
