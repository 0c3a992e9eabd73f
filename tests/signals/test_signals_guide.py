"""The guide for grid operators: its commands are run as they stand there."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from farmctl.core.grid import EventPut
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals.keyfiles import keys_in
from farmctl.signals.mqtt import Form, MqttSource
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, config, hearing, listening, until
from tests.signals.words import Ledger

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

GUIDE = Path(__file__).parents[2] / "docs" / "signals.md"
KID = "grid-op-2026-1"


def block(name: str) -> str:
    """The code block that the guide marks as tested under that name."""
    found = re.search(rf"<!-- tested: {re.escape(name)} -->\n```\w+\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None, name
    return found[1]


async def shell(text: str, folder: Path, port: int = 0) -> str:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto_pub is not installed")
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": places, "BROKER_HOST": "127.0.0.1", "BROKER_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", text, cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    return out.decode()


async def heard(source: MqttSource, mosquitto: Mosquitto, text: str, folder: Path) -> tuple[Ledger, list[str]]:
    """What the site took from the shell, and the states of its acks."""
    ledger = Ledger()
    async with hearing(mosquitto.port, "site/v1/+/ack") as said, listening(source, ledger):
        await until(lambda: ledger.status is not None and ledger.status.connected)
        await shell(text, folder, mosquitto.port)
        await until(lambda: bool(said))
    assert [refusal.detail for refusal in ledger.refusals] == []
    return ledger, [body["state"] for _, body, _ in said]


async def test_the_one_line_of_the_guide_limits_the_demo(mosquitto: Mosquitto, tmp_path: Path) -> None:
    await mosquitto.start()
    demo = config(mosquitto.port, site="demo", forms=frozenset({Form.OPENADR, Form.SIMPLE}))
    ledger, states = await heard(MqttSource(demo, CLOCK, pace=QUICK), mosquitto, block("unsigned"), tmp_path)
    (message,) = [receipt.message for receipt in ledger.receipts]
    assert isinstance(message, EventPut)
    assert message.event.intervals[0].limit_w == 100e3
    assert states == ["RECEIVED"]


async def test_a_site_obeys_what_the_guide_signs(mosquitto: Mosquitto, tmp_path: Path) -> None:
    await mosquitto.start()
    assert f'kid = "{KID}"' in await shell(block("key"), tmp_path)
    (key,) = keys_in(tmp_path / "secrets")
    (tmp_path / "sign.py").write_text(block("sign.py"))
    signed = config(
        mosquitto.port,
        auth="ed25519",
        keys=Keyring(keys={KID: IssuerKey(public=base64.b64decode(key.public_key))}),
        issuer=IssuerRule(name="grid-op", default_kid=KID),
        forms=frozenset({Form.SIMPLE}),
    )
    ledger, states = await heard(MqttSource(signed, CLOCK, pace=QUICK), mosquitto, block("signed"), tmp_path)
    (message,) = [receipt.message for receipt in ledger.receipts]
    assert isinstance(message, EventPut)
    assert (message.event.intervals[0].setpoint_w, message.event.intervals[0].limit_w) == (18.5e6, 20e6)
    assert states == ["RECEIVED"]


def test_every_verb_and_option_that_the_guide_names_is_there() -> None:
    from click.testing import CliRunner  # noqa: PLC0415 - one test of five needs it

    from farmctl.cli import cli  # noqa: PLC0415 - see above

    for verb, *words in re.findall(r"^farmctl (\w+) (\w+)?", GUIDE.read_text(), re.MULTILINE):
        named = [verb, *(word for word in words if word)]
        result = CliRunner().invoke(cli, [*named, "--help"])
        assert result.exit_code == 0, named
        for option in re.findall(rf"^farmctl {' '.join(named)} (.*)$", GUIDE.read_text(), re.MULTILINE):
            for flag in re.findall(r"--[a-z-]+", option.partition("#")[0]):
                assert flag in result.output, (named, flag)
