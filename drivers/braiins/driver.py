"""The family of Braiins OS: told by 4028, or by its page where that port is shut."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from drivers._wire.cgminer import API_PORT, ask, request
from drivers._wire.digest import NotServedError, SharedWeb
from drivers._wire.fields import row, status
from drivers._wire.rest import Request, RestClient
from drivers.braiins.device import FACTORY, NAME, BraiinsDevice
from drivers.braiins.doors import API
from farmctl.errors import FarmError, MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Identity

VERSION = request("version")
PAGE = b"Braiins OS"


class BraiinsDriver(Driver):
    """Makes devices of miners that run Braiins OS with REST or gRPC; they share one web session."""

    name = NAME
    factory = FACTORY
    doors = frozenset({"api:cgminer", "http:http"})

    def __init__(self) -> None:
        self._web = SharedWeb()

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        """None also for BOSminer from before GraphQL, which is left to others."""
        if not await self._is_braiins(endpoint):
            return None
        device = BraiinsDevice(endpoint, credentials, self._web)
        try:
            return await device.identity()
        except NotServedError:
            return None
        except SilentPeerError as silence:
            if isinstance(silence.__cause__, ConnectionRefusedError):
                return None
            raise
        finally:
            await device.close()

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return BraiinsDevice(endpoint, credentials, self._web)

    async def _is_braiins(self, endpoint: Endpoint) -> bool:
        try:
            reply = await ask(endpoint.host, endpoint.port("api", API_PORT), VERSION)
        except MalformedReplyError:
            return False
        except SilentPeerError as silence:
            if not isinstance(silence.__cause__, ConnectionError):
                raise
            return await self._has_page(endpoint)
        said = " ".join([*row(reply, "VERSION"), status(reply).description]).lower()
        return "boser" in said or "bosminer" in said

    async def _has_page(self, endpoint: Endpoint) -> bool:
        rest = RestClient(self._web, host=endpoint.host, port=endpoint.port("http", 80))
        try:
            return await self._says(rest, "/", lambda body: PAGE in body) or await self._says(
                rest, f"{API}version", lambda body: b'"major"' in body and b'"minor"' in body
            )
        finally:
            await rest.close()

    async def _says(self, rest: RestClient, path: str, passes: Callable[[bytes], bool]) -> bool:
        try:
            return passes(await rest.fetch(Request(method="GET", path=path)))
        except SilentPeerError:
            raise
        except FarmError:
            return False
