"""Pools are changed by one explicit command: staged, read back, and nothing else is touched."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.whatsminer_v3.wire import pool_rows, signed
from farmctl.core.model import MinerId
from farmctl.errors import RefusedError
from farmctl.ports.devices import Credentials, PoolLogin, SetsPools
from farmctl.ports.store import InventoryRow
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.pools import Place, Stages, close, same_pools, set_pools
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.world import World, ports_of
from tests.drivers.fixtures.rest.simulated import endpoint, farm

NEW = (
    PoolLogin(url="stratum+tcp://new.example:3333", user="site.all", password="pw"),  # noqa: S106 - of a pool
    PoolLogin(url="stratum+tcp://spare.example:443", user="site.all", password="pw"),  # noqa: S106 - of a pool
)
MODELS = ("m50", "s21", "vnish-s19jpro", "epic-s19xp", "auradine-at2880", "m60s-v3")
DRIVERS = {"m50": "whatsminer", "s21": "antminer", "luxos-s19kpro": "luxos", "m60s-v3": "whatsminer_v3"}
AT_ONCE = Stages(first=1, batch=20, pause_s=0.0)


def driver_of(model: str) -> str:
    return DRIVERS.get(model, model.partition("-")[0])


@asynccontextmanager
async def places(world: World, *models: str) -> AsyncIterator[list[Place]]:
    drivers = load_drivers(sorted({driver_of(model) for model in models}))
    made = []
    for model, miner in zip(models, world.miners, strict=True):
        name, there = driver_of(model), endpoint(miner)
        identity = await drivers[name].identify(there, Credentials())
        assert identity is not None, model
        row = InventoryRow(miner_id=identity.miner_id, host=there.host, ports=ports_of(miner), driver=name, model=model)
        made.append(Place(row=row, device=drivers[name].device(there, Credentials())))
    try:
        yield made
    finally:
        await close(made)


def all_but_pools(miner: SimMiner) -> dict[str, object]:
    kept: dict[str, object] = orjson.loads(miner.fingerprint())
    return {key: value for key, value in kept.items() if key != "pools"}


@pytest.mark.parametrize("model", MODELS)
async def test_new_pools_are_written_read_back_and_nothing_else_changes(model: str) -> None:
    async with farm(model) as world, places(world, model) as found:
        miner = world.miners[0]
        before = all_but_pools(miner)
        report = await set_pools(found, NEW, AT_ONCE, lambda: None, read_back_s=5.0)
        assert report.failed == {}
        assert report.changed == [found[0].row.miner_id]
        shown = [(pool.url, pool.user, pool.password) for pool in miner.settings.pools if pool.url]
        assert shown == [(pool.url, pool.user, pool.password) for pool in NEW]
        assert all_but_pools(miner) == before
        again = await set_pools(found, NEW, AT_ONCE, lambda: None, read_back_s=5.0)
        assert again.unchanged == report.changed


def test_pools_of_whatsminer_v3_leave_sealed_and_their_passwords_in_no_error() -> None:
    body = signed("set.miner.pools", pool_rows(NEW), account="super", password="super", salt="s", now_s=1)  # noqa: S106 - factory's
    told = orjson.loads(body)
    assert isinstance(told["param"], str)
    assert b"new.example" not in body
    opened = Cipher(algorithms.AES(sha256(b"set.miner.poolssupers1").digest()), modes.ECB()).decryptor()  # noqa: S305
    clear = opened.update(base64.b64decode(told["param"])) + opened.finalize()
    assert orjson.loads(orjson.loads(clear[: -clear[-1]]))[0]["pool"] == NEW[0].url


async def test_a_stage_that_fails_is_the_last_one() -> None:
    models = ("m50", "m50", "m50")
    async with farm(*models) as world, places(world, *models) as found:
        world.put_fault([0], Fault.IGNORES)
        untouched = [miner.fingerprint() for miner in world.miners]
        report = await set_pools(found, NEW, AT_ONCE, lambda: None, read_back_s=0.1)
        assert list(report.failed) == [found[0].row.miner_id]
        assert "still shows" in report.failed[found[0].row.miner_id]
        assert report.untouched == [place.row.miner_id for place in found[1:]]
        assert [miner.fingerprint() for miner in world.miners] == untouched


async def test_a_moved_miner_and_a_driver_without_pools_are_failures_that_write_nothing() -> None:
    models = ("m50", "luxos-s19kpro")
    async with farm(*models) as world, places(world, *models) as found:
        moved = Place(
            row=InventoryRow(miner_id=MinerId("02:ff"), host=found[0].row.host, ports={}, driver="whatsminer"),
            device=found[0].device,
        )
        before = [miner.fingerprint() for miner in world.miners]
        report = await set_pools([moved, found[1]], NEW, Stages(first=2), lambda: None)
        assert set(report.failed) == {moved.row.miner_id, found[1].row.miner_id}
        assert [miner.fingerprint() for miner in world.miners] == before


async def test_an_event_that_goes_live_between_two_stages_stops_the_rest() -> None:
    asked = 0

    def live_at_the_second() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise RefusedError("event low is live")

    models = ("m50", "m50")
    async with farm(*models) as world, places(world, *models) as found:
        before = world.miners[1].fingerprint()
        with pytest.raises(RefusedError, match="live"):
            await set_pools(found, NEW, AT_ONCE, live_at_the_second, read_back_s=5.0)
        assert world.miners[1].fingerprint() == before


async def test_more_pools_than_a_machine_takes_are_refused_before_anything_is_written() -> None:
    async with farm("m50") as world, places(world, "m50") as found:
        device = found[0].device
        assert isinstance(device, SetsPools)
        before = world.miners[0].fingerprint()
        for pools in ((), NEW * 2):
            with pytest.raises(RefusedError, match="expected 1 to 3"):
                await device.set_pools(pools)
        assert world.miners[0].fingerprint() == before
        await asyncio.sleep(0)


def test_an_address_counts_without_its_scheme_and_in_its_order() -> None:
    from farmctl.ports.devices import Pool  # noqa: PLC0415 - only this test needs one

    shown = (
        Pool(url="new.example:3333", user="site.all", alive=True),
        Pool(url="spare.example:443", user="site.all", alive=None),
    )
    assert same_pools(shown, NEW)
    assert not same_pools(shown[::-1], NEW)
    assert not same_pools(shown[:1], NEW)
