"""ePIC PowerPlay: REST on port 4028, the password in the body of every write; a bare page on the web port."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.epic_reads import ALGORITHM, LAST_COMMAND, READS, TARGET, TUNES, algorithms
from simulators.fronts.http import HttpReply, HttpRequest
from simulators.miner import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

PAGE = b"<html><title>Miner Web Dashboard</title></html>"
NOT_FOUND = HttpReply(404, b"", "text/plain")


class EpicPage:
    """The page by which scanners know it."""

    def answer(self, request: HttpRequest) -> HttpReply:
        """Return the front page, whatever was asked."""
        return HttpReply(200 if request.path == "/" else 404, PAGE, "text/html")


class EpicApi:
    """Answers port 4028 of one miner."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner

    def answer(self, request: HttpRequest) -> HttpReply:
        """Serve a read or a command; refusals are HTTP 200 with result false, as PowerPlay says them."""
        path = request.path.strip("/")
        if request.method == "GET":
            return self._read(path)
        act = WRITES.get(path)
        return NOT_FOUND if act is None else self._write(path, act, _object(request.body))

    def _read(self, path: str) -> HttpReply:
        read = READS.get(path)
        if read is None:
            return NOT_FOUND
        self._miner.reads[path] += 1
        return HttpReply(200, orjson.dumps(read(self._miner)))

    def _write(self, path: str, act: Callable[[SimMiner, object], bool], body: dict[str, Any]) -> HttpReply:
        miner = self._miner
        shown = {key: value for key, value in body.items() if key != "password"}
        miner.note("http", path, orjson.dumps(shown).decode())
        if Fault.UNAUTHORIZED in miner.faults or body.get("password") != miner.settings.web_password:
            return _no("BadPassword")
        if Fault.REFUSES in miner.faults:
            return _no("SystemUpdateInProgress")
        if "param" not in body:
            return _no("MissingParam")
        if not miner.is_deaf and not act(miner, body["param"]):
            return _no({"UnknownError": f"{path} {body['param']!r}"})
        # pyasic looks for "success", the OpenAPI of 1.38.3 and asic-rs for "result"
        return HttpReply(200, orjson.dumps({"result": True, "error": None, "success": True}))


def _operate(miner: SimMiner, param: object) -> bool:
    if param == "Stop":
        miner.sleep()
    elif param == "Autostart":
        if miner.is_asleep:
            miner.wake()
    else:
        return False
    miner.kept[LAST_COMMAND] = param.lower()
    return True


def _tune(miner: SimMiner, param: object) -> bool:
    """Aim at a target; keys that are absent keep their values."""
    if not isinstance(param, dict):
        return False
    known = {each["algorithm"]: each for each in algorithms(miner)}
    algorithm, target = str(param.get("algo")), param.get("target")
    if algorithm not in known or not isinstance(target, int):
        return False
    if not known[algorithm]["min"] <= target <= known[algorithm]["max"]:
        return False
    miner.kept[ALGORITHM], miner.kept[TARGET] = algorithm, target
    if algorithm == "PowerTune":
        miner.set_level(target)
    else:
        miner.set_level(_watts_at(miner, target), target)
    return True


def _watts_at(miner: SimMiner, target_ths: float) -> float:
    """Between two presets in a straight line; beyond the outer ones as they lie."""
    rungs = miner.personality.ladder
    pairs = list(pairwise(rungs))
    low, high = next(((a, b) for a, b in pairs if target_ths <= b.hash_rate_ths), pairs[-1])
    slope = (high.watts - low.watts) / (high.hash_rate_ths - low.hash_rate_ths)
    return low.watts + slope * (target_ths - low.hash_rate_ths)


def _enable(miner: SimMiner, param: object) -> bool:
    if not isinstance(param, bool):
        return False
    miner.kept[TUNES] = int(param)
    return True


def _identify(miner: SimMiner, param: object) -> bool:
    miner.led = "blink" if param is True else "auto"
    return True


def _reboot(miner: SimMiner, _param: object) -> bool:
    miner.reboot()
    return True


def _restart(miner: SimMiner, _param: object) -> bool:
    miner.restart()
    return True


def _coin(miner: SimMiner, param: object) -> bool:
    rows = param.get("stratum_configs") if isinstance(param, dict) else None
    if not isinstance(rows, list):
        return False
    texts = [[str(row.get(key, "")) for key in ("pool", "login", "password")] for row in rows if isinstance(row, dict)]
    miner.settings.pools = [Pool(url=url, user=user, password=word) for url, user, word in texts]
    return True


def _password(miner: SimMiner, param: object) -> bool:
    miner.settings.web_password = str(param)
    return True


def _fans(miner: SimMiner, param: object) -> bool:
    miner.settings.extra["fans"] = orjson.dumps(param).decode()
    return True


def _no(error: object) -> HttpReply:
    return HttpReply(200, orjson.dumps({"result": False, "error": error}))


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


WRITES: dict[str, Callable[[SimMiner, object], bool]] = {
    "miner": _operate,
    "perpetualtune": _enable,
    "perpetualtune/algo": _tune,
    "identify": _identify,
    "reboot": _reboot,
    "softreboot": _restart,
    "coin": _coin,
    "password": _password,
    "fanspeed": _fans,
}
