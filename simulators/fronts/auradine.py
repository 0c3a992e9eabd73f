"""Auradine: the token API of port 8080 and read-only gcminer on 4028, with the same pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.auradine_reads import DESCRIPTION, LIGHTS, READS
from simulators.fronts.cgminer import INVALID_COMMAND, Request, failure, status
from simulators.fronts.http import HttpReply, HttpRequest
from simulators.fronts.tokens import TokenBook
from simulators.miner import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

TOKEN_LIFE_S = 1800.0
PAGE = b"<html><title>Miner UI</title></html>"
RPC_READS = frozenset({"version", "summary", "devs", "devdetails", "pools", "asccount", "temperature", "fan"})
MODES = {"eco": 1, "normal": 0, "turbo": 2, "custom": 3}
SHARES = {"eco": 0.8, "normal": 1.0, "turbo": 1.1}
"""Share of the rating that a mode draws; the maker publishes none, so these are typical steps."""


class AuradineApi:
    """Answers port 4028."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner

    def answer(self, request: Request) -> bytes:
        """Answer one read."""
        if request.command not in RPC_READS:
            return failure(INVALID_COMMAND, "Invalid command", DESCRIPTION)
        self._miner.reads[request.command] += 1
        return orjson.dumps(READS[request.command](self._miner))


class AuradineWeb:
    """Answers the web API."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._tokens = TokenBook(miner, TOKEN_LIFE_S)

    def answer(self, request: HttpRequest) -> HttpReply:
        """Serve the page, a read, or a command."""
        name = request.path.strip("/")
        if not name:
            return HttpReply(200, PAGE, "text/html")
        body = _object(request.body)
        if request.method == "POST" and name == "token":
            return self._token(body)
        if not self._tokens.admits(request.headers.get("token", "")):
            return HttpReply(401, failure(45, "Token is missing or expired", DESCRIPTION))
        # The other client posts its reads without a body.
        if request.method == "GET" and name in READS:
            self._miner.reads[name] += 1
            return HttpReply(200, orjson.dumps(READS[name](self._miner)))
        self._miner.note("http", name, request.body.decode("utf-8", "replace"))
        if Fault.REFUSES in self._miner.faults:
            return _no("Refused")
        act = self._acts().get(name)
        return act(body) if act is not None else _no(f"Invalid command {name}")

    def _token(self, body: dict[str, Any]) -> HttpReply:
        kept = self._miner.settings
        good = body.get("user") == "admin" and body.get("password") == kept.web_password
        if not good or Fault.UNAUTHORIZED in self._miner.faults:
            return _no("Wrong user or password")
        return HttpReply(
            200, orjson.dumps({"STATUS": [status(0, "token", DESCRIPTION)], "Token": [{"Token": self._tokens.give()}]})
        )

    def _acts(self) -> dict[str, Callable[[dict[str, Any]], HttpReply]]:
        return {
            "mode": self._mode,
            "led": self._led,
            "restart": self._restart,
            "updatepools": self._pools,
            "fan": self._fan,
            "password": self._password,
        }

    def _mode(self, body: dict[str, Any]) -> HttpReply:
        miner, mode = self._miner, body.get("mode")
        if mode is not None and mode not in MODES:
            return _no(f"mode {mode!r}")
        watts = body.get("power")
        if mode == "custom" and (not isinstance(watts, int) or watts <= 0 or body.get("tune") != "power"):
            return _no("custom without power")
        if miner.is_deaf:
            return _yes("mode")
        if mode is not None:
            miner.mode = MODES[mode]
            miner.limit_w = int(watts or 0) if mode == "custom" else round(miner.personality.full_w * SHARES[mode])
            miner.set_level(miner.limit_w)
        if body.get("sleep") == "on":
            miner.sleep()
        elif body.get("sleep") == "off" and miner.is_asleep:
            miner.wake()
        return _yes("mode")

    def _led(self, body: dict[str, Any]) -> HttpReply:
        self._miner.led = LIGHTS.get(body.get("code", 2), "auto")
        return _yes("led")

    def _restart(self, body: dict[str, Any]) -> HttpReply:
        if not self._miner.is_deaf:
            if body.get("parameter") == "gcminer":
                self._miner.restart()
            else:
                self._miner.reboot()
        return _yes("restart")

    def _pools(self, body: dict[str, Any]) -> HttpReply:
        for n, pool in enumerate(body.get("pools") or []):
            texts = [str(pool.get(key, "")) for key in ("url", "user", "pass")]
            if n < len(self._miner.settings.pools):
                self._miner.settings.pools[n] = Pool(url=texts[0], user=texts[1], password=texts[2])
        return _yes("updatepools")

    def _fan(self, body: dict[str, Any]) -> HttpReply:
        self._miner.settings.extra[f"fan{body.get('index')}"] = str(body.get("percentage"))
        return _yes("fan")

    def _password(self, body: dict[str, Any]) -> HttpReply:
        if body.get("old") != self._miner.settings.web_password:
            return _no("Wrong password")
        self._miner.settings.web_password = str(body.get("new", ""))
        return _yes("password")


def _yes(command: str) -> HttpReply:
    return HttpReply(200, orjson.dumps({"STATUS": [status(0, f"{command} done", DESCRIPTION)], "id": 1}))


def _no(why: str) -> HttpReply:
    return HttpReply(200, failure(1, why, DESCRIPTION))


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
