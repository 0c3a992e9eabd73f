"""Two ways into Braiins OS with the same replies: REST of 25.07 and later, gRPC of every version since 23.03."""

from __future__ import annotations

from typing import Any, Protocol

from typing_extensions import override

from drivers._wire.digest import NotServedError
from drivers._wire.fields import text
from drivers._wire.rest import Request, RestClient, TokenClient
from farmctl.errors import MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials

API = "/api/v1/"
NOMINAL = 1
"""Reference of a relative power target: what the machine was sold as (2 lowest, 3 highest, 4 the current one)."""
RAMP_ANSWER_S = 1.0
"""A nicety before an urgent pause may not cost it more."""


class Door(Protocol):
    """What the device asks of either; replies are in the shapes of the REST API."""

    async def prepare(self) -> None:
        """Have a token."""
        ...

    async def read(self, page: str) -> Any:
        """One of the pages that `PAGES` names. Raises NotServedError where this firmware has none."""
        ...

    async def pause(self) -> None:
        """Stop mining."""
        ...

    async def resume(self) -> None:
        """Mine again."""
        ...

    async def set_watts(self, watts: int) -> None:
        """Follow a power target, without a restart."""
        ...

    async def set_percent(self, percent: int) -> None:
        """Follow a share of the nominal power. Raises NotServedError where the firmware has no relative target."""
        ...

    async def ramp_quickly(self, *, down_s: int, up_s: int) -> None:
        """Allow fast ramps from now on. Raises NotServedError where the firmware has none."""
        ...

    async def locate(self, *, on: bool) -> None:
        """Switch the light."""
        ...

    async def reboot(self) -> None:
        """Restart the control board."""
        ...

    async def close(self) -> None:
        """Give sockets back; safe to call twice."""
        ...


class RestDoor(Door):
    """Port 80, a token from auth/login."""

    def __init__(self, rest: RestClient, credentials: Credentials) -> None:
        self._rest = rest
        self._credentials = credentials
        self._api = TokenClient(rest, log_in=self._log_in)
        self._needs_token = True

    @override
    async def prepare(self) -> None:
        try:
            await self._api.prepare()
        except NotServedError:
            # A proxy, or firmware, that serves the pages to everybody and has no log-in.
            if not isinstance(await self._rest.ask(Request(method="GET", path=API + "miner/details")), dict):
                raise
            self._needs_token = False

    @override
    async def read(self, page: str) -> Any:
        return await self._api.ask(Request(method="GET", path=API + page), needs_token=self._needs_token)

    @override
    async def pause(self) -> None:
        await self._put("actions/pause")

    @override
    async def resume(self) -> None:
        await self._put("actions/resume")

    @override
    async def set_watts(self, watts: int) -> None:
        reply = await self._put("performance/power-target", {"watt": watts})
        said = reply.get("watt") if isinstance(reply, dict) else None
        if said is not None and said != watts:
            raise RefusedError(f"{self._rest.where}: asked for a target of {watts} W, it answers {said!r}")

    @override
    async def set_percent(self, percent: int) -> None:
        payload = {"percentage": percent, "reference": NOMINAL}
        path = f"{API}performance/power-target/relative"
        await self._api.ask(Request(method="PATCH", path=path, payload=payload))

    @override
    async def ramp_quickly(self, *, down_s: int, up_s: int) -> None:
        payload = {"down_s": down_s, "up_s": up_s}
        path = f"{API}performance/quick-ramping"
        await self._api.ask(Request(method="PUT", path=path, payload=payload, answer_s=RAMP_ANSWER_S))

    @override
    async def locate(self, *, on: bool) -> None:
        await self._put("actions/locate", on)

    @override
    async def reboot(self) -> None:
        await self._api.ask(Request(method="PUT", path=f"{API}actions/reboot", once=True))

    @override
    async def close(self) -> None:
        await self._rest.close()

    async def _put(self, page: str, payload: object = None) -> Any:
        return await self._api.ask(Request(method="PUT", path=API + page, payload=payload))

    async def _log_in(self) -> str:
        payload = {"username": self._credentials.user, "password": self._credentials.password}
        reply = await self._rest.ask(Request(method="POST", path=f"{API}auth/login", payload=payload))
        if not isinstance(reply, dict):
            raise NotServedError(f"{self._rest.where} {API}auth/login: no object, expected a token")
        token = text(reply.get("token"))
        if not token:
            raise MalformedReplyError(f"{self._rest.where} {API}auth/login: no token, expected one")
        return token
