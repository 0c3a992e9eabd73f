"""A driver from somebody else's distribution: made in a temporary folder, found by its entry point, polled and told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parents[2]
ENTRY = "[farmctl.drivers]\nacme = acme_miners.driver:AcmeDriver\n"
METADATA = "Metadata-Version: 2.1\nName: acme-miners\nVersion: 1.0\n"
REPLIES = {
    "version": {"VERSION": [{"Blueprint": "7.1", "MAC": "02:AC:3E:00:00:01", "Model": "Acme One"}]},
    "summary": {"SUMMARY": [{"Power": 1500, "GHS 5s": 80000.0, "Asleep": False, "Temperature": 61, "Elapsed": 90}]},
    "sleep": {"STATUS": [{"STATUS": "S", "Code": 1, "Msg": "ok"}]},
}
PROGRAM = """
import asyncio, json, sys
from farmctl.core.model import OperatingPoint, PointKind
from farmctl.ports.devices import Credentials, Endpoint
from farmctl.wiring.drivers import driver_places, load_drivers

async def main(port):
    driver = load_drivers(["acme"])["acme"]
    endpoint = Endpoint(host="127.0.0.1", ports={"api": port})
    who = await driver.identify(endpoint, Credentials())
    device = driver.device(endpoint, Credentials())
    reading = await device.poll()
    await device.apply(OperatingPoint(kind=PointKind.SLEEP, power_w=0.0, hash_rate_hs=0.0, setting="sleep"))
    await device.close()
    said = {"id": who.miner_id, "model": who.model, "state": reading.state.name, "power_w": reading.power_w}
    print(json.dumps({**said, "places": list(driver_places())}))

asyncio.run(main(int(sys.argv[1])))
"""


def distribution(folder: Path) -> None:
    """As `pip install` leaves one: the package, and what its wheel says of itself."""
    package, said = folder / "acme_miners", folder / "acme_miners-1.0.dist-info"
    package.mkdir()
    said.mkdir()
    (package / "__init__.py").touch()
    blueprint = (ROOT / "drivers" / "_blueprint" / "driver.py").read_text()
    (package / "driver.py").write_text(
        blueprint.replace("BlueprintDriver", "AcmeDriver").replace('"blueprint"', '"acme"')
    )
    (said / "METADATA").write_text(METADATA)
    (said / "entry_points.txt").write_text(ENTRY)


async def test_a_driver_of_another_distribution_is_found_and_speaks_to_its_machine(tmp_path: Path) -> None:
    distribution(tmp_path)
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = orjson.loads(await reader.read(4096))["command"]
        asked.append(command)
        writer.write(orjson.dumps(REPLIES[command]) + b"\0")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(port),
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(program.communicate(), 60)
    server.close()
    await server.wait_closed()
    assert program.returncode == 0, errors.decode()
    said = json.loads(out)
    assert said["id"] == "02:ac:3e:00:00:01"
    assert (said["model"], said["state"], said["power_w"]) == ("Acme One", "HASHING", 1500.0)
    assert "acme" in said["places"]
    assert said["places"][-1] == "pyasic", "the dear one is asked last"
    assert asked == ["version", "summary", "sleep"]
