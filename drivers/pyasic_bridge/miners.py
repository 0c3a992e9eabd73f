"""What the worker does with pyasic's objects; only the worker calls it."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import Any

from drivers.pyasic_bridge.wire import Call, CallFailedError, Failing, Snapshot

POLL = ("hashrate", "hashboards", "wattage", "wattage_limit", "fans", "uptime", "errors")
WHO = ("mac", "serial_number", "fw_ver")
FACTS = (*WHO, "pools", "expected_hashrate", "hashboards")
"""Names of pyasic's `DataOptions`; each one left out is one request to the miner less."""

DOORS = (4028, 80, 4433, 50051, 8080)
KNOCK_S = 1.0
KNOWN_MAX = 4096
"""Addresses whose class is remembered; a fresh object of it per call, because LuxOS session ids and Whatsminer tokens
go stale inside an object (an expired session made every later control call return False)."""

CONTROL: dict[str, frozenset[str]] = {
    "BTMinerV2": frozenset({"sleep", "full", "watts"}),
    "BTMinerV3": frozenset({"sleep", "full", "watts"}),
    "BOSer": frozenset({"sleep", "full", "watts"}),
    "Auradine": frozenset({"sleep", "full", "watts"}),
    "BOSMiner": frozenset({"sleep", "full"}),
    "LUXMiner": frozenset({"sleep", "full"}),
    "VNish": frozenset({"sleep", "full"}),
    "ePIC": frozenset({"sleep", "full"}),
    "AvalonMiner": frozenset({"sleep", "full"}),
}
"""Control calls that touch power and nothing else (truth table, `DEVICES.md` section 2). Left out on purpose:
AntminerModern and AntminerOld post pools, and three empty ones after a failed read; Hiveon does nothing and says True;
MaraMiner and Goldshell write a whole configuration back; BOSMiner's watts rewrite a file over SSH; Avalon's watts mean
a level (1,000 W is 3,000 W); LuxOS' watts switch ATM; VNish's post the whole settings."""

_known: OrderedDict[str, type[Any]] = OrderedDict()


async def work(call: Call) -> Snapshot | None:
    """Carry out one call; None where the miner is of no known family, and after a write."""
    match call.operation:
        case "identify":
            return await _identify(call)
        case "poll":
            return _snapshot(await _data(call, POLL))
        case "facts":
            return _snapshot(await _data(call, FACTS))
        case "apply":
            await _apply(await _miner(call), call)
        case "locate":
            miner = await _miner(call)
            # `fault_light_off` returns False on success: nothing to judge by.
            await (miner.fault_light_on() if call.argument == "on" else miner.fault_light_off())
        case "reboot":
            _asked(await (await _miner(call)).reboot(), "reboot")
    return None


async def _identify(call: Call) -> Snapshot | None:
    _known.pop(call.host, None)
    try:
        miner = await _miner(call)
    except CallFailedError as silence:
        # pyasic says None to a stranger and to nobody alike.
        if await _answers(call.host):
            return None
        raise CallFailedError(Failing.SILENT, "nothing answers on " + ", ".join(map(str, DOORS))) from silence
    return _snapshot((miner, await miner.get_data(allow_warning=True, include=list(WHO))))


async def _miner(call: Call) -> Any:
    kind = _known.get(call.host)
    if kind is None:
        from pyasic import get_miner  # noqa: PLC0415  nobody but the worker pays for it

        found = await get_miner(call.host)
        if found is None or type(found).__name__ == "UnknownMiner":
            raise CallFailedError(Failing.SILENT, "not identified within pyasic's 3 s")
        kind = type(found)
        _known[call.host] = kind
        if len(_known) > KNOWN_MAX:
            _known.popitem(last=False)
    miner = kind(call.host)
    for door in (miner.rpc, miner.web):
        # Per object: BOSer and V3 ignore the settings of the library.
        if door is not None and call.password and hasattr(door, "pwd"):
            door.pwd = call.password
        if door is not None and call.user and hasattr(door, "username"):
            door.username = call.user
    return miner


async def _data(call: Call, include: tuple[str, ...]) -> tuple[Any, Any]:
    miner = await _miner(call)
    data = await miner.get_data(allow_warning=True, include=list(include))
    said = (_rate(data), data.wattage, data.uptime, data.mac, data.serial_number, data.fw_ver)
    if all(figure is None for figure in said):
        # A miner that is gone gives an object full of None, not an error. Perhaps another moved in: look again.
        _known.pop(call.host, None)
        raise CallFailedError(Failing.SILENT, f"no figure at all from {type(miner).__name__}")
    return miner, data


async def _apply(miner: Any, call: Call) -> None:
    verb, _, figure = call.argument.partition(":")
    classes = {base.__name__ for base in type(miner).__mro__}
    allowed = next((verbs for name, verbs in CONTROL.items() if name in classes), frozenset())
    if verb not in allowed:
        said = f"{call.argument!r} on {type(miner).__name__}: not among the calls that touch power alone"
        raise CallFailedError(Failing.REFUSED, said)
    match verb:
        case "sleep":
            _asked(await miner.stop_mining(), "stop_mining")
        case "full":
            _asked(await miner.resume_mining(), "resume_mining")
        case _:
            watts = float(figure)
            if not (math.isfinite(watts) and watts > 0):
                raise CallFailedError(Failing.REFUSED, f"{call.argument!r}: expected watts above 0")
            _asked(await miner.set_power_limit(round(watts)), "set_power_limit")


def _asked(returned: object, method: str) -> None:
    """True means asked, not done; False is also what the no-op of the base class says."""
    if returned is not True:
        raise CallFailedError(Failing.REFUSED, f"{method} returned {returned!r}")


def _snapshot(found: tuple[Any, Any]) -> Snapshot:
    miner, data = found
    boards = data.hashboards or []
    heats = [[heat for heat in (board.temp, board.chip_temp) if heat] for board in boards]
    return Snapshot(
        classes=tuple(base.__name__ for base in type(miner).__mro__),
        model=f"{miner.make or ''} {miner.raw_model or ''}".strip(),
        firmware=str(data.fw_ver or ""),
        mac=str(data.mac or ""),
        serial=str(data.serial_number or ""),
        hash_rate_hs=_rate(data),
        nominal_hs=_hashes(data.expected_hashrate),
        power_w=_figure(data.wattage),
        power_limit_w=_figure(data.wattage_limit),
        uptime_s=_figure(data.uptime),
        fans_rpm=tuple(float(fan.speed) for fan in data.fans if fan.speed is not None),
        chips_c=tuple(float(max(heat)) for heat in heats if heat),
        boards_c=tuple(float(min(heat)) for heat in heats if heat),
        boards=len(boards) or None,
        pools=tuple((str(pool.url or ""), str(pool.user or ""), pool.alive) for pool in data.pools),
        errors=tuple(str(getattr(error, "error_message", error)) for error in data.errors),
    )


def _rate(data: Any) -> float | None:
    """The device's own total where pyasic reads one, else the sum of its boards (LuxOS: a misplaced return)."""
    own = _hashes(data.raw_hashrate)
    return own if own is not None else _hashes(data.hashrate)


def _hashes(rate: Any) -> float | None:
    if rate is None:
        return None
    return _figure(float(rate.rate) * int(rate.unit.value))


def _figure(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) and value >= 0 else None


async def _answers(host: str) -> bool:
    return any(await asyncio.gather(*(_knock(host, port) for port in DOORS)))


async def _knock(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(KNOCK_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
