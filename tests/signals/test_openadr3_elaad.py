"""A stranger drives the VTN and our VEN obeys: ElaadNL's client in an environment of its own (Python >= 3.12)."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farmctl.core.grid import Ack, EventState
from simulators.vtn import Vtn
from tests.signals.openadr_peer import BL, VEN, Site, until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

PYTHON = Path(__file__).parents[2] / ".venv-elaad" / "bin" / "python"
"""Made by `.ci/peers` where there is a Python for it: the client needs 3.12, farmctl runs on 3.11 too."""
UTILITY = """
import json, sys, time
from datetime import UTC, datetime, timedelta
from openadr3_client._models.common.interval import Interval
from openadr3_client._models.common.interval_period import IntervalPeriod
from openadr3_client.bl.http_factory import BusinessLogicHttpClientFactory
from openadr3_client.oadr310.models.event.event import EventUpdate, NewEvent
from openadr3_client.oadr310.models.event.event_payload import EventPayload, EventPayloadType
from openadr3_client.oadr310.models.program.program import NewProgram
from openadr3_client.version import OADRVersion

def intervals(kw):
    return (Interval(id=0, payloads=(EventPayload(type=EventPayloadType.IMPORT_CAPACITY_LIMIT, values=(kw,)),)),)

def states():
    # 2.4.2 reads the descriptors of a report as those of an event, against the official document: so as plain JSON
    found = bl.reports.session.get(f"{url}/reports", params={"eventID": made.id}).json()
    resources = [s for r in found for s in r["resources"]]
    return [v for s in resources for i in s["intervals"] for p in i["payloads"] for v in p["values"]]

url, client, secret = sys.argv[1:]
make = BusinessLogicHttpClientFactory.create_http_bl_client
bl = make(url, client, secret, allow_insecure_http=True, version=OADRVersion.OADR_310)
program = bl.programs.create_program(NewProgram(program_name="surplus"))
period = IntervalPeriod(start=datetime.now(UTC), duration=timedelta(minutes=5))
new = NewEvent(programID=program.id, event_name="e", priority=1, interval_period=period, intervals=intervals(12000.0))
made = bl.events.create_event(new)
print(json.dumps({"event": made.id}), flush=True)
sys.stdin.readline()
bl.events.update_event_by_id(
    made.id, EventUpdate(programID=program.id, interval_period=period, intervals=intervals(9000.0))
)
print(json.dumps({"changed": True}), flush=True)
sys.stdin.readline()
print(json.dumps({"reported": [str(v) for v in states()]}), flush=True)
bl.events.delete_event_by_id(made.id)
print(json.dumps({"deleted": True}), flush=True)
"""


class Utility:
    """The other process, which says JSON lines and waits to be told to go on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            line = await self._process.stdout.readline()
        assert line, "the client ended early: see its traceback above"
        said: dict[str, Any] = json.loads(line)
        return said

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")


async def test_a_foreign_client_creates_changes_reads_and_withdraws_an_event_at_our_vtn() -> None:
    if not PYTHON.exists():
        pytest.skip("openadr3-client: no .venv-elaad (.ci/peers makes it where a Python >= 3.12 is installed)")
    vtn = Vtn((BL, VEN))
    await vtn.start()
    process = await asyncio.create_subprocess_exec(
        str(PYTHON), "-c", UTILITY, vtn.url, BL.client_id, BL.secret,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "OAUTHLIB_INSECURE_TRANSPORT": "1"},  # the client knows no loopback
    )  # fmt: skip
    utility = Utility(process)
    try:
        event_id = (await utility.says())["event"]
        async with Site(vtn, register=True) as site:
            await until(lambda: site.put)
            (first,) = site.put
            assert (first.event_id, first.intervals[0].limit_w) == (event_id, 12e6)
            for state in (EventState.ACCEPTED, EventState.ACTIVE):
                await site.source.ack(replace(_ack(event_id, first.msg_id), state=state))
            await until(lambda: len(vtn.shelf.objects["reports"]) >= 1)
            utility.go_on()
            assert await utility.says() == {"changed": True}
            await until(lambda: site.put[-1].intervals[0].limit_w == 9e6)
            utility.go_on()
            reported = (await utility.says())["reported"]
            assert any("ACCEPTED" in value or "ACTIVE" in value for value in reported), reported
            assert await utility.says() == {"deleted": True}
            await until(lambda: site.deleted == [event_id])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await vtn.stop()


def _ack(event_id: str, msg_id: str) -> Ack:
    return Ack(
        source="utility", event_id=event_id, msg_id=msg_id, epoch=0, seq=1, state=EventState.ACCEPTED, code=1,
        reason="", at_ms=1_764_000_000_000,
    )  # fmt: skip
