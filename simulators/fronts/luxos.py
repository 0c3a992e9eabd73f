"""LuxOS on port 4028: reads, one session at a time, and what each control command does."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from simulators.faults import Fault
from simulators.fronts.cgminer import INVALID_COMMAND, Request, failure, join
from simulators.fronts.luxos_reads import READS, describe, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner
    from simulators.personality import Profile

SESSION_S = 60.0
"""A session ends after one idle minute (Luxor's API documentation), and only one may exist."""

SESSION_ERROR, PARAMETER_ERROR = 402, 65
"""Not on record; any STATUS E is what clients look at."""

SESSION_CODE, LOGON_CODE, CURTAIL_CODE, PROFILE_CODE, ATM_CODE = 315, 316, 335, 321, 340
SELECTOR = re.compile(r"^(?P<number>[\d.]+)(?P<unit>w|kw|ths|th/s)$", re.IGNORECASE)
STEP = re.compile(r"^[+-]\d+$")


class LuxosError(Exception):
    """A command that is refused; the message goes into Msg."""


class Session:
    """The one session of a miner."""

    __slots__ = ("_clock", "_era", "_id", "_used_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._id = ""
        self._used_s = 0.0
        self._era = 0

    def live(self, era: int) -> str:
        """Return the id of the live session, or "" when there is none."""
        if self._clock() - self._used_s >= SESSION_S or self._era != era:
            self._id = ""
        return self._id

    def start(self, era: int) -> str:
        """Open a session; raises LuxosError when one lives."""
        if self.live(era):
            raise LuxosError("Another session is active")
        self._id, self._era, self._used_s = secrets.token_urlsafe(6)[:8], era, self._clock()
        return self._id

    def use(self, given: str, era: int) -> None:
        """Keep the session alive; raises LuxosError when `given` is not it."""
        if not given or given != self.live(era):
            raise LuxosError("Invalid session id")
        self._used_s = self._clock()

    def end(self) -> None:
        """Forget the session."""
        self._id = ""


class LuxosFront:
    """Answers port 4028 of one miner with LuxOS."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._session = Session(miner.clock)

    def answer(self, request: Request) -> bytes:
        """Answer a read, a session command or a control command."""
        command, miner = request.command, self._miner
        read = READS.get(command)
        if read is not None:
            miner.reads[command] += 1
            return read(miner)
        if "+" in command:
            return join(self, request)
        try:
            if command in WRITES:
                return self._write(command, request.parameter)
            return self._converse(command, request.parameter)
        except LuxosError as error:
            return failure(SESSION_ERROR, str(error), describe(miner))

    def _converse(self, command: str, parameter: str) -> bytes:
        miner, era = self._miner, self._miner.secrets_void
        match command:
            case "session":
                sid = self._session.live(era)
                return encode(miner, SESSION_CODE, "Session", SESSION=[{"SessionID": sid}])
            case "logon":
                if Fault.UNAUTHORIZED in miner.faults:
                    raise LuxosError("Logon refused")
                sid = self._session.start(era)
                return encode(miner, LOGON_CODE, "Session created", SESSION=[{"SessionID": sid}])
            case "logoff":
                self._session.use(parameter.partition(",")[0], era)
                self._session.end()
                return encode(miner, SESSION_CODE + 2, "Session terminated")
            case "kill":
                self._session.end()
                return encode(miner, SESSION_CODE + 3, "Session killed")
            case _:
                return failure(INVALID_COMMAND, "Invalid command", describe(miner))

    def _write(self, command: str, parameter: str) -> bytes:
        miner = self._miner
        sid, *arguments = parameter.split(",")
        miner.note("api", command, ",".join(arguments))
        if Fault.UNAUTHORIZED in miner.faults:
            raise LuxosError("Invalid session id")
        self._session.use(sid.strip(), miner.secrets_void)
        if Fault.REFUSES in miner.faults:
            raise LuxosError("Command failed")
        return WRITES[command](miner, [a.strip() for a in arguments])


def _curtail(miner: SimMiner, arguments: list[str]) -> bytes:
    action, options = (arguments or [""])[0], _options(arguments[1:])
    match action:
        case "sleep":
            miner.sleep()
        case "wakeup":
            unsafe = options.get("mode") == "unsafe"
            if unsafe and miner.wakes_since_boot == 0:
                raise LuxosError("mode=unsafe is not allowed for the first wake after a reboot")
            if miner.is_asleep:
                miner.wake(unsafe=unsafe)
        case _:
            raise LuxosError(f"curtail: unknown action {action!r}")
    word = "sleep mode" if action == "sleep" else "wake up"
    return encode(miner, CURTAIL_CODE, "Curtail mode", CURTAIL=[{"Action": word}])


def _profileset(miner: SimMiner, arguments: list[str]) -> bytes:
    if not arguments:
        raise LuxosError("profileset: missing profile")
    profile = _select(miner, arguments[-1])
    if not miner.is_deaf:
        miner.profile = profile
        miner.set_level(profile.watts, profile.hash_rate_ths)
    rows = [{"Board": n, "Profile": profile.name} for n in range(miner.personality.boards)]
    return encode(miner, PROFILE_CODE, "Profile set", PROFILE=rows)


def _select(miner: SimMiner, wish: str) -> Profile:
    ladder = miner.personality.ladder
    by_name = {p.name.lower(): p for p in ladder}
    if wish.lower() in by_name:
        return by_name[wish.lower()]
    if STEP.match(wish):
        step = (miner.profile.step if miner.profile else 0) + int(wish)
        found = [p for p in ladder if p.step == step]
    else:
        found = _within(ladder, wish)
    if not found:
        raise LuxosError(f"profileset: no profile for {wish!r}")
    return found[-1]


def _within(ladder: tuple[Profile, ...], wish: str) -> list[Profile]:
    match = SELECTOR.match(wish)
    if match is None:
        return []
    number, unit = float(match["number"]), match["unit"].lower()
    if unit.startswith("th"):
        return [p for p in ladder if p.hash_rate_ths <= number]
    watts = number * 1000 if unit == "kw" else number
    return [p for p in ladder if p.watts <= watts]


def _atmset(miner: SimMiner, arguments: list[str]) -> bytes:
    options = _options(arguments)
    if not options:
        raise LuxosError("atmset: expected key=value")
    if "enabled" in options and not miner.is_deaf:
        miner.is_atm = options["enabled"].lower() == "true"
    return encode(miner, ATM_CODE, "ATM configuration set", ATM=[{"Enabled": miner.is_atm}])


def _rebootdevice(miner: SimMiner, _arguments: list[str]) -> bytes:
    if not miner.is_deaf:
        miner.reboot()
    return encode(miner, 324, "Reboot")


def _resetminer(miner: SimMiner, _arguments: list[str]) -> bytes:
    miner.restart()
    return encode(miner, 325, "Reset")


def _ledset(miner: SimMiner, arguments: list[str]) -> bytes:
    miner.led = (arguments or ["", "auto"])[-1]
    return encode(miner, 326, "Led set")


def _fanset(miner: SimMiner, arguments: list[str]) -> bytes:
    miner.settings.extra.update(_options(arguments))
    return encode(miner, 327, "Fan set")


def _options(arguments: list[str]) -> dict[str, str]:
    pairs = (argument.partition("=") for argument in arguments)
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


WRITES: dict[str, Callable[[SimMiner, list[str]], bytes]] = {
    "curtail": _curtail,
    "profileset": _profileset,
    "atmset": _atmset,
    "rebootdevice": _rebootdevice,
    "resetminer": _resetminer,
    "ledset": _ledset,
    "fanset": _fanset,
}
