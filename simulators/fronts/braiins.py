"""Braiins OS: the REST API of 25.07 and later, GraphQL of every version, cgminer on 4028."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.braiins_graphql import LUCI, GraphqlPages
from simulators.fronts.braiins_reads import DESCRIPTION, REST_READS, has_rest, limits_w, rpc
from simulators.fronts.cgminer import INVALID_COMMAND, Request, failure
from simulators.fronts.http import HttpReply, HttpRequest
from simulators.fronts.tokens import TokenBook
from simulators.miner import Pool

if TYPE_CHECKING:
    from simulators.miner import SimMiner

API = "/api/v1/"
TOKEN_LIFE_S = 3600.0
PAGE = b"<html><title>Braiins OS</title></html>"
RAMP_S = range(1, 601)


class BraiinsApi:
    """Answers port 4028."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner

    def answer(self, request: Request) -> bytes:
        """Answer one read."""
        reply = rpc(self._miner, request.command)
        if reply is None:
            return failure(INVALID_COMMAND, "Invalid command", DESCRIPTION)
        self._miner.reads[request.command] += 1
        return orjson.dumps(reply)


class BraiinsWeb:
    """Answers the web server."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._tokens = TokenBook(miner, TOKEN_LIFE_S)
        self._pages = GraphqlPages(miner)

    def answer(self, request: HttpRequest) -> HttpReply:
        """Serve the page, GraphQL's identity, or the REST API."""
        if request.path == "/":
            return HttpReply(200, PAGE, "text/html")
        if request.path == "/graphql" or (request.path.startswith(LUCI) and not has_rest(self._miner)):
            return self._pages.answer(request)
        if not request.path.startswith(API) or not has_rest(self._miner):
            return HttpReply(404, b"<html><title>404 Not Found</title></html>", "text/html")
        return self._rest(request.path.removeprefix(API).strip("/"), request)

    def _rest(self, name: str, request: HttpRequest) -> HttpReply:
        body = _json(request.body)
        if request.method == "POST" and name == "auth/login":
            return self._log_in(body)
        if not self._tokens.admits(request.headers.get("authorization", "")):
            return _said(401, "unauthenticated")
        if request.method == "GET":
            return self._read(name)
        self._miner.note("http", name, request.body.decode("utf-8", "replace"))
        if Fault.REFUSES in self._miner.faults:
            return _said(400, "refused")
        return act(self._miner, f"{request.method} {name}", body)

    def _read(self, name: str) -> HttpReply:
        read = REST_READS.get(name)
        if read is None:
            return _said(404, "not found")
        self._miner.reads[name] += 1
        return HttpReply(200, orjson.dumps(read(self._miner)))

    def _log_in(self, body: Any) -> HttpReply:
        kept = self._miner.settings
        given = body if isinstance(body, dict) else {}
        good = (given.get("username"), given.get("password")) == (kept.web_user, kept.web_password)
        if not good or Fault.UNAUTHORIZED in self._miner.faults:
            return _said(401, "wrong user or password")
        return HttpReply(200, orjson.dumps({"token": self._tokens.give(), "timeout_s": round(TOKEN_LIFE_S)}))


def act(miner: SimMiner, call: str, body: Any) -> HttpReply:
    """Carry out one REST command; what is not power is stored as it comes."""
    given = body if isinstance(body, dict) else {}
    match call:
        case "PUT actions/pause":
            miner.sleep()
        case "PUT actions/resume":
            resume(miner)
        case "PUT actions/reboot" if not miner.is_deaf:
            miner.reboot()
        case "PUT actions/locate":
            miner.led = "blink" if body is True else "auto"
        case "PUT performance/power-target":
            return _target(miner, given.get("watt"))
        case "PATCH performance/power-target/relative":
            return _relative(miner, given)
        case "PUT performance/quick-ramping":
            return _ramp(miner, given)
        case "PUT pools/batch" | "PUT auth/password" | "PUT cooling/mode":
            _store(miner, call, body)
        case "PUT actions/reboot":
            pass
        case _:
            return _said(404, "not found")
    return HttpReply(200, b"true")


def resume(miner: SimMiner) -> None:
    """Mine again; a miner that already does is left alone."""
    if miner.is_asleep:
        miner.wake()


def follow(miner: SimMiner, watts: int) -> bool:
    """Follow a power target without a restart; False where it is out of range."""
    low, _, high = limits_w(miner)
    if not low <= watts <= high:
        return False
    if not miner.is_deaf:
        miner.limit_w = watts
        miner.set_level(watts)
    return True


def _target(miner: SimMiner, watts: object) -> HttpReply:
    if not isinstance(watts, int) or not follow(miner, watts):
        return _said(422, f"power target {watts!r} is out of range")
    return HttpReply(200, orjson.dumps({"watt": watts}))


def _relative(miner: SimMiner, given: dict[str, Any]) -> HttpReply:
    low, default, high = limits_w(miner)
    base = {1: default, 2: low, 3: high, 4: miner.limit_w}.get(given.get("reference", 0))
    percent = given.get("percentage")
    if base is None or not isinstance(percent, (int, float)):
        return _said(422, "percentage and reference are needed")
    return _target(miner, round(base * percent / 100))


def _ramp(miner: SimMiner, given: dict[str, Any]) -> HttpReply:
    down_s, up_s = given.get("down_s"), given.get("up_s")
    if not isinstance(down_s, int) or down_s not in RAMP_S or up_s not in RAMP_S:
        return _said(422, "down_s and up_s are needed")
    if not miner.is_deaf:
        miner.fast_boot = True
        miner.fleet.down_s[miner.row] = float(down_s)
    return HttpReply(200, orjson.dumps({"down_s": down_s, "up_s": up_s}))


def _store(miner: SimMiner, call: str, body: Any) -> None:
    kept = miner.settings
    match call, body:
        case "PUT pools/batch", [{"pools": [*given]}, *_]:
            kept.pools[:] = [
                Pool(url=str(pool.get("url", "")), user=str(pool.get("user", "")), password=str(pool.get("password")))
                for pool in given
            ]
        case "PUT auth/password", {"password": str(password)}:
            kept.web_password = password
        case _:
            kept.extra[call] = orjson.dumps(body).decode()


def _said(status: int, message: str) -> HttpReply:
    return HttpReply(status, orjson.dumps({"message": message}))


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
