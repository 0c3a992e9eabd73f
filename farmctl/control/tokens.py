"""Bearer tokens of the TCP listener: one per person, kept as hashes, with a role and an end; revocable."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from farmctl.core.units import NEVER_MS
from farmctl.errors import AskHumanError

FILE = "tokens.json"
"""Beside the journal; mode 0600."""
PREFIX = "farmctl"
ID_BYTES = 4
SECRET_BYTES = 32
"""256 random bits: nobody guesses them, so a plain SHA-256 keeps them well enough."""
ROLES = ("viewer", "operator", "engineer")


class TokenFileError(AskHumanError):
    """The file of the tokens cannot be read or written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as it is kept: enough to know it again, not enough to use it."""

    token_id: str
    name: str
    """The person; the journal names this."""
    role: str
    sha256: str
    made_ms: int
    expires_ms: int
    made_by: str = ""
    reason: str = ""
    revoked_ms: int = NEVER_MS
    revoked_why: str = ""

    def state(self, now_ms: int) -> str:
        """`live`, `expired` or `revoked`."""
        if self.revoked_ms != NEVER_MS:
            return "revoked"
        return "live" if now_ms < self.expires_ms else "expired"

    @property
    def is_over(self) -> bool:
        """It was revoked."""
        return self.revoked_ms != NEVER_MS

    @property
    def uid(self) -> int:
        """What stands for a uid in lease and journal: below -1, the same for every token of a person."""
        return -2 - zlib.crc32(self.name.encode())


def make(name: str, role: str, made_ms: int, expires_ms: int, *, made_by: str, reason: str) -> tuple[str, Token]:
    """A new token: its text, which is shown once, and what is kept of it."""
    token_id = secrets.token_hex(ID_BYTES)
    text = f"{PREFIX}_{token_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    kept = Token(
        token_id=token_id, name=name, role=role, sha256=_hash(text), made_ms=made_ms, expires_ms=expires_ms,
        made_by=made_by, reason=reason,
    )  # fmt: skip
    return text, kept


def read(path: Path) -> tuple[Token, ...]:
    """Every token; none where there is no file. Raises TokenFileError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = tuple(Token(**row) for row in rows)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        message = f"{path}: expected the tokens as farmctl token writes them: {error}"
        raise TokenFileError(message) from error
    if bad := next((token for token in found if token.role not in ROLES), None):
        message = f"{path}: token {bad.token_id}: expected a role of {', '.join(ROLES)}, got {bad.role!r}"
        raise TokenFileError(message)
    return found


def write(path: Path, tokens: Sequence[Token]) -> None:
    """Put them down whole or not at all, mode 0600. Raises TokenFileError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump([asdict(token) for token in tokens], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            owner = path.stat()
            os.chown(beside, owner.st_uid, owner.st_gid)
        beside.replace(path)
    except OSError as error:
        message = f"{path}: expected a file that can be written: {error.strerror or error}"
        raise TokenFileError(message) from error
    finally:
        beside.unlink(missing_ok=True)


def revoked(tokens: Sequence[Token], which: str, now_ms: int, why: str) -> tuple[Token, ...]:
    """The same with one token, or every token of a person, revoked. Raises TokenFileError where there is none."""
    hit = {token.token_id for token in tokens if which in (token.token_id, token.name) and token.revoked_ms == NEVER_MS}
    if not hit:
        message = f"token {which}: expected the id or the name of one that is not revoked"
        raise TokenFileError(message)
    return tuple(
        replace(token, revoked_ms=now_ms, revoked_why=why) if token.token_id in hit else token for token in tokens
    )


class TokenBook:
    """The tokens as the server asks for them; a change of the file counts from the next question on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def find(self, text: str, now_ms: int) -> Token | None:
        """The live token of that text, None for an unknown, expired or revoked one. Raises TokenFileError."""
        parts = text.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX:  # noqa: PLR2004 - farmctl_ID_SECRET
            return None
        token = self._current().get(parts[1])
        if token is None or not hmac.compare_digest(token.sha256, _hash(text)):
            return None
        return token if token.state(now_ms) == "live" else None

    def any_live(self, now_ms: int) -> bool:
        """Somebody may come in. Raises TokenFileError."""
        return any(token.state(now_ms) == "live" for token in self._current().values())

    def _current(self) -> dict[str, Token]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens = None, {}
            return self._tokens
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp != self._stamp:
            self._tokens = {token.token_id: token for token in read(self._path)}
            self._stamp = stamp
        return self._tokens


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
