"""VNish: a REST API behind an unlock token on the web port, read-only cgminer on 4028."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.cgminer import INVALID_COMMAND, Request, failure
from simulators.fronts.http import HttpReply, HttpRequest
from simulators.fronts.tokens import TokenBook
from simulators.fronts.vnish_reads import HTTP_READS, RPC_READS, has_throttle, presets
from simulators.miner import Pool

if TYPE_CHECKING:
    from simulators.miner import SimMiner

API = "/api/v1/"
PUBLIC = frozenset({"info", "summary", "status", "perf-summary", "model"})
"""What the firmware shows without unlocking (clients of 1.2.6 and 1.3.3 read these without a token)."""
TOKEN_LIFE_S = 3600.0
THROTTLE = range(20, 101)
PAGE = b'<!DOCTYPE html><html><head><meta name="firmware" content="AnthillOS"><title>Firmware</title></head></html>'


class VnishApi:
    """Answers port 4028."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner

    def answer(self, request: Request) -> bytes:
        """Answer one read; `version` is not served (1.2.7)."""
        read = RPC_READS.get(request.command)
        if read is None:
            return failure(INVALID_COMMAND, "Invalid command", "cgminer 4.11.1")
        self._miner.reads[request.command] += 1
        return orjson.dumps(read(self._miner))


class VnishWeb:
    """Answers the web server."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._tokens = TokenBook(miner, TOKEN_LIFE_S)

    def answer(self, request: HttpRequest) -> HttpReply:
        """Serve the page, a read, or a command."""
        if request.path in {"/", "/index.html"}:
            return HttpReply(200, PAGE, "text/html")
        if not request.path.startswith(API):
            return _said(404, "Not found")
        return self._serve(request.path.removeprefix(API).strip("/"), request)

    def _serve(self, name: str, request: HttpRequest) -> HttpReply:
        body = _object(request.body)
        if request.method == "POST" and name == "unlock":
            return self._unlock(body)
        token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if (token or name not in PUBLIC) and not self._tokens.admits(token):
            return _said(401, "Unauthorized")
        if request.method == "GET":
            return self._read(name)
        self._miner.note("http", name, request.body.decode("utf-8", "replace"))
        if Fault.REFUSES in self._miner.faults:
            return _said(400, "Refused")
        return self._act(name, body)

    def _read(self, name: str) -> HttpReply:
        read = HTTP_READS.get(name)
        if read is None:
            return _said(404, "Not found")
        self._miner.reads[name] += 1
        return HttpReply(200, orjson.dumps(read(self._miner)))

    def _unlock(self, body: dict[str, Any]) -> HttpReply:
        miner = self._miner
        if Fault.UNAUTHORIZED in miner.faults or body.get("pw") != miner.settings.web_password:
            return _said(403, "Wrong password")
        return HttpReply(200, orjson.dumps({"token": self._tokens.give()}))

    def _act(self, name: str, body: dict[str, Any]) -> HttpReply:
        miner = self._miner
        match name:
            case "mining/stop" | "mining/pause":
                miner.sleep()
            case "mining/start" | "mining/resume":
                if miner.is_asleep:
                    self._move(restart=False)
                    miner.wake()
            case "mining/restart":
                self._move(restart=True)
            case "mining/throttle":
                return self._throttle(body)
            case "settings":
                return self._save(body)
            case "find-miner":
                on = bool(body.get("on", miner.led == "auto"))
                miner.led = "blink" if on else "auto"
                return HttpReply(200, orjson.dumps({"on": on}))
            case "system/reboot":
                if not miner.is_deaf:
                    miner.reboot()
                return HttpReply(200, orjson.dumps({"success": True, "after": 3}))
            case _:
                return _said(404, "Not found")
        return HttpReply(200, orjson.dumps({"success": True}))

    def _throttle(self, body: dict[str, Any]) -> HttpReply:
        miner, percent = self._miner, body.get("percent")
        if not has_throttle(miner):
            return _said(404, "Not found")
        if not isinstance(percent, int) or percent not in THROTTLE:
            return _said(400, f"percent {percent!r}")
        if not miner.is_deaf:
            miner.percent = percent
            self._move(restart=False)
        return _restart_required(answer=False)

    def _save(self, body: dict[str, Any]) -> HttpReply:
        """Keys that are absent keep their values; whatever is there is stored, wanted or not."""
        miner = self._miner
        if miner.is_deaf:
            return _restart_required(answer=False)
        given = body.get("miner")
        given = given if isinstance(given, dict) else {}
        self._keep(given, body.get("password"))
        overclock = given.get("overclock")
        preset = overclock.get("preset") if isinstance(overclock, dict) else None
        known = {each["name"] for each in presets(miner) if each["name"].isdecimal()}
        if preset is None or str(preset) not in known or int(preset) == miner.limit_w:
            return _restart_required(answer=False)
        miner.limit_w = int(preset)
        if has_throttle(miner):
            return _restart_required(answer=True)
        self._move(restart=True)
        return _restart_required(answer=False)

    def _keep(self, given: dict[str, Any], password: object) -> None:
        kept = self._miner.settings
        pools = given.get("pools")
        for n, pool in enumerate(pools if isinstance(pools, list) else []):
            if n < len(kept.pools) and isinstance(pool, dict):
                texts = [str(pool.get(key, "")) for key in ("url", "user", "pass")]
                kept.pools[n] = Pool(url=texts[0], user=texts[1], password=texts[2])
        cooling = given.get("cooling")
        if isinstance(cooling, dict):
            kept.extra["cooling"] = orjson.dumps(cooling).decode()
        if isinstance(password, dict) and password.get("current") == kept.web_password:
            kept.web_password = str(password.get("pw", ""))

    def _move(self, *, restart: bool) -> None:
        miner = self._miner
        miner.set_level(miner.limit_w * miner.percent / 100, restart=restart)


def _restart_required(*, answer: bool) -> HttpReply:
    return HttpReply(200, orjson.dumps({"restart_required": answer, "reboot_required": False}))


def _said(status: int, err: str) -> HttpReply:
    return HttpReply(status, orjson.dumps({"err": err}))


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
