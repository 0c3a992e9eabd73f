from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulators.vtn import Client, Vtn
from simulators.vtn.access import Role

BL = Client(client_id="utility", secret="of-utility".upper(), role=Role.BL)
VEN = Client(client_id="site", secret="of-site".upper())
OTHER = Client(client_id="other-site", secret="of-other".upper())


class Caller:
    """One client's view of the VTN."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._session.request(method, self._url + path, json=body, headers=self._headers) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def vtn() -> AsyncIterator[Vtn]:
    made = Vtn((BL, VEN, OTHER))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def sign_in(session: aiohttp.ClientSession, vtn: Vtn, client: Client) -> Caller:
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.secret}
    async with session.post(f"{vtn.url}/auth/token", data=form) as response:
        assert response.status == 200
        return Caller(session, vtn.url, (await response.json())["access_token"])


async def test_a_token_needs_the_right_secret_and_every_call_a_token(vtn: Vtn, session: aiohttp.ClientSession) -> None:
    form = {"grant_type": "client_credentials", "client_id": "site", "client_secret": "guess"}
    async with session.post(f"{vtn.url}/auth/token", data=form) as response:
        assert response.status == 401
        assert (await response.json())["error"] == "invalid_client"
    async with session.post(f"{vtn.url}/auth/token", data={**form, "grant_type": "password"}) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "unsupported_grant_type"
    async with session.get(f"{vtn.url}/events") as response:
        assert response.status == 401
    site = await sign_in(session, vtn, VEN)
    assert (await site("GET", "/events"))[0] == 200
    vtn.tokens.forget()
    assert (await site("GET", "/events"))[0] == 401


async def test_objects_are_created_read_replaced_and_deleted(vtn: Vtn, session: aiohttp.ClientSession) -> None:
    utility = await sign_in(session, vtn, BL)
    status, programme = await utility("POST", "/programs", {"programName": "surplus"})
    assert (status, programme["objectType"]) == (201, "PROGRAM")
    assert (await utility("POST", "/programs", {"programName": "surplus"}))[0] == 409
    body = {"programID": programme["id"], "eventName": "first"}
    _, event = await utility("POST", "/events", body)
    status, changed = await utility("PUT", f"/events/{event['id']}", {**body, "eventName": "second"})
    assert (status, changed["id"], changed["eventName"]) == (200, event["id"], "second")
    assert changed["createdDateTime"] == event["createdDateTime"]
    assert (await utility("GET", f"/events/{event['id']}"))[1] == changed
    assert (await utility("DELETE", f"/events/{event['id']}"))[0] == 200
    assert (await utility("GET", f"/events/{event['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/events", {"eventName": "nobody's"}, "event.programID: missing"),
        ("/events", {"programID": "x", "priority": -1}, "event.priority: expected at least 0"),
        ("/events", {"programID": "x", "intervals": [{"payloads": []}]}, "event.intervals.0.id: missing"),
        ("/events", {"programID": "x", "intervalPeriod": {"duration": "1h"}}, "ISO 8601"),
        ("/events", {"programID": "absent"}, "programID: no such object"),
        ("/programs", {"programName": ""}, "1 to 128 characters"),
        ("/programs", [], "program: expected an object"),
    ],
)
async def test_a_malformed_object_is_refused_with_the_member_at_fault(
    vtn: Vtn, session: aiohttp.ClientSession, path: str, body: Any, told: str
) -> None:
    utility = await sign_in(session, vtn, BL)
    status, problem = await utility("POST", path, body)
    assert status == 400
    assert told in problem["detail"]


async def test_a_ven_reads_what_is_for_it_and_writes_only_its_own(vtn: Vtn, session: aiohttp.ClientSession) -> None:
    site, other = await sign_in(session, vtn, VEN), await sign_in(session, vtn, OTHER)
    _, ven = await site("POST", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "ven-07"})
    own = vtn.put("programs", {"programName": "surplus"})["id"]
    everyone = vtn.put("events", {"programID": own})["id"]
    targeted = vtn.put("events", {"programID": own, "targets": ["ven-07"]})["id"]
    assert [e["id"] for e in (await site("GET", "/events"))[1]] == [everyone, targeted]
    assert [e["id"] for e in (await other("GET", "/events"))[1]] == [everyone]
    assert (await other("GET", f"/events/{targeted}"))[0] == 404
    assert (await other("GET", f"/vens/{ven['id']}"))[0] == 404
    assert (await site("POST", "/events", {"programID": own}))[0] == 403
    assert (await site("DELETE", f"/events/{everyone}"))[0] == 403
    report = {"eventID": everyone, "clientName": "ven-07", "resources": []}
    assert (await site("POST", "/reports", report))[0] == 201
    assert (await other("GET", "/reports"))[1] == []


async def test_lists_come_in_pages_and_may_be_filtered(vtn: Vtn, session: aiohttp.ClientSession) -> None:
    site = await sign_in(session, vtn, VEN)
    one, two = (vtn.put("programs", {"programName": name})["id"] for name in ("one", "two"))
    for number in range(60):
        vtn.put("events", {"programID": one if number % 2 else two, "eventName": str(number)})
    past = {"start": "2026-01-01T00:00:00Z", "duration": "PT5M"}
    vtn.put("events", {"programID": one, "intervalPeriod": past, "intervals": [{"id": 0, "payloads": []}]})
    assert len((await site("GET", "/events"))[1]) == 50
    assert len((await site("GET", "/events?skip=50&limit=50"))[1]) == 11
    assert len((await site("GET", "/events?skip=50&active=true"))[1]) == 10
    assert len((await site("GET", f"/events?programID={two}"))[1]) == 30
    assert (await site("GET", "/events?limit=51"))[0] == 400


async def test_a_subscriber_is_called_when_something_happens(vtn: Vtn, session: aiohttp.ClientSession) -> None:
    heard: asyncio.Queue[tuple[str | None, Any]] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        heard.put_nowait((request.headers.get("Authorization"), await request.json()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hear", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hear"
        part = {"objects": ["EVENT"], "operations": ["CREATE", "DELETE"], "callbackUrl": url, "bearerToken": "of-mine"}
        site = await sign_in(session, vtn, VEN)
        body = {"clientName": "ven-07", "objectOperations": [part]}
        assert (await site("POST", "/subscriptions", body))[0] == 201
        own = vtn.put("programs", {"programName": "surplus"})["id"]
        event = vtn.put("events", {"programID": own})
        vtn.change("events", event["id"], {"programID": own, "eventName": "x"})
        vtn.remove("events", event["id"])
        async with asyncio.timeout(10):
            first, second = await heard.get(), await heard.get()
        assert first[0] == "Bearer of-mine"
        assert [n["operation"] for _, n in (first, second)] == ["CREATE", "DELETE"]
        assert first[1]["object"] == event
    finally:
        await runner.cleanup()


async def test_a_vtn_that_is_down_says_so_to_everything(vtn: Vtn, session: aiohttp.ClientSession) -> None:
    site = await sign_in(session, vtn, VEN)
    vtn.down = True
    assert (await site("GET", "/events"))[0] == 503
    assert vtn.calls[-1] == ("GET", "/events", 503)


async def test_notifier_topics_are_told_only_where_there_is_a_broker(session: aiohttp.ClientSession) -> None:
    vtn = Vtn((BL, VEN, OTHER), broker=("127.0.0.1", 1))
    await vtn.start()
    try:
        site, other = await sign_in(session, vtn, VEN), await sign_in(session, vtn, OTHER)
        _, ven = await site("POST", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "ven-07"})
        path = f"/notifiers/mqtt/topics/vens/{ven['id']}/events"
        status, answer = await site("GET", path)
        assert status == 200
        assert answer["topics"]["ALL"] == f"vtn/vens/{ven['id']}/events/+"
        assert (await other("GET", path))[0] == 403
        assert (await site("GET", "/notifiers/mqtt/topics/events"))[0] == 403
        assert (await site("GET", "/notifiers"))[1]["MQTT"]["URIS"] == ["mqtt://127.0.0.1:1"]
    finally:
        await vtn.stop()
