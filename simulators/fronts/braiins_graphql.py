"""Braiins OS by GraphQL, and LuCI's page of the network: what firmware before REST is read and paused by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from simulators.faults import Fault
from simulators.fronts.braiins_reads import limits_w
from simulators.fronts.http import HttpReply, HttpRequest
from simulators.fronts.tokens import TokenBook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.miner import SimMiner

LUCI = "/cgi-bin/luci"
SESSION, LUCI_SESSION = "session_id", "sysauth"
SESSION_LIFE_S = 3600.0
TOKENS = re.compile(r'\.\.\.\s*on\s+\w+|[{}()]|"[^"]*"|\w+')
PUBLIC = frozenset({"modelName", "full", "hostname"})
"""Leaves that identify a miner; the rest needs a session."""
Selection = dict[str, Any]


class GraphqlPages:
    """Answers /graphql and LuCI of one miner."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._sessions = TokenBook(miner, SESSION_LIFE_S)

    def answer(self, request: HttpRequest) -> HttpReply:
        """Answer one query, mutation or page."""
        if request.path.startswith(LUCI):
            return self._luci(request)
        body = _json(request.body)
        query, variables = str(body.get("query", "")), body.get("variables")
        kind, selection = parse(query)
        if "auth" in selection:
            given = variables if isinstance(variables, dict) else {}
            return self._log_in(str(given.get("username", "")), str(given.get("password", "")))
        if not _leaves(selection) <= PUBLIC and not self._knows(request, SESSION):
            return _errors("Unauthorized")
        if kind == "mutation":
            return self._act(query, selection, variables if isinstance(variables, dict) else {})
        self._miner.reads["graphql"] += 1
        try:
            return HttpReply(200, orjson.dumps({"data": project(everything(self._miner), selection)}))
        except KeyError as unknown:
            return _errors(f"Unknown field {unknown}")

    def _log_in(self, user: str, password: str) -> HttpReply:
        if not self._admits(user, password):
            return HttpReply(200, orjson.dumps({"data": {"auth": {"login": {"message": "Invalid credentials"}}}}))
        cookie = f"Set-Cookie: {SESSION}={self._sessions.give()}; Path=/; HttpOnly\r\n"
        return HttpReply(200, orjson.dumps({"data": {"auth": {"login": {"void": None}}}}), header=cookie)

    def _luci(self, request: HttpRequest) -> HttpReply:
        if request.method == "POST":
            form = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
            user, password = (form.get(f"luci_{name}", [""])[0] for name in ("username", "password"))
            if not self._admits(user, password):
                return HttpReply(403, b"<html>Forbidden</html>", "text/html")
            cookie = f"Set-Cookie: {LUCI_SESSION}={self._sessions.give()}; path={LUCI}\r\nLocation: {LUCI}\r\n"
            return HttpReply(302, b"", "text/html", cookie)
        if not self._knows(request, LUCI_SESSION):
            return HttpReply(403, b"<html>Forbidden</html>", "text/html")
        return HttpReply(200, orjson.dumps([{"macaddr": self._miner.identity.mac.lower(), "ifname": "br-lan"}]))

    def _admits(self, user: str, password: str) -> bool:
        """The factory's root has no password; clients send an empty one or root's name."""
        kept = self._miner.settings
        is_factory = kept.web_password == kept.web_user and password == ""
        known = user == kept.web_user and (password == kept.web_password or is_factory)
        return known and Fault.UNAUTHORIZED not in self._miner.faults

    def _knows(self, request: HttpRequest, name: str) -> bool:
        cookies = request.headers.get("cookie", "").split(";")
        given = dict(cookie.strip().split("=", 1) for cookie in cookies if "=" in cookie)
        return self._sessions.admits(given.get(name, ""))

    def _act(self, query: str, selection: Selection, variables: Selection) -> HttpReply:
        miner = self._miner
        section, calls = next(iter(selection.items()))
        call = next(iter(calls), "")
        miner.note("graphql", call, query)
        if Fault.REFUSES in miner.faults:
            return _errors("refused")
        match f"{section}.{call}":
            case "bosminer.stop" | "bosminer.pause":
                miner.sleep()
            case "bosminer.start" | "bosminer.resume":
                if miner.is_asleep:
                    miner.wake()
            case "bosminer.restart":
                miner.restart()
            case "bosminer.config" if "updateAutotuning" in calls[call]:
                return self._limit(variables.get("limit"))
            case "bos.reboot":
                if not miner.is_deaf:
                    miner.reboot()
            case "bos.setFaultLight":
                miner.led = "blink" if "true" in query else "auto"
            case _:
                return _errors(f"Unknown field {section}.{call}")
        return HttpReply(200, orjson.dumps({"data": {section: {call: {"void": None}}}}))

    def _limit(self, watts: object) -> HttpReply:
        """A power target goes into the configuration, and bosminer restarts with it."""
        low, _, high = limits_w(self._miner)
        if not isinstance(watts, int) or not low <= watts <= high:
            return _errors(f"powerTarget {watts!r} is out of range")
        if not self._miner.is_deaf:
            self._miner.limit_w = watts
            self._miner.set_level(watts, restart=True)
        tuned = {"autotuning": {"powerTarget": watts, "enabled": True}}
        return HttpReply(200, orjson.dumps({"data": {"bosminer": {"config": {"updateAutotuning": tuned}}}}))


def everything(miner: SimMiner) -> Selection:
    """All that a query may select, as the replies of a 24.09 have it."""
    p, reading = miner.personality, miner.read()
    mhs = reading.hash_ths * 1e6
    heat = [{"name": "Board", "degreesC": reading.chip_c - 15}, {"name": "Chip", "degreesC": reading.chip_c}]
    nominal_mhs = p.full_ths * 1e6
    rpm = 0 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))
    board = {
        "hwDetails": {"chips": p.chips_per_board, "frequencyMhz": p.frequency_mhz, "voltageV": 13.4},
        "nominalMhs": nominal_mhs / p.boards,
        "realHashrate": {"mhs5S": mhs / p.boards},
        "temperatures": heat,
    }
    info = {
        "modelName": p.model,
        "fans": [{"name": str(n), "rpm": rpm, "speed": 0 if reading.asleep else 60} for n in range(p.fans)],
        "summary": {"power": {"approxConsumptionW": round(reading.power_w), "limitW": miner.limit_w}},
        "workSolver": {
            "nominalMhs": nominal_mhs,
            "realHashrate": {"mhs5S": mhs},
            "childSolvers": [{"name": str(n + 1), **board} for n in range(p.boards)],
        },
        "poolGroups": [{"name": "default", "pools": _pools(miner)}],
    }
    low, default, high = limits_w(miner)
    tuning = {"mode": "POWER_TARGET", "powerTarget": miner.limit_w, "hashrateTarget": None}
    return {
        "bos": {
            "faultLight": miner.led == "blink",
            "hostname": miner.identity.hostname,
            "info": {"version": {"full": p.firmware}},
            "uptime": {"durationS": reading.uptime_s},
        },
        "bosminer": {
            "info": info,
            "metadata": {"autotuning": {"powerTarget": {"min": low, "default": default, "max": high}}},
            "config": {
                "autotuning": tuning,
                "groups": [{"id": "0", "strategy": {"quota": 1}}],
            },
        },
        "events": {"appeals": []},
    }


def parse(query: str) -> tuple[str, Selection]:
    """Kind of operation and what it selects; arguments are left out, fragments count as their fields."""
    tokens = iter(TOKENS.findall(query))
    kind = "query"
    for token in tokens:
        if token == "mutation":  # noqa: S105 - a word of GraphQL
            kind = token
        elif token == "(":  # noqa: S105 - a bracket
            _skip_arguments(tokens)
        elif token == "{":  # noqa: S105 - a bracket
            return kind, _selection(tokens)
    return kind, {}


def project(value: Any, selection: Selection) -> Any:
    """The selected part of a value; raises KeyError naming what does not exist."""
    if not selection or value is None:
        return value
    if isinstance(value, list):
        return [project(each, selection) for each in value]
    return {name: project(value[name], inner) for name, inner in selection.items()}


def _selection(tokens: Iterator[str]) -> Selection:
    found: Selection = {}
    last = ""
    for token in tokens:
        match token:
            case "}":
                break
            case "{":
                inner = _selection(tokens)
                target = found if last.startswith("...") else found.setdefault(last, {})
                target.update(inner)
            case "(":
                _skip_arguments(tokens)
            case _:
                if not token.startswith("..."):
                    found[token] = {}
                last = token
    return found


def _skip_arguments(tokens: Iterator[str]) -> None:
    depth = 1
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0:
            return


def _leaves(selection: Selection) -> set[str]:
    return {leaf for name, inner in selection.items() for leaf in (_leaves(inner) if inner else {name})}


def _pools(miner: SimMiner) -> list[dict[str, Any]]:
    return [
        {
            "url": pool.url,
            "user": pool.user,
            "active": n == 0,
            "status": "ALIVE" if pool.url else "DEAD",
            "shares": {"acceptedSolutions": 4057 if n == 0 else 0, "rejectedSolutions": 0},
        }
        for n, pool in enumerate(miner.settings.pools)
    ]


def _errors(message: str) -> HttpReply:
    return HttpReply(200, orjson.dumps({"data": None, "errors": [{"message": message}]}))


def _json(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
