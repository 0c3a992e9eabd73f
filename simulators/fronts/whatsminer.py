"""Whatsminer API v2: plain reads, token, AES-encrypted writes; what each write does to the miner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.cgminer import INVALID_COMMAND, Request, join
from simulators.fronts.whatsminer_reads import READS, RELAYED
from simulators.fronts.whatsminer_token import TokenDesk, TokenError
from simulators.malform import CONNECTION_REFUSED
from simulators.miner import Pool
from simulators.personality import Quirk

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

OK, COMMAND_ERROR, TOKEN_OK, PERMISSION_DENIED = 131, 132, 134, 45
MAX_LIMIT_W = 99_999
MODES = {"set_normal_power": 0, "set_low_power": 1, "set_high_power": 2}
HIGH_SHARE = 1.1
ACCEPTED = frozenset({"set_hostname", "set_zone", "disable_web_pools", "enable_web_pools"})
"""Writes with no effect that anybody here can see."""


class CommandError(Exception):
    """A write that was understood and refused; the message goes into Msg."""


class WhatsminerFront:
    """Answers port 4028 of one Whatsminer."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._desk = TokenDesk(miner.clock)

    def answer(self, request: Request) -> bytes:
        """Answer a read, get_token or an encrypted write."""
        command = request.command
        read = READS.get(command)
        if read is not None:
            self._miner.reads[command] += 1
            if command in RELAYED and self._is_btminer_down():
                return CONNECTION_REFUSED
            return read(self._miner)
        if "enc" in request.body:
            return self._write(request)
        if command == "get_token":
            return self._token(request.peer)
        if "+" in command:
            return join(self, request)
        return _refuse_plain(command)

    def _is_btminer_down(self) -> bool:
        miner = self._miner
        return Quirk.BTMINER_DOWN_REFUSES in miner.quirks and miner.read().asleep

    def _token(self, peer: str) -> bytes:
        miner = self._miner
        miner.reads["get_token"] += 1
        try:
            return reply(TOKEN_OK, self._desk.issue(peer, miner.secrets_void))
        except TokenError as error:
            return reply(error.code, error.msg, letter="E")

    def _write(self, request: Request) -> bytes:
        miner = self._miner
        password = miner.settings.api_password
        try:
            body = self._desk.open(str(request.body.get("data", "")), password)
            command = str(body.get("cmd", body.get("command", "")))
            shown = {k: v for k, v in body.items() if k not in {"cmd", "command", "token"}}
            miner.note("api", command, orjson.dumps(shown).decode())
            sign = "" if Fault.UNAUTHORIZED in miner.faults else str(body.get("token", ""))
            self._desk.check(sign, request.peer, password, miner.secrets_void)
        except TokenError as error:
            return reply(error.code, error.msg, letter="E")
        return self._desk.seal(self._obey(command, body), password)

    def _obey(self, command: str, body: dict[str, Any]) -> bytes:
        miner = self._miner
        act = WRITES.get(command)
        if act is None and command not in ACCEPTED:
            return reply(INVALID_COMMAND, "invalid cmd", letter="E")
        if Fault.REFUSES in miner.faults:
            return reply(COMMAND_ERROR, "API command ERROR", letter="E")
        try:
            if act is not None and not miner.is_deaf:
                act(miner, body)
        except CommandError as error:
            return reply(COMMAND_ERROR, str(error), letter="E")
        return reply(OK, "API command OK")


def reply(code: int, msg: object, *, letter: str = "S") -> bytes:
    """Encode the flat envelope of Whatsminer's own commands."""
    return orjson.dumps({"Code": code, "Description": "", "Msg": msg, "STATUS": letter, "When": int(time.time())})


def _refuse_plain(command: str) -> bytes:
    if command in WRITES or command in ACCEPTED:
        return reply(PERMISSION_DENIED, "permission denied", letter="E")
    return reply(INVALID_COMMAND, "invalid cmd", letter="E")


def _power_off(miner: SimMiner, _body: dict[str, Any]) -> None:
    miner.sleep()


def _power_on(miner: SimMiner, _body: dict[str, Any]) -> None:
    if miner.is_asleep:
        miner.wake()


def _limit(miner: SimMiner, body: dict[str, Any]) -> None:
    limit_w = _integer(body, "power_limit", 0, MAX_LIMIT_W)
    miner.limit_w = min(limit_w, round(miner.personality.full_w))
    miner.percent = 100
    miner.set_level(_level_w(miner), restart=not miner.fast_boot)


def _percent(miner: SimMiner, body: dict[str, Any]) -> None:
    if Quirk.NO_PERCENT in miner.quirks:
        raise CommandError("unsupported command")
    percent = _integer(body, "percent", 0, 100)
    if miner.is_asleep or not miner.read().warm:
        raise CommandError("power pct is only possible after up-freq is complete")
    miner.percent = percent
    miner.set_level(_level_w(miner))


def _mode(mode: int) -> Callable[[SimMiner, dict[str, Any]], None]:
    def change(miner: SimMiner, _body: dict[str, Any]) -> None:
        miner.mode = mode
        miner.set_level(_level_w(miner), restart=True)

    return change


def _reboot(miner: SimMiner, _body: dict[str, Any]) -> None:
    miner.reboot()


def _restart(miner: SimMiner, _body: dict[str, Any]) -> None:
    miner.restart()


def _fast_boot(*, enabled: bool) -> Callable[[SimMiner, dict[str, Any]], None]:
    def change(miner: SimMiner, _body: dict[str, Any]) -> None:
        if miner.personality.fast_up_s >= miner.personality.up_s:
            raise CommandError("fast boot is not supported")
        miner.fast_boot = enabled

    return change


def _led(miner: SimMiner, body: dict[str, Any]) -> None:
    miner.led = "auto" if body.get("param") == "auto" else str(body.get("color", "manual"))


def _pools(miner: SimMiner, body: dict[str, Any]) -> None:
    miner.settings.pools = [
        Pool(
            url=str(body.get(f"pool{n}") or ""),
            user=str(body.get(f"worker{n}") or ""),
            password=str(body.get(f"passwd{n}") or ""),
        )
        for n in (1, 2, 3)
    ]


def _password(miner: SimMiner, body: dict[str, Any]) -> None:
    if body.get("old") != miner.settings.api_password:
        raise CommandError("old password is wrong")
    miner.settings.api_password = str(body.get("new", ""))


def _extra(key: str) -> Callable[[SimMiner, dict[str, Any]], None]:
    def change(miner: SimMiner, body: dict[str, Any]) -> None:
        miner.settings.extra[key] = str(body.get(key, ""))

    return change


def _factory_reset(miner: SimMiner, _body: dict[str, Any]) -> None:
    miner.settings.pools = [Pool(url="", user="", password="") for _ in range(3)]
    miner.limit_w = round(miner.personality.full_w)
    miner.mode = 0
    miner.reboot()


def _level_w(miner: SimMiner) -> float:
    share = {0: 1.0, 1: miner.personality.low_share, 2: HIGH_SHARE}[miner.mode]
    return miner.limit_w * share * miner.percent / 100


def _integer(body: dict[str, Any], key: str, low: int, high: int) -> int:
    try:
        value = int(body[key])
    except (KeyError, TypeError, ValueError):
        raise CommandError(f"invalid {key}") from None
    if not low <= value <= high:
        raise CommandError(f"{key} is out of {low}..{high}")
    return value


WRITES: dict[str, Callable[[SimMiner, dict[str, Any]], None]] = {
    "power_off": _power_off,
    "power_on": _power_on,
    "adjust_power_limit": _limit,
    "set_power_pct": _percent,
    "set_power_pct_v2": _percent,
    "set_led": _led,
    "reboot": _reboot,
    "restart_btminer": _restart,
    "update_pools": _pools,
    "update_pwd": _password,
    "enable_btminer_fast_boot": _fast_boot(enabled=True),
    "disable_btminer_fast_boot": _fast_boot(enabled=False),
    "set_poweroff_cool": _extra("poweroff_cool"),
    "set_fan_zero_speed": _extra("fan_zero_speed"),
    "set_temp_offset": _extra("temp_offset"),
    "factory_reset": _factory_reset,
    **{name: _mode(mode) for name, mode in MODES.items()},
}
