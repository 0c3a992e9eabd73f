"""What crosses the pipe between farmctl and the pyasic worker: one JSON object per line, both ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import orjson
from pydantic import TypeAdapter

Operation = Literal["identify", "poll", "facts", "apply", "locate", "reboot"]

WRITES: frozenset[str] = frozenset({"apply", "locate", "reboot"})


class Failing(StrEnum):
    """Why a call came to nothing, in the words of `farmctl.errors`."""

    SILENT = "silent"
    MALFORMED = "malformed"
    REFUSED = "refused"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing to do to one miner."""

    id: int
    operation: Operation
    host: str
    user: str = ""
    password: str = field(default="", repr=False)
    argument: str = ""
    """A setting for `apply`, `on` or `off` for `locate`."""
    deadline_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What pyasic made of a miner; None is unknown. Units: H/s, W, °C, s, rpm."""

    classes: tuple[str, ...] = ()
    """pyasic's class and its bases: the row of the truth table in `DEVICES.md` section 2."""
    model: str = ""
    firmware: str = ""
    mac: str = ""
    serial: str = ""
    hash_rate_hs: float | None = None
    nominal_hs: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    uptime_s: float | None = None
    fans_rpm: tuple[float, ...] = ()
    chips_c: tuple[float, ...] = ()
    """Hottest figure of each board; pyasic swaps board and chip on VNish, the hotter one is the chip."""
    boards_c: tuple[float, ...] = ()
    boards: int | None = None
    pools: tuple[tuple[str, str, bool | None], ...] = ()
    """URL, user, alive."""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a call: a snapshot, nothing (not of any known family, or a write that was asked), or a failing."""

    id: int
    snapshot: Snapshot | None = None
    failing: Failing | None = None
    said: str = ""
    rss_bytes: int = 0
    open_files: int = 0


class CallFailedError(Exception):
    """A call came to nothing, and why."""

    def __init__(self, failing: Failing, said: str) -> None:
        super().__init__(said)
        self.failing = failing
        self.said = said


READY_ID = 0
"""The worker's first line: pyasic is imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Nobody waits for a call any more."""

    cancel: int


_INPUT: TypeAdapter[Call | Cancel] = TypeAdapter(Call | Cancel)
_OUTPUT = TypeAdapter(Answer)


def encode(message: Call | Cancel | Answer) -> bytes:
    """One line, newline included."""
    return orjson.dumps(message) + b"\n"


def decode_input(line: bytes) -> Call | Cancel:
    """Read what the worker is told. Raises ValueError."""
    return _INPUT.validate_json(line)


def decode_answer(line: bytes) -> Answer:
    """Read what the worker says. Raises ValueError."""
    return _OUTPUT.validate_json(line)
