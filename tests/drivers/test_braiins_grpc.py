from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.braiins import protobuf
from drivers.braiins.driver import BraiinsDriver
from drivers.braiins.protobuf import Field
from drivers.braiins.schemas import CALLS
from farmctl.core.model import MinerState
from farmctl.errors import FarmError, MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint
from simulators.faults import Fault
from simulators.fronts.braiins_grpc import READS, _pools, _tuner
from simulators.fronts.braiins_reads import details, stats
from tests.drivers.fixtures.rest.simulated import command, devices, endpoint, farm

OLD = "braiins-s19jpro"


async def test_a_poll_over_grpc_says_what_the_same_miner_says_over_rest() -> None:
    async with farm(OLD, "braiins-s19xp") as world, devices(BraiinsDriver(), world) as fleet:
        for row, device in enumerate(fleet):
            miner = world.miners[row]
            reading, facts = await device.poll(), await device.facts()
            assert reading.state is MinerState.HASHING
            assert reading.power_w == pytest.approx(miner.read().power_w, abs=1.0)
            assert reading.hash_rate_hs == pytest.approx(miner.read().hash_ths * 1e12)
            assert reading.temperature_c == pytest.approx(miner.read().chip_c, abs=0.1)
            assert len(reading.fans_rpm) == miner.personality.fans
            assert len(reading.board_temperatures_c) == facts.boards == miner.personality.boards
            assert (facts.identity.mac, facts.identity.serial) == (miner.identity.mac.lower(), miner.identity.serial)
            assert [(pool.url, pool.alive) for pool in facts.pools] == [
                (pool.url, True) for pool in miner.settings.pools
            ]
            assert facts.nominal_power_w == round(miner.personality.full_w)


async def test_a_silent_door_and_a_dead_one_are_silence() -> None:
    async with farm(OLD) as world, devices(BraiinsDriver(), world) as fleet:
        await fleet[0].poll()
        world.put_fault([0], Fault.SILENT)
        with pytest.raises(SilentPeerError, match="no answer within"):
            await fleet[0].poll()
        world.clear_faults([0])
        assert (await fleet[0].poll()).power_w > 0, "the next call starts afresh"


async def test_garbage_over_grpc_is_a_failed_poll() -> None:
    async with farm(OLD) as world, devices(BraiinsDriver(), world) as fleet:
        await fleet[0].poll()
        world.put_fault([0], Fault.MALFORMED, params={"how": "garbage"})
        with pytest.raises(FarmError):
            await fleet[0].poll()


async def test_a_reboot_takes_the_token_with_it_and_the_device_logs_in_again() -> None:
    async with farm(OLD) as world, devices(BraiinsDriver(), world) as fleet:
        await fleet[0].poll()
        world.put_fault([0], Fault.REBOOT)
        await world.advance(1.0)
        with pytest.raises(SilentPeerError):
            await fleet[0].poll()
        await world.advance(60.0)
        await command(fleet[0], "sleep")
        assert world.miners[0].is_asleep


async def test_nobody_listening_and_other_makes_are_not_braiins() -> None:
    async with farm("m50", "vnish-s21pro") as world:
        for miner in world.miners:
            assert await BraiinsDriver().identify(endpoint(miner), Credentials()) is None
    with pytest.raises(SilentPeerError):
        await BraiinsDriver().identify(Endpoint(host="127.0.0.1", ports={"api": 1, "http": 1}), Credentials())


async def test_each_message_of_the_front_is_read_as_it_was_meant() -> None:
    def agrees(read: Any, meant: Any) -> bool:
        if isinstance(read, dict):
            return all(key in meant and agrees(each, meant[key]) for key, each in read.items())
        if isinstance(read, list):
            return len(read) == len(meant) and all(agrees(*pair) for pair in zip(read, meant, strict=True))
        return bool(read == meant)

    async with farm(OLD) as world:
        miner = world.miners[0]
        for page, meant in (
            ("miner/details", details(miner)),
            ("miner/stats", stats(miner)),
            ("performance/tuner-state", _tuner(miner)),
            ("pools", _pools(miner)),
        ):
            shape, read = READS[CALLS[page].method]
            from_wire = protobuf.decode(_encode(read(miner), shape), CALLS[page].reply)
            assert agrees(from_wire, meant), page


def _encode(value: Any, shape: Any) -> bytes:
    from simulators.fronts.braiins_proto import encode  # noqa: PLC0415 - beside its one use

    return encode(value, shape)


SCHEMA = {
    1: Field(name="text", kind="text"),
    2: Field(name="int", kind="int"),
    3: Field(name="double", kind="double"),
    4: Field(name="bool", kind="bool", default=False),
    5: Field(name="many", kind={1: Field(name="int", kind="int")}, repeated=True),
}


def test_a_message_is_read_field_by_field_and_unknown_ones_are_skipped() -> None:
    inner = protobuf.integer(1, 300)
    data = (
        protobuf.text(1, "Größe")
        + protobuf.integer(2, 2**40)
        + b"\x19"
        + struct.pack("<d", 12.5)
        + protobuf.message(5, inner)
        + protobuf.message(5, b"")
        + protobuf.integer(99, 7)
        + b"\x75abcd"  # field 14, fixed32
    )
    assert protobuf.decode(data, SCHEMA) == {
        "text": "Größe",
        "int": 2**40,
        "double": 12.5,
        "bool": False,
        "many": [{"int": 300}, {}],
    }


@pytest.mark.parametrize("data", [b"\x0a\x7f", b"\x10", b"\x10" + b"\xff" * 11, b"\x0b", b"\x12\x01a", b"\x19abc"])
def test_a_message_that_is_none_is_a_malformed_reply(data: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        protobuf.decode(data, SCHEMA)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        protobuf.decode(data, SCHEMA)
    except MalformedReplyError:
        return
