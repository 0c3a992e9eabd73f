"""The family of stock Antminers: tells them from the other firmwares on the same boards, makes their devices."""

from __future__ import annotations

from drivers._wire.digest import NotServedError, SharedWeb, WrongRealmError
from drivers.antminer.device import FACTORY, AntminerDevice
from drivers.antminer.wire import Version
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint, Identity

REALM = "antMiner"
"""Begins the digest realm of Bitmain's web server ("antMiner Configuration"); other makes have their own."""


class AntminerDriver:
    """Stock Antminers with JSON configuration pages (S17 of late firmware, 19 series and later).

    All devices share one web session, which closes with the last device that is closed.
    """

    name = "antminer"
    factory = FACTORY
    doors = frozenset({"api:cgminer", "http:http"})

    def __init__(self) -> None:
        self._web = SharedWeb()

    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        """Ask 4028 `version`, then the control board; asleep 4028 is shut and the board answers alone.

        Raises SilentPeerError, CredentialError; MalformedReplyError where a stock machine's board talks nonsense.
        """
        device = AntminerDevice(endpoint, credentials, self._web)
        try:
            return await self._identify(device)
        finally:
            await device.close()

    def device(self, endpoint: Endpoint, credentials: Credentials) -> AntminerDevice:
        """Make the device of one miner; opens nothing yet."""
        return AntminerDevice(endpoint, credentials, self._web)

    async def _identify(self, device: AntminerDevice) -> Identity | None:
        try:
            version = await device.version()
        except SilentPeerError as silence:
            if not isinstance(silence.__cause__, ConnectionError):
                raise
            return await self._identify_by_page(device)
        except MalformedReplyError:
            return None
        return await self._stock(device, version) if version else None

    async def _stock(self, device: AntminerDevice, version: Version) -> Identity:
        """Who it is; another realm than Bitmain's is no wrong password, but other firmware that says `Antminer`."""
        try:
            return await device.identity(version)
        except WrongRealmError as refused:
            if refused.realm.startswith(REALM):
                raise
            said = f"says {version.model!r}, expected a web server of realm {REALM!r}: {refused}"
            raise MalformedReplyError(said) from refused

    async def _identify_by_page(self, device: AntminerDevice) -> Identity | None:
        """A web server alone is weak evidence: it must be of Bitmain's realm and name an Antminer."""
        try:
            identity = await device.identity()
        except WrongRealmError as refused:
            if refused.realm.startswith(REALM):
                raise
            return None
        except (NotServedError, RefusedError, MalformedReplyError):
            return None
        return identity if identity.model.lower().startswith("antminer") else None
