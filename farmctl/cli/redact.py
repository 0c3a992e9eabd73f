"""Secrets taken out of text: those whose files the configuration names, and everything that looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from farmctl.config.checks.files import SECRET_FILES
from farmctl.config.load import Loaded
from farmctl.config.schema.kinds import Table

MARK = "***"
SHORTEST = 4
"""A shorter secret would blank half of every word; its file is named instead."""
LONGEST = 64 * 1024
_PATTERNS = (
    re.compile(r"farmctl_[0-9a-f]{8}_[A-Za-z0-9_-]{20,}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(
        r"""(?im)(?:^|(?<=["'\s]))(?:password|passwd|secret|token|api_?key)["']?\s*[:=]\s*["']?([^\s"',}]{4,})"""
    ),
)


@dataclass(slots=True)
class Redactor:
    """Knows the secrets of one configuration."""

    secrets: tuple[str, ...]
    """Longest first, so that one that holds another goes whole."""
    hits: int = 0

    @classmethod
    def of(cls, loaded: Loaded | None) -> Redactor:
        """Read every secret that the configuration names and this user may read."""
        found: set[str] = set()
        for path in _secret_files(loaded.config) if loaded is not None else ():
            try:
                text = path.read_text(encoding="utf-8", errors="replace")[:LONGEST]
            except OSError:
                continue
            found |= {line.strip() for line in (text, *text.splitlines()) if len(line.strip()) >= SHORTEST}
        return cls(tuple(sorted(found, key=len, reverse=True)))

    def clean(self, text: str) -> str:
        """The text without them."""
        for secret in self.secrets:
            self.hits += text.count(secret)
            text = text.replace(secret, MARK)
        for pattern in _PATTERNS:
            text = pattern.sub(self._marked, text)
        return text

    def _marked(self, match: re.Match[str]) -> str:
        whole = match[0]
        if match.re.groups and match[1] in (MARK, ""):
            return whole
        self.hits += 1
        return whole.replace(match[1], MARK) if match.re.groups else MARK


def _secret_files(table: Table) -> Iterator[Path]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, Table):
            yield from _secret_files(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Table):
                    yield from _secret_files(item)
        elif name in SECRET_FILES and isinstance(value, Path):
            yield value
