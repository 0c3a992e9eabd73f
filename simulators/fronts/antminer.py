"""Stock Antminer: CGI scripts behind a digest log-in, and a read-only API on port 4028."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.antminer_api import API_READS, DESCRIPTION
from simulators.fronts.antminer_cgi import (
    REALM,
    cgi_pools,
    cgi_stats,
    cgi_summary,
    conf,
    network_info,
    system_info,
)
from simulators.fronts.cgminer import INVALID_COMMAND, Request, failure
from simulators.fronts.http import DigestGate, HttpReply, HttpRequest, is_refused
from simulators.miner import Pool
from simulators.personality import Quirk

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.fronts.cgminer import Row
    from simulators.miner import SimMiner

SLEEP, LOW = 1, 3
"""miner-mode: 0 normal, 1 sleep, 3 low power; 2, 5 and 8 are tunings of normal."""

PERCENT_MIN, PERCENT_MAX = 65, 100
"""Default range of get_adjustment_params.cgi on the newest firmware."""

PERCENT_KEYS = ("bitmain-hashrate-percent", "hashrate-percent")
DONE = {"stats": "success", "code": "M000", "msg": "OK!"}
FAILED = {"stats": "error", "code": "M001", "msg": "ERROR!"}


class AntminerApi:
    """Answers port 4028; joined commands are not supported on stock firmware."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner

    def answer(self, request: Request) -> bytes:
        """Answer one of the five reads."""
        read = API_READS.get(request.command)
        if read is None:
            return failure(INVALID_COMMAND, "Invalid command", DESCRIPTION)
        self._miner.reads[request.command] += 1
        return orjson.dumps(read(self._miner))


class AntminerWeb:
    """Answers the web server."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._gate = DigestGate(REALM)
        self._freq_level = "100"
        self._is_blinking = False
        self._gets: dict[str, Callable[[], Row]] = {
            "get_system_info": lambda: system_info(miner),
            "get_network_info": lambda: network_info(miner),
            "get_miner_conf": lambda: conf(miner, self._freq_level),
            "stats": lambda: cgi_stats(miner, self._freq_level),
            "summary": lambda: cgi_summary(miner),
            "pools": lambda: cgi_pools(miner),
            "get_blink_status": lambda: {"blink": self._is_blinking},
            "warning": lambda: {"warning": []},
            "get_adjustment_params": _adjustment,
        }

    def answer(self, request: HttpRequest) -> HttpReply:
        """Check the log-in, then run the script."""
        miner, kept = self._miner, self._miner.settings
        admitted = self._gate.admits(request, kept.web_user, kept.web_password, miner.secrets_void)
        if is_refused(miner) or not admitted:
            return self._gate.challenge()
        script = request.path.removeprefix("/cgi-bin/").removesuffix(".cgi")
        if script == "get_adjustment_params" and Quirk.NO_PERCENT in miner.quirks:
            return _missing()
        get = self._gets.get(script)
        if get is not None:
            miner.reads[script] += 1
            return HttpReply(200, orjson.dumps(get()))
        return self._act(script, request)

    def _act(self, script: str, request: HttpRequest) -> HttpReply:
        miner = self._miner
        match script:
            case "" | "/":
                return HttpReply(200, b"<html><title>Ant Miner</title></html>", "text/html")
            case "set_miner_conf":
                done = self._set_conf(request.body)
                body = orjson.dumps(DONE if done else FAILED)
                return HttpReply(200, body, delay_s=miner.personality.write_s)
            case "blink":
                self._is_blinking = bool(_object(request.body).get("blink"))
                miner.note("http", script, request.body.decode("utf-8", "replace"))
                code = "B000" if self._is_blinking else "B100"
                return HttpReply(200, orjson.dumps({"code": code}))
            case "reboot":
                miner.note("http", script, "")
                if not miner.is_deaf and Fault.REFUSES not in miner.faults:
                    miner.reboot()
                return HttpReply(200, orjson.dumps({"stats": "success"}))
            case "log":
                return HttpReply(200, b"2026-01-01 00:00:00 driver-btm: start\n", "text/plain")
            case _:
                return _missing()

    def _set_conf(self, text: bytes) -> bool:
        miner = self._miner
        miner.note("http", "set_miner_conf", text.decode("utf-8", "replace"))
        body = _object(text)
        if not body or Fault.REFUSES in miner.faults:
            return False
        mode, percent = _mode(miner, body), _percent(miner, body)
        if mode is None or percent is None:
            return False
        if miner.is_deaf:
            return True
        self._keep(body)
        _move(miner, mode, percent)
        return True

    def _keep(self, body: dict[str, Any]) -> None:
        """Store what is not power: an absent key keeps the old value, an empty string overwrites.

        So does Bitmain's set_miner_conf.cgi (jq yields null for an absent key only).
        """
        kept = self._miner.settings
        pools = body.get("pools")
        for n, given in enumerate(pools if isinstance(pools, list) else []):
            if n < len(kept.pools) and isinstance(given, dict):
                old = kept.pools[n]
                kept.pools[n] = Pool(
                    url=str(given.get("url", old.url)),
                    user=str(given.get("user", old.user)),
                    password=str(given.get("pass", old.password)),
                )
        if body.get("bitmain-fan-ctrl") is not None:
            kept.fan_control = body["bitmain-fan-ctrl"] in {True, "true", "1"}
        if body.get("bitmain-fan-pwm") is not None:
            kept.fan_pwm = str(body["bitmain-fan-pwm"])
        if body.get("freq-level") is not None:
            self._freq_level = str(body["freq-level"])


def _mode(miner: SimMiner, body: dict[str, Any]) -> int | None:
    """Read miner-mode: the old one when absent, None when the firmware would refuse it."""
    if body.get("miner-mode") is None:
        return miner.mode
    try:
        mode = int(body["miner-mode"])
    except (TypeError, ValueError):
        return None
    return mode if mode in miner.personality.modes else None


def _percent(miner: SimMiner, body: dict[str, Any]) -> int | None:
    given = next((body[key] for key in PERCENT_KEYS if body.get(key) is not None), None)
    if given is None or Quirk.NO_PERCENT in miner.quirks:
        return miner.percent
    try:
        percent = int(given)
    except (TypeError, ValueError):
        return None
    return percent if PERCENT_MIN <= percent <= PERCENT_MAX else None


def _move(miner: SimMiner, mode: int, percent: int) -> None:
    changed, was_asleep = mode != miner.mode, miner.is_asleep
    miner.mode, miner.percent = mode, percent
    share = miner.personality.low_share if mode == LOW else 1.0
    miner.set_level(
        miner.personality.full_w * share * percent / 100,
        restart=changed and mode != SLEEP and not was_asleep,
    )
    if mode == SLEEP:
        miner.sleep()
    elif was_asleep:
        miner.wake()


def _adjustment() -> Row:
    return {"hashrate_percent_min": PERCENT_MIN, "hashrate_percent_max": PERCENT_MAX}


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _missing() -> HttpReply:
    return HttpReply(404, b"<html><title>404 Not Found</title></html>", "text/html")
