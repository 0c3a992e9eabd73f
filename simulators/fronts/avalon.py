"""Avalon on port 4028: cgminer reads, `ascset` writes, soft power by timestamp, one connection at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
from typing_extensions import override

from simulators.faults import Fault
from simulators.fronts.avalon_reads import READS
from simulators.fronts.cgminer import INVALID_COMMAND, CgminerDoor
from simulators.personality import Quirk

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from simulators.fronts.cgminer import Request
    from simulators.miner import SimMiner

DESCRIPTION = "cgminer 4.11.1"
SET_INFO, SET_OK, SET_FAILED = 118, 119, 120
"""cgminer API-README: codes of an `ascset` that informs, succeeds, fails."""
OVERLAP = "overlap"
"""Counts in `reads` the connections that came while another was open: the vendor permits none."""
BOOT_CLOCK_S = 17
"""When minus Elapsed in the recording of an A1246 whose clock was never set."""
LATE_S = 60.0
"""A timestamp that lies further back has gone by and does nothing."""
OPTIONS = "help|fan-spd|voltage|workmode|worklevel|reboot|softon|softoff|led|frequency|hashpower|password"


class AvalonFront:
    """Answers port 4028 of one Avalon; `open_connections` belongs to its doors."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self.open_connections = 0

    def answer(self, request: Request) -> bytes:
        """Answer a read or an ascset; empty where the firmware closes without a byte."""
        read = READS.get(request.command)
        if read is not None:
            self._miner.reads[request.command] += 1
            return self._reply("S", read.code, read.message(self._miner), **read.sections(self._miner))
        if request.command == "ascset":
            return self._ascset(_parameter(request))
        if request.command in {"restart", "privileged"}:
            return self._restart(request.command)
        return self._reply("E", INVALID_COMMAND, "Invalid command")

    def connected(self, change: int) -> None:
        """Count a connection that came (1) or went (-1)."""
        if change > 0 and self.open_connections:
            self._miner.reads[OVERLAP] += 1
        self.open_connections += change

    def clock_s(self) -> int:
        """What the device believes the time to be."""
        if Quirk.CLOCK_FROM_BOOT in self._miner.quirks:
            return self._miner.read().uptime_s + BOOT_CLOCK_S
        return int(time.time())

    def _ascset(self, parameter: str) -> bytes:
        miner = self._miner
        device, _, rest = parameter.partition(",")
        option, _, value = rest.partition(",")
        if device != "0":
            return self._reply("E", 107, f"Invalid ASC id {device} - range is 0 - 0")
        if option == "help":
            return self._reply("I", SET_INFO, f"ASC 0 set info: {OPTIONS}")
        if value.startswith("get"):
            return self._get(option)
        miner.note("api", option, value)
        if Fault.REFUSES in miner.faults:
            return self._failed(f"{option} refused")
        return self._set(option, value)

    def _set(self, option: str, value: str) -> bytes:
        act = WRITES.get(option)
        if act is None:
            return self._failed(f"Unknown option: {option}")
        info = act(self, value)
        if info is None:
            return self._failed(f"{option} unknown argument")
        if option == "softon" and Quirk.SILENT_SOFTON in self._miner.quirks:
            return b""
        return self._reply("I", SET_INFO, f"ASC 0 set info: {info}") if info else self._ok()

    def _get(self, option: str) -> bytes:
        if option not in {"workmode", "worklevel"}:
            return self._failed(f"{option} unknown argument")
        level = _rung_number(self._miner) if option == "workmode" else 0
        return self._reply("I", SET_INFO, f"ASC 0 set info: {option} {level}")

    def soft(self, value: str, *, asleep: bool) -> str | None:
        """Schedule sleep or waking for "1:<timestamp>" of the device's own clock."""
        word, _, stamp = value.partition(":")
        if word not in {"0", "1"} or not stamp.isdecimal():
            return None
        miner, wait_s = self._miner, int(stamp) - self.clock_s()

        def act() -> None:
            if asleep:
                miner.sleep()
            elif miner.is_asleep:
                miner.wake()

        if wait_s > -LATE_S and not miner.is_deaf:
            miner.due.append((miner.clock() + max(0, wait_s), act))
        return f"success {'softoff' if asleep else 'softon'}:1 {stamp}"

    def work(self, value: str) -> str | None:
        """Choose a rung: "set,<n>"."""
        verb, _, number = value.partition(",")
        ladder = self._miner.personality.ladder
        if verb != "set" or not number.isdecimal() or int(number) >= len(ladder):
            return None
        rung = ladder[int(number)]
        if not self._miner.is_deaf:
            self._miner.profile = rung
            self._miner.set_level(rung.watts, rung.hash_rate_ths)
        return ""

    def light(self, value: str) -> str | None:
        """Switch the light: "1-1" on, "1-0" off."""
        if value not in {"1-1", "1-0", "1-255"}:
            return None
        self._miner.led = "auto" if value == "1-0" else "on"
        return ""

    def reboot(self, _value: str) -> str | None:
        """Restart the control board."""
        if not self._miner.is_deaf:
            self._miner.reboot()
        return ""

    def keep(self, value: str) -> str | None:
        """Store a fan speed."""
        self._miner.settings.extra["fan-spd"] = value
        return ""

    def change_password(self, value: str) -> str | None:
        """Store a password."""
        self._miner.settings.api_password = value
        return ""

    def _restart(self, command: str) -> bytes:
        if command == "privileged":
            return self._reply("S", 46, "Privileged access OK")
        self._miner.note("api", command, "")
        self.reboot("")
        return orjson.dumps({"STATUS": "RESTART"})

    def _failed(self, why: str) -> bytes:
        return self._reply("E", SET_FAILED, f"ASC 0 set failed: {why}")

    def _ok(self) -> bytes:
        return self._reply("S", SET_OK, "ASC 0 set OK")

    def _reply(self, letter: str, code: int, message: str, **sections: list[dict[str, Any]]) -> bytes:
        head = {
            "STATUS": letter,
            "When": self.clock_s(),
            "Code": code,
            "Msg": message,
            "Description": DESCRIPTION,
        }
        return orjson.dumps({"STATUS": [head], **sections, "id": 1})


class AvalonDoor(CgminerDoor):
    """One connection to an Avalon; counts those that overlap."""

    __slots__ = ("_avalon",)

    def __init__(self, miner: SimMiner, front: AvalonFront, *, allow_remote: bool) -> None:
        super().__init__(miner, front, allow_remote=allow_remote)
        self._avalon = front

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._avalon.connected(1)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._avalon.connected(-1)

    @override
    def _answer(self, request: Request) -> bytes:
        reply = super()._answer(request)
        if not reply and self._transport is not None:
            self._transport.close()  # what is written after this never leaves
        return reply


def _parameter(request: Request) -> str:
    """Some clients send the comma list as a JSON list."""
    given = request.body.get("parameter", request.body.get("param"))
    return ",".join(str(part) for part in given) if isinstance(given, list) else request.parameter


def _rung_number(miner: SimMiner) -> int:
    return next((n for n, rung in enumerate(miner.personality.ladder) if rung == miner.profile), 0)


def _softoff(front: AvalonFront, value: str) -> str | None:
    return front.soft(value, asleep=True)


def _softon(front: AvalonFront, value: str) -> str | None:
    return front.soft(value, asleep=False)


WRITES: dict[str, Callable[[AvalonFront, str], str | None]] = {
    "softoff": _softoff,
    "softon": _softon,
    "workmode": AvalonFront.work,
    "worklevel": AvalonFront.work,
    "led": AvalonFront.light,
    "reboot": AvalonFront.reboot,
    "fan-spd": AvalonFront.keep,
    "password": AvalonFront.change_password,
}
