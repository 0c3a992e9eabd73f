"""The worker process against simulated and recorded miners on the real ports, which pyasic insists on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from drivers.pyasic_bridge.bridge import Bridge
from drivers.pyasic_bridge.driver import PyasicDevice, PyasicDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.errors import FarmError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint
from simulators.faults import Fault
from simulators.plan import read_plan
from simulators.world import World

NET = f"127.{64 + os.getpid() % 32}.{os.getpid() // 32 % 256}"
NOBODY = f"{NET}.200"
FACTORY = Credentials()
DESCRIPTION = f"""
[farm]
time_scale = 20.0
report_error = 0.0
[[group]]
name = "m50"
model = "m50"
count = 1
address = "{NET}.1"
[[group]]
name = "s19"
model = "s19pro"
count = 1
address = "{NET}.2"
[[group]]
name = "luxos"
model = "luxos-s21"
count = 1
address = "{NET}.3"
"""
WHATSMINER, ANTMINER, LUXOS = 0, 1, 2


def can_bind_port_80() -> bool:
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((f"{NET}.250", 80))
        except OSError:
            return False
    return True


needs_real_ports = pytest.mark.skipif(
    not can_bind_port_80(), reason="pyasic insists on ports 80 and 4028 of many loopback addresses: needs root on Linux"
)


@pytest_asyncio.fixture
async def driver() -> AsyncIterator[PyasicDriver]:
    made = PyasicDriver()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    farm = World(read_plan(DESCRIPTION))
    await farm.start()
    yield farm
    await farm.stop()


def device(driver: PyasicDriver, world: World, row: int) -> PyasicDevice:
    return driver.device(Endpoint(host=world.miners[row].endpoint.host, ports={}), FACTORY)


def point(setting: str) -> OperatingPoint:
    kind = {"sleep": PointKind.SLEEP, "full": PointKind.FULL}.get(setting, PointKind.THROTTLE)
    return OperatingPoint(kind=kind, power_w=0.0, hash_rate_hs=0.0, setting=setting)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  another process has no event to wait for
            await asyncio.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest_asyncio.fixture
async def mute() -> AsyncIterator[str]:
    """An address whose 4028 takes connections and says nothing."""
    released = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    host = f"{NET}.201"
    server = await asyncio.start_server(listen, host, 4028)
    yield host
    released.set()
    server.close()
    await asyncio.sleep(0.05)


# ------------------------------------------------------------------ miners


@needs_real_ports
async def test_a_whatsminer_is_identified_polled_put_to_sleep_limited_and_woken(
    world: World, driver: PyasicDriver
) -> None:
    miner = world.miners[WHATSMINER]
    before = miner.fingerprint()
    found = await driver.identify(Endpoint(host=miner.endpoint.host, ports={}), FACTORY)
    assert found is not None
    assert found.miner_id == miner.identity.mac.lower()
    assert "M50" in found.model
    it = device(driver, world, WHATSMINER)
    running = await it.poll()
    assert running.state is MinerState.HASHING
    assert running.power_source is PowerSource.DEVICE
    assert running.power_w == pytest.approx(float(world.fleet.power_w[miner.row]), rel=0.05)
    assert running.hash_rate_hs == pytest.approx(114e12, rel=0.1)
    await it.apply(point("watts:2800"))
    assert (await it.poll()).power_limit_w == 2800.0
    await it.apply(point("sleep"))
    await world.advance(120.0)
    asleep = await it.poll()
    assert asleep.state is MinerState.CURTAILED
    assert asleep.power_w < 60.0
    await it.apply(point("full"))
    await world.advance(1200.0)
    assert (await it.poll()).state is MinerState.HASHING
    assert miner.fingerprint() == before


@needs_real_ports
async def test_the_control_calls_that_can_wipe_pools_are_refused_before_they_are_made(
    world: World, driver: PyasicDriver
) -> None:
    miner = world.miners[ANTMINER]
    before = miner.fingerprint()
    it = device(driver, world, ANTMINER)
    assert (await it.poll()).state is MinerState.HASHING
    for setting in ("sleep", "full", "watts:3000"):
        with pytest.raises(RefusedError, match="touch power alone"):
            await it.apply(point(setting))
    world.put_fault([ANTMINER], Fault.MALFORMED)
    with suppress(FarmError):
        await it.apply(point("sleep"))
    assert miner.fingerprint() == before
    assert [told.command for told in miner.log] == []


@needs_real_ports
async def test_luxos_sleeps_and_wakes_with_a_session_of_its_own_each_time(world: World, driver: PyasicDriver) -> None:
    it = device(driver, world, LUXOS)
    before = world.miners[LUXOS].fingerprint()
    await it.apply(point("sleep"))
    await world.advance(60.0)
    assert (await it.poll()).hash_rate_hs == 0.0
    world.put_fault([LUXOS], Fault.EXPIRED)
    await it.apply(point("full"))
    with pytest.raises(RefusedError, match="touch power alone"):
        await it.apply(point("watts:2000"))
    assert world.miners[LUXOS].fingerprint() == before


@needs_real_ports
async def test_a_miner_that_refuses_says_so_and_one_that_is_gone_is_silent(world: World, driver: PyasicDriver) -> None:
    it = device(driver, world, WHATSMINER)
    assert (await it.poll()).state is MinerState.HASHING
    world.put_fault([WHATSMINER], Fault.REFUSES)
    with pytest.raises(FarmError):
        await it.apply(point("sleep"))
    world.clear_faults([WHATSMINER])
    world.put_fault([WHATSMINER], Fault.UNPLUGGED)
    await world.advance(1.0)
    with pytest.raises(SilentPeerError):
        await it.poll()


async def test_nobody_at_an_address_is_silence_not_a_stranger(driver: PyasicDriver) -> None:
    with pytest.raises(SilentPeerError):
        await driver.identify(Endpoint(host=NOBODY, ports={}), FACTORY)


async def test_settings_that_pyasic_has_no_word_for_never_reach_it(driver: PyasicDriver) -> None:
    it = driver.device(Endpoint(host=NOBODY, ports={}), FACTORY)
    for setting in ("percent:80", "mode:low", "profile:x", ""):
        with pytest.raises(RefusedError, match="expected sleep, full or watts:N"):
            await it.apply(point(setting))
    assert driver.bridge.started == 0


# ------------------------------------------------------------------ the process


async def test_a_killed_worker_is_replaced_at_the_next_call(driver: PyasicDriver) -> None:
    with suppress(SilentPeerError):
        await driver.identify(Endpoint(host=NOBODY, ports={}), FACTORY)
    first = driver.bridge.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: not is_alive(first))
    with pytest.raises(SilentPeerError, match="nothing answers"):
        await driver.identify(Endpoint(host=NOBODY, ports={}), FACTORY)
    assert driver.bridge.started == 2
    assert driver.bridge.pid != first


async def test_a_worker_that_cannot_start_says_why_and_is_not_tried_by_everyone_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyasic.py").write_text("raise ImportError('pydantic is too old')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bridge = Bridge()
    with pytest.raises(SilentPeerError, match="pydantic is too old"):
        await bridge.call("poll", NOBODY, FACTORY, deadline_s=1.0)
    with pytest.raises(SilentPeerError, match="a moment ago"):
        await bridge.call("poll", NOBODY, FACTORY, deadline_s=1.0)
    assert bridge.started == 1
    await bridge.close()


async def test_a_worker_that_hangs_costs_its_callers_a_deadline_and_is_replaced() -> None:
    bridge = Bridge(grace_s=0.3)
    try:
        with suppress(SilentPeerError):
            await bridge.call("identify", NOBODY, FACTORY, deadline_s=5.0)
        first = bridge.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(SilentPeerError, match="restarted"):
            await bridge.call("identify", NOBODY, FACTORY, deadline_s=0.2)
        await until(lambda: not is_alive(first))
        with pytest.raises(SilentPeerError, match="nothing answers"):
            await bridge.call("identify", NOBODY, FACTORY, deadline_s=5.0)
        assert bridge.started == 2
    finally:
        await bridge.close()


@pytest.mark.parametrize("bounds", [{"rss_bytes_max": 1}, {"open_files_max": 1}])
async def test_a_worker_that_has_grown_is_replaced_after_it_answered(bounds: dict[str, int]) -> None:
    bridge = Bridge(**bounds)
    try:
        for _ in range(2):
            with pytest.raises(SilentPeerError, match="nothing answers"):
                await bridge.call("identify", NOBODY, FACTORY, deadline_s=5.0)
        assert bridge.started == 2
    finally:
        await bridge.close()


async def test_a_call_past_its_deadline_does_not_hold_up_the_others(driver: PyasicDriver, mute: str) -> None:
    with pytest.raises(SilentPeerError, match=r"within 0.5 s"):
        await driver.bridge.call("poll", mute, FACTORY, deadline_s=0.5)
    with pytest.raises(SilentPeerError, match="nothing answers"):
        await driver.identify(Endpoint(host=NOBODY, ports={}), FACTORY)
    assert driver.bridge.started == 1


async def test_cancelled_calls_free_their_places(driver: PyasicDriver, mute: str) -> None:
    with suppress(SilentPeerError):
        await driver.identify(Endpoint(host=NOBODY, ports={}), FACTORY)
    calls = [asyncio.create_task(driver.bridge.call("poll", mute, FACTORY, deadline_s=30.0)) for _ in range(100)]
    await asyncio.sleep(0.2)
    for call in calls:
        call.cancel()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    with pytest.raises(SilentPeerError, match="nothing answers"):
        await driver.identify(Endpoint(host=NOBODY, ports={}), FACTORY)
    assert driver.bridge.started == 1


async def test_closing_leaves_no_process_behind_and_a_device_out_is_enough() -> None:
    driver = PyasicDriver()
    one = driver.device(Endpoint(host=NOBODY, ports={}), FACTORY)
    with suppress(SilentPeerError):
        await one.poll()
    pid = driver.bridge.pid
    assert pid is not None
    await one.close()
    await one.close()
    assert not is_alive(pid)


async def test_the_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import asyncio, contextlib\n"
        "from drivers.pyasic_bridge.bridge import Bridge\n"
        "from farmctl.ports.devices import Credentials\n"
        "async def main():\n"
        "    bridge = Bridge()\n"
        "    with contextlib.suppress(Exception):\n"
        f"        await bridge.call('identify', '{NOBODY}', Credentials(), deadline_s=5.0)\n"
        "    print(bridge.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)}
    )
    assert parent.stdout is not None
    worker = int(await parent.stdout.readline())
    assert is_alive(worker)
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(worker))
