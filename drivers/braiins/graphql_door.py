"""The door of Braiins OS from before gRPC: reads by GraphQL on port 80, pause and resume by the API of port 4028."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from typing_extensions import override

from drivers._wire.cgminer import ask, request
from drivers._wire.digest import NotServedError
from drivers._wire.fields import number, status, table, text
from drivers._wire.rest import Request, RestClient, UnauthorizedError
from drivers.braiins.doors import Door
from drivers.braiins.wire import Status
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials

PATH = "/graphql"
LUCI = "/cgi-bin/luci"
CARD = f"{LUCI}/admin/network/iface_status/lan"
SESSION = "session_id"
SYSTEM = """{ bos { hostname info { version { full } } uptime { durationS } } bosminer { info {
 workSolver { realHashrate { mhs5S } nominalMhs } fans { name rpm }
 summary { power { limitW approxConsumptionW } } } } }"""
BOARDS = "{ bosminer { info { workSolver { childSolvers { name temperatures { name degreesC } } } } } }"
POOLS = "{ bosminer { info { poolGroups { name pools { url user status active } } } } }"
MODEL = "{ bosminer { info { modelName } } }"
LOGIN = """mutation ($username: String!, $password: String!) { auth { login(username: $username, password: $password)
 { ... on VoidResult { void } } } }"""
GIGA_PER_MEGA = 1e-3
SAME_POLL_S = 0.5
UNKNOWN_MODEL = "Braiins OS"


class GraphqlDoor(Door):
    """Answers in the shapes of the REST API; a power target would rewrite a file and restart, so it has none."""

    def __init__(self, rest: RestClient, *, host: str, api_port: int, credentials: Credentials) -> None:
        self._rest = rest
        self._host = host
        self._api_port = api_port
        self._credentials = credentials
        self._turn = asyncio.Lock()
        self._is_paused = False
        self._model_name = ""
        self._mac = ""
        self._system: Mapping[str, Any] = {}
        self._system_until_s = 0.0

    @override
    async def prepare(self) -> None:
        if not table(await self._read_system(), "bosminer", "info"):
            raise MalformedReplyError(f"{self._rest.where} {PATH}: no bosminer info, expected it")

    @override
    async def read(self, page: str) -> Any:
        match page:
            case "miner/stats":
                return _stats(await self._read_system())
            case "miner/details":
                return await self._details()
            case "cooling/state":
                return _cooling(await self._read_system(), await self._query(BOARDS))
            case "miner/hw/hashboards":
                return _boards(await self._query(BOARDS))
            case "configuration/miner":
                power = table(await self._read_system(), "bosminer", "info", "summary", "power")
                return {"tuner": {"power_target": {"watt": power.get("limitW")}}}
            case "pools":
                return _pools(await self._query(POOLS))
            case _:
                raise NotServedError(f"{self._rest.where}: GraphQL has no {page}")

    @override
    async def pause(self) -> None:
        await self._command("pause")
        self._is_paused = True

    @override
    async def resume(self) -> None:
        await self._command("resume")
        self._is_paused = False

    @override
    async def set_watts(self, watts: int) -> None:
        raise NotServedError(f"{self._rest.where}: Braiins OS before gRPC has no power target without a restart")

    @override
    async def set_percent(self, percent: int) -> None:
        await self.set_watts(0)

    @override
    async def ramp_quickly(self, *, down_s: int, up_s: int) -> None:
        raise NotServedError(f"{self._rest.where}: Braiins OS before gRPC has no quick ramping")

    @override
    async def locate(self, *, on: bool) -> None:
        enabled = "true" if on else "false"
        await self._query(f"mutation {{ bos {{ setFaultLight(enable: {enabled}) {{ enabled }} }} }}")

    @override
    async def reboot(self) -> None:
        await self._query("mutation { bos { reboot { ... on VoidResult { void } } } }", once=True)

    @override
    async def close(self) -> None:
        await self._rest.close()

    async def _read_system(self) -> Mapping[str, Any]:
        """One answer for all pages of a poll."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._system_until_s:
            self._system = await self._query(SYSTEM)
            self._system_until_s = now_s + SAME_POLL_S
        return self._system

    async def _command(self, name: str) -> None:
        self._system_until_s = 0.0
        head = status(await ask(self._host, self._api_port, request(name)))
        if head.is_refusal or not head.letter:
            raise RefusedError(f"{self._host}:{self._api_port} refuses {name}: code {head.code} {head.message!r}")

    async def _details(self) -> dict[str, Any]:
        said = await self._read_system()
        bos, solver = table(said, "bos"), table(said, "bosminer", "info", "workSolver")
        rate = number(table(solver, "realHashrate").get("mhs5S"))
        # It tells no state: one without a rate is paused where we paused it, and started where it is not.
        state = Status.PAUSED if self._is_paused else Status.NORMAL if rate > 0 else Status.NOT_STARTED
        return {
            "status": int(state),
            "system_uptime_s": table(bos, "uptime").get("durationS"),
            "miner_identity": {"miner_model": await self._model()},
            "bos_version": {"current": table(bos, "info", "version").get("full")},
            "mac_address": await self._card(),
            "sticker_hashrate": {"gigahash_per_second": number(solver.get("nominalMhs")) * GIGA_PER_MEGA},
        }

    async def _model(self) -> str:
        """Asked alone: firmware that lacks a field refuses the whole query."""
        if not self._model_name:
            try:
                self._model_name = text(table(await self._query(MODEL), "bosminer", "info").get("modelName"))
            except SilentPeerError:
                raise
            except FarmError:
                self._model_name = UNKNOWN_MODEL
        return self._model_name or UNKNOWN_MODEL

    async def _card(self) -> str:
        """MAC of the first network card that LuCI shows; empty where it lets nobody in."""
        if self._mac:
            return self._mac
        try:
            found = await self._page(Request(method="GET", path=CARD), self._luci_in)
        except (SilentPeerError, UnauthorizedError):
            raise
        except FarmError:
            return ""
        cards = found if isinstance(found, list) else []
        self._mac = next((text(card.get("macaddr")) for card in cards if isinstance(card, dict)), "")
        return self._mac

    async def _query(self, query: str, *, once: bool = False) -> Mapping[str, Any]:
        call = Request(method="POST", path=PATH, payload={"query": query}, once=once)
        reply = await self._page(call, self._log_in)
        faults = reply.get("errors") if isinstance(reply, dict) else None
        if faults and not table(reply, "data"):
            await self._log_in()
            reply = await self._rest.ask(call, self._cookies())
            faults = reply.get("errors") if isinstance(reply, dict) else None
        if faults:
            raise RefusedError(f"{self._rest.where} {PATH}: {str(faults)[:200]}")
        return table(reply, "data")

    async def _page(self, call: Request, log_in: Any) -> Any:
        try:
            return await self._rest.ask(call, self._cookies())
        except UnauthorizedError:
            pass  # answered below, outside the handler
        await log_in()
        return await self._rest.ask(call, self._cookies())

    def _cookies(self) -> dict[str, str]:
        given = self._rest.given
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in given.items())} if given else {}

    async def _log_in(self) -> None:
        names = {"username": self._credentials.user, "password": self._credentials.password}
        async with self._turn:
            self._rest.given.pop(SESSION, None)
            body = {"query": LOGIN, "variables": names}
            await self._rest.ask(Request(method="POST", path=PATH, payload=body, keeps_cookies=True))
            if SESSION not in self._rest.given:
                raise UnauthorizedError(f"{self._rest.where} {PATH}: user or password refused")

    async def _luci_in(self) -> None:
        form = urlencode({"luci_username": self._credentials.user, "luci_password": self._credentials.password})
        async with self._turn:
            await self._rest.fetch(Request(method="POST", path=LUCI, form=form, keeps_cookies=True))


def _stats(said: Mapping[str, Any]) -> dict[str, Any]:
    info = table(said, "bosminer", "info")
    rate = number(table(info, "workSolver", "realHashrate").get("mhs5S")) * GIGA_PER_MEGA
    watts = table(info, "summary", "power").get("approxConsumptionW")
    return {
        "miner_stats": {"real_hashrate": {"last_5s": {"gigahash_per_second": rate}}},
        "power_stats": {"approximated_consumption": {"watt": watts}},
    }


def _cooling(said: Mapping[str, Any], solvers: Mapping[str, Any]) -> dict[str, Any]:
    fans = table(said, "bosminer", "info").get("fans")
    hottest = max((heat for solver in _solvers(solvers) if (heat := _heat(solver, "Chip")) > 0), default=None)
    return {"fans": fans, "highest_temperature": {"temperature": {"degree_c": hottest}}}


def _boards(solvers: Mapping[str, Any]) -> dict[str, Any]:
    return {"hashboards": [{"board_temp": {"degree_c": _heat(solver, "Board")}} for solver in _solvers(solvers)]}


def _pools(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = table(said, "bosminer", "info").get("poolGroups")
    return [
        {
            "pools": [
                {**pool, "alive": {"ALIVE": True, "DEAD": False}.get(text(pool.get("status")).upper())}
                for pool in (group.get("pools") or [])
                if isinstance(pool, dict)
            ]
        }
        for group in (groups if isinstance(groups, list) else [])
        if isinstance(group, dict) and isinstance(group.get("pools"), list)
    ]


def _solvers(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = table(said, "bosminer", "info", "workSolver").get("childSolvers")
    return [solver for solver in found if isinstance(solver, dict)] if isinstance(found, list) else []


def _heat(solver: Mapping[str, Any], name: str) -> float:
    """Of the sensor whose name has this word; NaN where there is none."""
    sensors = solver.get("temperatures")
    found = (
        number(sensor.get("degreesC"))
        for sensor in (sensors if isinstance(sensors, list) else [])
        if isinstance(sensor, dict) and name in text(sensor.get("name"))
    )
    return next(found, float("nan"))
