"""This host: room on the disk of the journal, and certificates and tokens that end."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from farmctl.core.alarms import Condition, Truth
from farmctl.core.units import DAY_MS, MS_PER_S

SITE = "site"
FULL = 0.10
FULL_NEAR = 0.12
LEFT_S = 86_400.0
TREND_MS = 3_600_000
"""Growth is judged over an hour at least, and over six at most."""
KEPT_LOOKS = 360
SOON_MS = 14 * DAY_MS
GIB = 2**30


@dataclass(slots=True, kw_only=True)
class DiskWatch:
    """Room where the journal is."""

    folder: Path
    usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage
    """(total, used, free) in bytes."""
    _seen: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=KEPT_LOOKS))

    def look(self, now_ms: int) -> Sequence[Condition]:
        """store_filling, by share or by the time that is left at the present growth."""
        try:
            total, used, free = self.usage(self.folder)
        except OSError as error:
            text = f"{self.folder}: {error.strerror or error}"
            return (Condition(alarm="store_filling", priority=2, where=SITE, detail=text, truth=Truth.UNKNOWN),)
        self._seen.append((now_ms, used))
        share, left_s = free / max(total, 1), self._left_s(free)
        if share >= FULL_NEAR and left_s >= LEFT_S:
            return ()
        truth = Truth.TRUE if share < FULL or left_s < LEFT_S else Truth.NEAR
        when = f", {left_s / 3600:.0f} h at this growth" if left_s < 10 * LEFT_S else ""
        text = f"{free / GIB:.1f} GiB ({share:.0%}) left at {self.folder}{when}"
        return (Condition(alarm="store_filling", priority=2, where=SITE, detail=text, truth=truth),)

    def _left_s(self, free: int) -> float:
        (first_ms, first), (last_ms, last) = self._seen[0], self._seen[-1]
        if last_ms - first_ms < TREND_MS or last <= first:
            return float("inf")
        return free / ((last - first) / ((last_ms - first_ms) / MS_PER_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialWatch:
    """Certificates in files, and whatever else ends."""

    certificates: tuple[Path, ...]
    others: Callable[[], Iterable[tuple[str, int]]] = tuple
    """(name, end in ms) of tokens and licences."""

    def look(self, now_ms: int) -> Sequence[Condition]:
        """credential_expiry, one for each that ends soon or has ended."""
        return tuple(
            Condition(alarm="credential_expiry", priority=3, where=name, detail=_ends(name, ends_ms, now_ms))
            for name, ends_ms in (*self._files(), *self.others())
            if ends_ms - now_ms < SOON_MS
        )

    def _files(self) -> Iterator[tuple[str, int]]:
        from cryptography import x509  # noqa: PLC0415 - 0.1 s that a site without certificates does not pay

        for path in sorted(set(self.certificates)):
            try:
                chain = x509.load_pem_x509_certificates(path.read_bytes())
            except (OSError, ValueError):
                continue  # a file that cannot be read stopped the start; what was replaced badly is said by its user
            ends = min(certificate.not_valid_after_utc for certificate in chain)
            yield path.name, int(ends.timestamp() * MS_PER_S)


def _ends(name: str, ends_ms: int, now_ms: int) -> str:
    moment = datetime.fromtimestamp(ends_ms / MS_PER_S, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    days = (ends_ms - now_ms) / DAY_MS
    return f"{name} ended at {moment}" if days < 0 else f"{name} ends at {moment}, in {days:.0f} days"
