"""A file of what a site said: one line for each ack and report, on disk before it is acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from farmctl.errors import ConfigError
from farmctl.signals.kit.book import OWNER_ONLY
from farmctl.signals.kit.holding import Keeper, Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Keeper):
    """JSON lines, each with what was held after it; a line that a crash cut off does not count."""

    file: Path

    @override
    async def state(self) -> bytes | None:
        """Of the last whole line.  Raises ConfigError."""
        return await asyncio.to_thread(self._last)

    @override
    async def keep(self, letters: Sequence[Letter], state: bytes) -> None:
        """Append and fsync.  Raises ConfigError."""
        await asyncio.to_thread(self._append, letters, state)

    def _last(self) -> bytes | None:
        if not self.file.exists():
            return None
        state: bytes | None = None
        try:
            with self.file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        state = json.dumps(json.loads(line)["held"]).encode()
                    except (ValueError, KeyError, TypeError):
                        continue
        except OSError as error:
            raise ConfigError(f"{self.file}: what the site said cannot be read: {error.strerror}") from error
        return state

    def _append(self, letters: Sequence[Letter], state: bytes) -> None:
        said = [
            {"at": letter.at_ms, "channel": letter.channel, "box": letter.box, "no": letter.number, "body": letter.body}
            for letter in letters
        ]
        line = json.dumps({"said": said, "held": json.loads(state)}, separators=(",", ":"))
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWNER_ONLY)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(f"\n{line}\n")  # a line that was cut off ends here
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise ConfigError(f"{self.file}: what the site said cannot be kept: {error.strerror}") from error
