"""What a dispatcher must not forget between two calls: its counters and the events that still live."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farmctl.errors import ConfigError
from farmctl.signals._intake.duration import time_ms_of

Payload = dict[str, Any]
OWNER_ONLY = 0o600


@dataclass(slots=True, kw_only=True)
class Book:
    """Counters of one (operator, site); `epoch` grows when there is no book of the one before."""

    epoch: int
    seq: int = 0
    beats: int = 0
    live: dict[str, Payload] = field(default_factory=dict)
    """Event id -> the EVENT object as it was sent last."""
    file: Path | None = None

    def next_seq(self) -> int:
        """Count on, durable before anything is sent with it.  Raises ConfigError."""
        self.seq += 1
        self.save()
        return self.seq

    def next_beat(self) -> int:
        """Count heartbeats on, durable too: after a crash lower numbers would be dropped.  Raises ConfigError."""
        self.beats += 1
        self.save()
        return self.beats

    def rises_above(self, epoch: int, *, now_epoch: int) -> None:
        """Begin a new epoch above one that the site has heard from another dispatcher.  Raises ConfigError."""
        self.epoch, self.seq, self.beats = max(epoch + 1, now_epoch), 0, 0
        self.save()

    def forget_ended(self, now_ms: int) -> None:
        """Drop events whose authority is over; an EMERGENCY stays until it is released."""
        self.live = {name: body for name, body in self.live.items() if _still(body["x-farmctl"], now_ms)}

    def save(self) -> None:
        """Write the file, whole or not at all.  Raises ConfigError."""
        if self.file is None:
            return
        text = json.dumps({"v": 1, "epoch": self.epoch, "seq": self.seq, "beats": self.beats, "live": self.live})
        beside = self.file.with_suffix(".new")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self.file)
        except OSError as error:
            raise ConfigError(f"{self.file}: the dispatcher's counters cannot be kept: {error.strerror}") from error


def opened(file: Path | None, *, epoch: int) -> Book:
    """The book of the last call, or a new one at `epoch`.  Raises ConfigError for a file that is none."""
    if file is None or not file.exists():
        return Book(epoch=epoch, file=file)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Book(
            epoch=int(found["epoch"]),
            seq=int(found["seq"]),
            beats=int(found["beats"]),
            live={str(name): dict(body) for name, body in found["live"].items()},
            file=file,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: expected the counters of a dispatcher: {error!r}") from error


def _still(extension: Payload, now_ms: int) -> bool:
    return extension["class"] == "EMERGENCY" or time_ms_of(extension["expiresAt"]) > now_ms
