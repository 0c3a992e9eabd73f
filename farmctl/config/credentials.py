"""Which login belongs to which miner, and the secret out of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from farmctl.config.schema import CredentialsTable
from farmctl.errors import ConfigError

SELECTOR_FIELDS = ("host", "id", "model", "circuit", "container", "rack")
"""What a selector may look at; `host` where it names no field."""

LONGEST_SECRET = 4096


class SecretFileError(ConfigError):
    """A secret's file could not be read."""


def split_selector(selector: str) -> tuple[str, str]:
    """Field and glob of `field=glob`; a bare glob is about the host."""
    field, equals, glob = selector.partition("=")
    return (field.strip(), glob.strip()) if equals else ("host", selector.strip())


def credentials_for(
    entries: Iterable[CredentialsTable], driver: str, miner: Mapping[str, str]
) -> CredentialsTable | None:
    """The first entry that fits; `miner` has the words of `SELECTOR_FIELDS`, absent ones count as empty."""
    for entry in entries:
        field, glob = split_selector(entry.selector)
        if entry.driver == driver and fnmatchcase(miner.get(field, ""), glob):
            return entry
    return None


def read_secret(path: Path) -> str:
    """The secret in a file, without the line end that editors add; raises SecretFileError."""
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(LONGEST_SECRET + 1).rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SecretFileError(f"{path}: expected a readable secret: {reason}") from None
    if not secret or len(secret) > LONGEST_SECRET:
        raise SecretFileError(f"{path}: expected a secret of 1 to {LONGEST_SECRET} characters")
    return secret
