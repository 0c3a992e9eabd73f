"""Each web driver finds its own machines among all others, and tells strangers no password."""

from __future__ import annotations

import pytest

from drivers.auradine.driver import AuradineDriver
from drivers.bitaxe.driver import BitaxeDriver
from drivers.braiins.driver import BraiinsDriver
from drivers.vnish.driver import VnishDriver
from farmctl.errors import SilentPeerError
from farmctl.ports.devices import Credentials, Driver, Endpoint, Identity
from simulators.miner import SimMiner
from tests.drivers.fixtures.rest.served import Served, serving
from tests.drivers.fixtures.rest.simulated import endpoint, farm

MODELS = (
    "m50", "s21", "luxos-s21", "vnish-s19jpro", "vnish-s21pro",
    "braiins-s19jpro", "braiins-s19xp", "bitaxe-gamma", "auradine-at2880",
)  # fmt: skip
DRIVERS: tuple[Driver, ...] = (VnishDriver(), BraiinsDriver(), BitaxeDriver(), AuradineDriver())


OPERATORS = Credentials(user="operator", password="s3cret")  # noqa: S106 - a test's password


async def found_by(driver: Driver, miner: SimMiner) -> Identity | None:
    try:
        return await driver.identify(endpoint(miner), OPERATORS)
    except SilentPeerError:
        return None


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_no_driver_takes_another_family_for_its_own(driver: Driver) -> None:
    async with farm(*MODELS) as world:
        for miner in world.miners:
            if miner.personality.family != driver.name:
                assert await found_by(driver, miner) is None, miner.personality.key
                assert not miner.log, "a probe that commands"


async def test_every_machine_is_found_by_its_own_driver() -> None:
    async with farm(*MODELS) as world:
        for driver in DRIVERS:
            for miner in world.miners:
                if miner.personality.family == driver.name:
                    found = await driver.identify(endpoint(miner), Credentials())
                    assert found is not None
                    assert (found.driver, found.mac) == (driver.name, miner.identity.mac.lower())


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("locked", [True, False])
async def test_a_stranger_s_web_server_is_told_no_password(driver: Driver, *, locked: bool) -> None:
    served = Served({"GET /": "hello"}, admits=lambda _call, _given: not locked)
    async with serving(served) as port:
        where = Endpoint(host="127.0.0.1", ports={"http": port, "api": 1, "grpc": 1})
        assert await driver.identify(where, OPERATORS) is None
    assert served.asked
    assert "s3cret" not in str([(each.body, each.headers) for each in served.asked])
