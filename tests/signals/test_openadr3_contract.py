from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from farmctl.core.grid import Ack, EventState
from farmctl.errors import CredentialError, RefusedError
from farmctl.signals.openadr3 import OpenAdr3Source
from farmctl.signals.openadr3.config import Login
from farmctl.signals.openadr3.notifier import discover
from farmctl.signals.openadr3.reports import Measured, Reporter, ack_report, measurement_report
from farmctl.signals.openadr3.rest import Vtn as Rest
from simulators.broker import free_port
from simulators.vtn import Vtn
from tests.signals.openadr_peer import BL, OFFICIAL, VEN, Contract, Site, config, event, until
from tests.signals.words import WallClock

REPORTER = Reporter(client_name="ven-07", resource="site-07", rating_w=25e6)
PRISM_STARTS_WITHIN_S = 60.0
ACK = Ack(
    source="utility",
    event_id="event-1",
    msg_id="m",
    epoch=0,
    seq=1,
    state=EventState.REACHED,
    code=2,
    reason="",
    at_ms=1_764_000_000_000,
    target_w=18.5e6,
    measured_w=float("nan"),
)


@pytest.fixture
def contract() -> Contract:
    return Contract()


@pytest.mark.parametrize("state", list(EventState))
def test_every_ack_is_a_valid_report(contract: Contract, state: EventState) -> None:
    for measured_w in (None, float("nan"), 0.0, -5.0, 18.4e6):
        report = ack_report(replace(ACK, state=state, measured_w=measured_w), REPORTER)
        assert contract.check_request("POST", "/reports", report) == []


@pytest.mark.parametrize("kind", ["USAGE", "DEMAND"])
def test_every_measurement_is_a_valid_report(contract: Contract, kind: str) -> None:
    row = Measured(
        interval=0, start_ms=1_764_000_000_000, end_ms=1_764_000_300_500, mean_w=1e6, covered_ms=9, quality="OK"
    )
    report = measurement_report("event-1", kind, [row, replace(row, interval=1)], REPORTER)
    assert contract.check_request("POST", "/reports", report) == []


def test_the_walker_finds_what_is_wrong(contract: Contract) -> None:
    good = ack_report(ACK, REPORTER)
    assert contract.check_request("POST", "/reports", {**good, "eventID": "with blank"})
    assert contract.check_request("POST", "/reports", {k: v for k, v in good.items() if k != "resources"})
    assert contract.check_request("POST", "/vens", {"objectType": "NOTHING", "venName": "x"})


async def test_what_our_vtn_answers_is_valid(contract: Contract) -> None:
    vtn = Vtn((BL, VEN), broker=("127.0.0.1", 1))
    await vtn.start()
    try:
        programme = vtn.put("programs", {"programName": "surplus"})["id"]
        asked = [{"payloadType": "DEMAND", "readingType": "MEAN", "units": "KW", "repeat": -1}]
        made = vtn.put("events", event(programme, ("DISPATCH_SETPOINT", [18_500]), reportDescriptors=asked))
        async with Site(vtn, register=True, notifications=False) as site:
            await until(lambda: vtn.shelf.objects["reports"] and vtn.shelf.objects["vens"] and site.put)
        ven = next(iter(vtn.shelf.objects["vens"]))
        async with aiohttp.ClientSession() as session:
            form = {"grant_type": "client_credentials", "client_id": VEN.client_id, "client_secret": VEN.secret}
            token = await _checked(contract, session, "POST", vtn, "/auth/token", data=form)
            session.headers["Authorization"] = f"Bearer {token['access_token']}"
            topics = f"/notifiers/mqtt/topics/vens/{ven}/events"
            for path in ("/auth/server", "/programs", "/events", "/reports", "/subscriptions", "/notifiers", topics):
                await _checked(contract, session, "GET", vtn, path)
            await _checked(contract, session, "GET", vtn, f"/events/{made['id']}")
            await _checked(contract, session, "GET", vtn, "/events/nowhere", status=404)
            await _checked(contract, session, "POST", vtn, "/reports", status=400, json={"clientName": "x"})
            await _checked(contract, session, "POST", vtn, "/events", status=403, json=event(programme))
    finally:
        await vtn.stop()


async def _checked(
    contract: Contract,
    session: aiohttp.ClientSession,
    method: str,
    vtn: Vtn,
    path: str,
    *,
    status: int = 200,
    **what: Any,
) -> Any:
    async with session.request(method, vtn.url + path, **what) as response:
        body = await response.json(content_type=None)
        assert response.status == status, body
        assert contract.check_answer(method, path, status, body) == []
        return body


@pytest.fixture
async def prism() -> AsyncIterator[str]:
    """Prism, which mocks the official document and knows nothing of us; its address."""
    if not OFFICIAL.exists():
        pytest.skip("openadr3-3.1.0.yaml is not beside the checkout")
    program = [shutil.which("prism") or "", ""] if shutil.which("prism") else None
    if program is None and shutil.which("npx"):
        program = ["npx", "--yes", "@stoplight/prism-cli@5.16.0"]
    if program is None:
        pytest.skip("prism: neither prism nor npx is installed")
    port = free_port()
    command = [*[part for part in program if part], "mock", "-p", str(port), str(OFFICIAL.resolve())]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
    )
    try:
        if not await _is_up(process):
            pytest.skip("prism: it did not start (is the npm registry reachable?)")
        async with _drained(process):
            yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _is_up(process: asyncio.subprocess.Process) -> bool:
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PRISM_STARTS_WITHIN_S):
            while line := await process.stdout.readline():
                if b"Prism is listening" in line:
                    return True
    return False


@contextlib.asynccontextmanager
async def _drained(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Read on, so that the mock never blocks on its own log."""
    assert process.stdout is not None
    task = asyncio.create_task(process.stdout.read())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.peer
@pytest.mark.timeout(120)
async def test_prism_accepts_what_the_ven_sends_and_the_ven_reads_what_prism_answers(prism: str) -> None:
    login = Login(client_id=VEN.client_id, client_secret=VEN.secret, token_url=f"{prism}/auth/token")
    async with Rest(config(prism, login=login)) as vtn:
        assert [e["objectType"] for e in await vtn.listing("/events", {"active": "true"})]
        assert await vtn.listing("/programs")
        assert await vtn.listing("/vens", {"venName": "ven-07"})
        assert await vtn.post("/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "ven-07"})
        broker = await discover(vtn, "ven-1")
        assert broker is not None
        assert broker.topics == ("{objectType}s/+",)
        for state in EventState:
            assert (await vtn.post("/reports", ack_report(replace(ACK, state=state), REPORTER)))["eventID"]
        row = Measured(interval=0, start_ms=0, end_ms=300_000, mean_w=1e6, covered_ms=300_000, quality="OK")
        for kind in ("USAGE", "DEMAND"):
            assert await vtn.post("/reports", measurement_report("event-1", kind, [row], REPORTER))
        with pytest.raises(RefusedError):
            await vtn.post("/reports", {"clientName": "ven-07", "resources": []})
    nameless = config(prism, login=None)
    async with Rest(nameless) as vtn:
        with pytest.raises(CredentialError):
            await vtn.listing("/events")
    assert OpenAdr3Source(nameless, WallClock()).name == "utility"
