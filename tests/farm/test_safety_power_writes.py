"""No power write touches pools, passwords or fans: the simulated miners' fingerprints stay byte-identical."""

from __future__ import annotations

import pytest

from farmctl.ports.devices import Locates, Reboots
from simulators.faults import Fault
from simulators.miner import SimMiner
from tests.farm.power_writes import FAMILIES, deaf_to_reads, farm_of_one

ORDERS = [
    (name, model, setting)
    for name, family in FAMILIES.items()
    for model, settings in family.settings.items()
    for setting in settings
]
FIRST_ORDERS = [order for order in ORDERS if order[1] == next(iter(FAMILIES[order[0]].settings))]
MODELS = [(name, model) for name, family in FAMILIES.items() for model in family.settings]
FAULTS = [
    (Fault.RESET, {}),
    (Fault.TRUNCATED, {"keep": 0.3}),
    (Fault.MALFORMED, {"how": "garbage"}),
    (Fault.MALFORMED, {"how": "overflow"}),
    (Fault.UNAUTHORIZED, {}),
    (Fault.EXPIRED, {}),
    (Fault.REFUSES, {}),
    (Fault.IGNORES, {}),
    (Fault.LIES_STATE, {}),
]


def words(sim: SimMiner) -> set[str]:
    return {told.command for told in sim.log}


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize(("name", "model", "setting"), ORDERS)
async def test_a_power_write_leaves_pools_passwords_and_fans_alone(
    name: str, model: str, setting: str, start: str
) -> None:
    family = FAMILIES[name]
    async with farm_of_one(model, start) as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        await family.command(family.port(sim), setting)
        await world.advance(900)
        assert sim.fingerprint() == before
        assert words(sim) <= family.words


@pytest.mark.parametrize(("fault", "params"), FAULTS, ids=[f"{fault}-{params}" for fault, params in FAULTS])
@pytest.mark.parametrize(("name", "model", "setting"), FIRST_ORDERS)
async def test_a_power_write_that_goes_wrong_leaves_them_alone(
    name: str, model: str, setting: str, fault: Fault, params: dict[str, float | str]
) -> None:
    family = FAMILIES[name]
    async with farm_of_one(model) as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        world.put_fault([0], fault, params=params)
        await family.command(family.port(sim), setting)
        await world.advance(60)
        assert sim.fingerprint() == before
        assert words(sim) <= family.words


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize(("name", "model", "setting"), ORDERS)
async def test_a_power_write_while_reads_fail_leaves_them_alone_and_still_arrives(
    name: str, model: str, setting: str, start: str
) -> None:
    family = FAMILIES[name]
    async with (
        farm_of_one(model, start) as world,
        deaf_to_reads(family, family.port(world.miners[0])) as port,
    ):
        sim = world.miners[0]
        before = sim.fingerprint()
        await family.command(port, setting)
        await world.advance(30)
        assert sim.fingerprint() == before
        assert words(sim) <= family.words
        assert sim.is_asleep is (setting == "sleep")


@pytest.mark.parametrize(("name", "model"), MODELS)
async def test_light_and_reboot_leave_them_alone(name: str, model: str) -> None:
    family = FAMILIES[name]
    async with farm_of_one(model) as world:
        sim = world.miners[0]
        miner = family.device(family.port(sim))
        assert isinstance(miner, Locates)
        assert isinstance(miner, Reboots)
        before = sim.fingerprint()
        await miner.locate(on=True)
        await miner.locate(on=False)
        await miner.reboot()
        await miner.close()
        assert sim.fingerprint() == before


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.fans])
async def test_the_fingerprint_would_show_it(name: str) -> None:
    family = FAMILIES[name]
    assert family.fans is not None
    async with farm_of_one(next(iter(family.settings))) as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        await family.fans(sim)
        assert sim.fingerprint() != before
