from __future__ import annotations

import os
from typing import Any

import pytest

from farmctl.core.model import MinerState
from farmctl.errors import FarmError
from farmctl.ports.devices import Credentials, Driver, Endpoint, Facts, Identity, Reading
from farmctl.wiring.drivers import LAST, load_drivers
from tests.drivers.fixtures import recorded
from tests.drivers.fixtures.compared import CLIENTS, differing, listed, ours, quoted, theirs

HOST = f"127.{90 + os.getpid() % 30}.{os.getpid() // 30 % 256}"
NONE_THERE = "the folder ../shared/cases is not beside the checkout"
LISTED = sorted({entry["case"] for entry in listed()})


def case(name: str) -> dict[str, Any]:
    if name not in recorded.NAMES:
        pytest.skip(f"recording {name}: {NONE_THERE}")
    return recorded.load(name)


async def met(driver: Driver, endpoint: Endpoint) -> Identity | None:
    try:
        return await driver.identify(endpoint, Credentials())
    except FarmError:
        return None


async def read(raw: dict[str, Any], number: int) -> tuple[list[Identity], Reading, Facts]:
    """Let every native driver look at the recorded device, and the one that knows it read it."""
    natives = {name: driver for name, driver in load_drivers().items() if name != LAST}
    async with recorded.serving(raw, f"{HOST}.{number + 1}") as endpoint:
        found = [who for driver in natives.values() if (who := await met(driver, endpoint)) is not None]
        assert found, "no driver knows it"
        device = natives[found[0].driver].device(endpoint, Credentials())
        try:
            return found, await device.poll(), await device.facts()
        finally:
            await device.close()


@pytest.mark.parametrize("name", recorded.NAMES or [pytest.param("any", id=NONE_THERE)])
async def test_a_recorded_device_is_known_to_one_driver_which_reads_it_as_two_clients_do_or_better(name: str) -> None:
    found = case(name)
    who, reading, facts = await read(found["raw"], recorded.NAMES.index(name))
    assert len(who) == 1, who
    assert who[0] == facts.identity
    assert reading.hash_rate_hs > 0
    assert reading.state in (MinerState.HASHING, MinerState.THROTTLED)
    assert facts.boards
    assert facts.pools
    mine = ours(reading, facts)
    for client in CLIENTS:
        if client not in found:
            continue
        said = theirs(found, client)
        expected = {entry["field"] for entry in listed() if entry["case"] == name and client in entry["clients"]}
        assert set(differing(mine, said)) == expected, (client, mine, said)


@pytest.mark.parametrize("name", LISTED)
def test_every_difference_is_explained_by_what_the_device_really_said(name: str) -> None:
    found = case(name)
    for entry in listed():
        if entry["case"] != name:
            continue
        assert entry["why"]
        for place, says in entry["raw"].items():
            assert quoted(found["raw"], place) == says, (entry["field"], place)
        for place, parts in entry.get("within", {}).items():
            assert all(part in quoted(found["raw"], place) for part in parts), (entry["field"], place)
