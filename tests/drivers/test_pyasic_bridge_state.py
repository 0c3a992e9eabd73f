from __future__ import annotations

import os
import subprocess
import sys
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from drivers.antminer.driver import AntminerDriver
from drivers.pyasic_bridge.driver import PyasicDriver, identity, reading, state
from drivers.pyasic_bridge.wire import (
    Answer,
    Call,
    Cancel,
    Failing,
    Snapshot,
    decode_answer,
    decode_input,
    encode,
)
from farmctl.core.model import MinerState, PowerSource
from farmctl.errors import MalformedReplyError
from farmctl.ports.devices import Credentials, Driver, Endpoint

WHATSMINER = ("M50VH50", "BTMinerV2", "StockFirmware", "object")
AVALON = ("AvalonQ", "AvalonMiner", "CGMiner", "object")


def snapshot(**figures: Any) -> Snapshot:
    return Snapshot(**({"classes": WHATSMINER} | figures))


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"hash_rate_hs": 114e12, "power_w": 3306.0}, MinerState.HASHING),
        ({"hash_rate_hs": 114e12}, MinerState.HASHING),
        ({"hash_rate_hs": 0.0, "power_w": 28.0}, MinerState.CURTAILED),
        ({"hash_rate_hs": 0.0, "power_w": 0.0}, MinerState.CURTAILED),
        ({"hash_rate_hs": 0.0, "power_w": 3000.0, "uptime_s": 60.0}, MinerState.BOOTING),
        ({"hash_rate_hs": 0.0, "power_w": 3000.0, "uptime_s": 9000.0}, MinerState.FAULT),
        ({"hash_rate_hs": 0.0}, MinerState.UNKNOWN),
        ({"power_w": 28.0}, MinerState.UNKNOWN),
        ({"hash_rate_hs": 44.5e12, "power_w": 146.0, "classes": AVALON}, MinerState.UNKNOWN),
    ],
)
def test_the_state_comes_from_hash_rate_and_watts_together(figures: dict[str, Any], expected: MinerState) -> None:
    assert state(snapshot(**figures)) is expected


def test_both_drivers_are_drivers() -> None:
    drivers: list[Driver] = [PyasicDriver(), AntminerDriver()]
    assert [driver.name for driver in drivers] == ["pyasic", "antminer"]


def test_what_pyasic_does_not_know_stays_unknown() -> None:
    empty = reading(snapshot())
    assert all(isnan(figure) for figure in (empty.power_w, empty.hash_rate_hs, empty.temperature_c, empty.uptime_s))
    assert empty.power_source is PowerSource.NAMEPLATE
    assert empty.setting is None


def test_the_hotter_of_swapped_temperatures_is_the_chip() -> None:
    # VNish S21 Pro recording: pcb 50, chip 65; pyasic says temp 65, chip_temp 50.
    vnish = reading(snapshot(chips_c=(65.0, 64.0), boards_c=(50.0, 49.0)))
    assert (vnish.temperature_c, vnish.board_temperatures_c) == (65.0, (50.0, 49.0))


def test_a_miner_without_mac_is_its_serial_and_without_both_is_nobody() -> None:
    assert identity(snapshot(mac="02:55:97:22:3A:72", serial="S"), "h").miner_id == "02:55:97:22:3a:72"
    assert identity(snapshot(serial="THQING0BDJAB024NF"), "h").miner_id == "THQING0BDJAB024NF"
    with pytest.raises(MalformedReplyError, match="neither MAC nor serial"):
        identity(snapshot(model="AntMiner S19k Pro"), "h")


async def test_an_endpoint_on_other_ports_is_none_of_pyasics_and_starts_no_worker() -> None:
    driver = PyasicDriver()
    assert await driver.identify(Endpoint(host="127.0.0.1", ports={"api": 14028}), Credentials()) is None
    assert driver.bridge.started == 0


def test_messages_cross_the_pipe_unchanged() -> None:
    call = Call(id=7, operation="apply", host="10.0.0.1", user="u", password="p", argument="watts:3000", deadline_s=1.5)  # noqa: S106  made up
    assert decode_input(encode(call)) == call
    assert decode_input(encode(Cancel(cancel=7))) == Cancel(cancel=7)
    answer = Answer(
        id=7,
        snapshot=snapshot(hash_rate_hs=1.5, pools=(("stratum+tcp://poolbinance:1", "inf", None),), errors=("nan",)),
        failing=Failing.SILENT,
        rss_bytes=1,
    )
    assert decode_answer(encode(answer)) == answer


@pytest.mark.parametrize("line", [b"", b"hello from pyasic", b"{}", b"[1]", b'{"id": "x"}'])
def test_a_line_that_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_answer(line)


@pytest.mark.parametrize("module", ["driver", "bridge", "worker", "miners"])
def test_importing_the_bridge_leaves_pyasic_out(module: str) -> None:
    program = f"import sys, drivers.pyasic_bridge.{module}; sys.exit('pyasic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=50).returncode == 0


NOISY = """
import os
print("noise on import")
os.write(1, b"noise past python")
async def get_miner(host):
    print("noise of a call", flush=True)
    os.system("echo noise of a child")
    raise KeyError("STATUS")
"""


def test_what_pyasic_prints_never_reaches_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "pyasic.py").write_text(NOISY)
    root = Path(__file__).parents[2]
    calls = [Call(id=n, operation="poll", host="127.0.0.1", deadline_s=5.0) for n in (1, 2)]
    with subprocess.Popen(
        [sys.executable, "-m", "drivers.pyasic_bridge.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])},
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(b"".join(encode(call) for call in calls))
        worker.stdin.flush()
        answers = [decode_answer(worker.stdout.readline()) for _ in range(3)]
        worker.stdin.close()
        assert worker.wait(20) == 0, "the end of input is the end of the worker"
        assert worker.stdout.read() == b""
        assert worker.stderr is not None
        assert b"noise of a child" in worker.stderr.read()
    assert [answer.id for answer in answers] == [0, 1, 2]
    assert {answer.failing for answer in answers[1:]} == {Failing.MALFORMED}
    assert "KeyError" in answers[1].said
