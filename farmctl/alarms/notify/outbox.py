"""Messages of one channel that are not delivered: a file each, so that a restart loses none."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from farmctl.alarms.notify.message import Message
from farmctl.errors import StoreError

MOST = 5_000
"""A channel that was dead for so long has lost its point; the journal has everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message on its way."""

    delivery: str
    """The same at every try: a receiver knows a repeat by it."""
    due_ms: int
    message: Message


_PARCEL: TypeAdapter[Parcel] = TypeAdapter(Parcel)


class Outbox:
    """A folder of parcels, oldest first; every method may touch the disk, so it is called off the loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.parcels: dict[str, Parcel] = {}
        self._count = 0

    def load(self) -> None:
        """What the last run left. Raises StoreError where the folder cannot be made or read."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for file in sorted(self._folder.glob("*.json")):
                try:
                    parcel = _PARCEL.validate_json(file.read_bytes())
                except ValidationError:
                    file.unlink(missing_ok=True)  # half a message tells nobody anything
                    continue
                self.parcels[parcel.delivery] = parcel
        except OSError as error:
            message = f"{self._folder}: expected a folder for messages: {error.strerror or error}"
            raise StoreError(message) from error

    def put(self, message: Message, due_ms: int) -> Parcel:
        """Keep one until it is delivered; the oldest leave where there are too many. Raises StoreError."""
        self._count += 1
        delivery = f"{message.at_ms}-{os.getpid()}-{self._count:06d}"
        parcel = Parcel(delivery=delivery, due_ms=due_ms, message=message)
        self._write(parcel)
        self.parcels[delivery] = parcel
        while len(self.parcels) > MOST:
            self.done(next(iter(self.parcels)))
        return parcel

    def later(self, delivery: str, due_ms: int) -> None:
        """Try again then; the date of the next try is not worth a write."""
        self.parcels[delivery] = replace(self.parcels[delivery], due_ms=due_ms)

    def done(self, delivery: str) -> None:
        """It was delivered, or is given up."""
        self.parcels.pop(delivery, None)
        (self._folder / f"{delivery}.json").unlink(missing_ok=True)

    def _write(self, parcel: Parcel) -> None:
        file = self._folder / f"{parcel.delivery}.json"
        beside = file.with_suffix(".new")
        try:
            with beside.open("wb") as stream:
                stream.write(_PARCEL.dump_json(parcel))
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(file)
        except OSError as error:
            message = f"{file}: the message cannot be kept: {error.strerror or error}"
            raise StoreError(message) from error
