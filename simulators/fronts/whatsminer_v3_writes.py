"""What each write of Whatsminer API v3 does to the miner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from simulators.miner import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

MAX_LIMIT_W = 99_999
FULL_PERCENT = 100
FAIL, INVALID_ITEM = -1, -3


class WriteError(Exception):
    """A write that was understood and refused."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _service(miner: SimMiner, param: object) -> None:
    match param:
        case "stop":
            miner.sleep()
        case "start":
            if miner.is_asleep:
                miner.wake()
        case "restart":
            miner.restart()
        case "enable" | "disable":
            pass
        case _:
            raise WriteError(INVALID_ITEM, "invalid json item")


def _percent(miner: SimMiner, param: object) -> None:
    """Firmware of 2025 reads the percentage as text, whatever the manual says (miningos worker, M63S)."""
    given = param.get("percent") if isinstance(param, dict) else None
    mode = param.get("mode") if isinstance(param, dict) else None
    if not isinstance(given, str) or not given.isdecimal() or mode not in {"fast", "normal"}:
        raise WriteError(INVALID_ITEM, "invalid json item")
    if not 0 < int(given) <= FULL_PERCENT:
        raise WriteError(FAIL, "fail")
    if miner.is_asleep or not miner.read().warm:
        raise WriteError(FAIL, "up-freq is not complete")
    miner.percent = int(given)
    miner.set_level(miner.limit_w * miner.percent / FULL_PERCENT)


def _limit(miner: SimMiner, param: object) -> None:
    """The device restarts mining to apply it, says the manual; JSON has one kind of number (pyasic_rs sends 2752.0)."""
    if isinstance(param, bool) or not isinstance(param, (int, float)) or not 0 <= param <= MAX_LIMIT_W:
        raise WriteError(INVALID_ITEM, "invalid json item")
    miner.limit_w = min(round(param), round(miner.personality.full_w))
    miner.percent = FULL_PERCENT
    miner.set_level(miner.limit_w, restart=not miner.fast_boot)


def _fast_boot(miner: SimMiner, param: object) -> None:
    if param not in {"enable", "disable"}:
        raise WriteError(INVALID_ITEM, "invalid json item")
    miner.fast_boot = param == "enable"


def _led(miner: SimMiner, param: object) -> None:
    first = param[0] if isinstance(param, list) and param else None
    if isinstance(first, dict):
        miner.led = str(first.get("color", "manual"))
    else:
        miner.led = "auto"


def _reboot(miner: SimMiner, _param: object) -> None:
    miner.reboot()


def _pools(miner: SimMiner, param: object) -> None:
    """Taken in the clear as well: what matters here is that whoever sends it has changed the pools."""
    if not isinstance(param, list):
        raise WriteError(INVALID_ITEM, "invalid json item")
    rows = param
    texts = [[str(row.get(key, "")) for key in ("pool", "worker", "passwd")] for row in rows if isinstance(row, dict)]
    texts += [["", "", ""]] * (3 - len(texts))
    miner.settings.pools = [Pool(url=url, user=user, password=password) for url, user, password in texts[:3]]


def _password(miner: SimMiner, param: object) -> None:
    miner.settings.api_password = orjson.dumps(param).decode()


def _extra(key: str) -> Callable[[SimMiner, object], None]:
    def change(miner: SimMiner, param: object) -> None:
        miner.settings.extra[key] = str(param)

    return change


WRITES: dict[str, Callable[[SimMiner, object], None]] = {
    "set.miner.service": _service,
    "set.miner.power_percent": _percent,
    "set.miner.power_limit": _limit,
    "set.miner.fastboot": _fast_boot,
    "set.system.led": _led,
    "set.system.reboot": _reboot,
    "set.miner.pools": _pools,
    "set.user.change_passwd": _password,
    "set.fan.poweroff_cool": _extra("poweroff_cool"),
    "set.fan.zero_speed": _extra("fan_zero_speed"),
    "set.fan.temp_offset": _extra("temp_offset"),
}
