"""Over TCP: TLS, a token for every person, and a stolen one that is revoked under the thief's hands."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farmctl.control.client import ControlClient, ControllerRefusedError, ControllerSilentError, Where
from farmctl.control.feed import SocketFeed
from farmctl.control.identity import Caller, Role
from farmctl.control.tokens import TokenFileError, read
from farmctl.ports.feed import FleetImage, LinkState
from tests.control.glasshouse import Asker, Glasshouse
from tests.control.remote import Listener, listener

SOME = "x"


@pytest.fixture
async def there(house: Glasshouse, door: Path, tmp_path: Path) -> AsyncIterator[Listener]:
    made = listener(tmp_path, house.clock.now_ms())
    made.token("first", "viewer")
    async with house.server(door, made.remote).listening():
        yield made


async def refusal(asker: Asker, path: str = "/v1/state") -> int:
    with pytest.raises(ControllerRefusedError) as refused:
        await asker.get(path)
    return refused.value.status


async def test_a_person_with_a_token_comes_in_under_name_and_role(house: Glasshouse, there: Listener) -> None:
    engineer = Asker(there.client(there.token("ada", "engineer")))
    told = await engineer.get("/v1/whoami")
    assert (told["name"], told["role"]) == ("ada", "engineer")
    assert told["uid"] < -1
    assert (await engineer.get("/v1/state"))["site"] == "demo"
    await engineer.post(verb="stop_all", reason="smoke")
    rows = (await engineer.get("/v1/audit"))["rows"]
    assert [(row["verb"], row["owner"], row["role"], row["reason"]) for row in rows] == [
        ("stop_all", "ada", "engineer", "smoke")
    ]
    assert house.desk.stop_all


async def test_a_viewers_token_orders_nothing_and_says_which_would(there: Listener) -> None:
    viewer = Asker(there.client(there.token("vic", "viewer")))
    assert (await viewer.get("/v1/state"))["site"] == "demo"
    with pytest.raises(ControllerRefusedError, match="role operator is needed: farmctl token make") as refused:
        await viewer.post(verb="stop_all", reason="mine")
    assert refused.value.status == 403


@pytest.mark.parametrize("token", ["", "farmctl_00000000_guess", "not a token at all"])
async def test_without_a_live_token_nothing_is_seen(there: Listener, token: str) -> None:
    for path in ("/v1/state", "/v1/snapshot", "/v1/health", "/v1/openapi.json", "/v1/config"):
        assert await refusal(Asker(there.client(token)), path) == 401


async def test_a_stolen_token_is_revoked_also_for_the_stream_that_it_opened(house: Glasshouse, there: Listener) -> None:
    stolen = there.token("kim", "operator")
    thief = Asker(there.client(stolen))
    assert (await thief.get("/v1/whoami"))["role"] == "operator"
    links: list[LinkState] = []
    images: list[FleetImage] = []
    where = Where(url=there.url, ca_file=str(there.ca_file), token=stolen)
    following = asyncio.create_task(SocketFeed(where).run(images.append, links.append))
    async with asyncio.timeout(20):
        while not images:  # noqa: ASYNC110 - the feed has no event to wait for
            await asyncio.sleep(0.05)
        there.revoke("kim")
        assert await refusal(thief) == 401
        while links[-1].up:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
    following.cancel()
    with pytest.raises(ControllerRefusedError):
        await thief.post(verb="stop_all", reason="mine")
    assert not house.desk.stop_all


async def test_an_expired_token_is_none(house: Glasshouse, there: Listener) -> None:
    asker = Asker(there.client(there.token("guest", "viewer", life_ms=60_000)))
    assert (await asker.get("/v1/state"))["site"] == "demo"
    house.clock.ahead_ms = 61_000
    assert await refusal(asker) == 401


async def test_two_tokens_of_one_person_hold_one_lease(there: Listener) -> None:
    first, second = (Asker(there.client(there.token("ada", "operator"))) for _ in range(2))
    uids = {(await asker.get("/v1/whoami"))["uid"] for asker in (first, second)}
    assert len(uids) == 1


async def test_tokens_are_kept_as_hashes_in_a_closed_file(there: Listener) -> None:
    text = there.token("ada", "operator")
    assert text not in there.file.read_text()
    assert text.split("_", 2)[2] not in there.file.read_text()
    assert there.file.stat().st_mode & 0o777 == 0o600
    assert {token.name for token in read(there.file)} == {"first", "ada"}
    there.file.write_text(json.dumps([{"token_id": "x"}]))
    with pytest.raises(TokenFileError, match="as farmctl token writes them"):
        read(there.file)


async def test_a_client_that_does_not_trust_the_certificate_sends_no_token(there: Listener) -> None:
    untrusting = ControllerSilentError
    with pytest.raises(untrusting, match="certificate"):
        await Asker(ControlClient(Where(url=there.url, token=SOME))).get("/v1/state")
    with pytest.raises(untrusting, match="never travels in the clear"):
        await Asker(ControlClient(Where(url="http://127.0.0.1:1", token=SOME))).get("/v1/state")


async def test_the_listener_stays_shut_while_nobody_has_a_token(house: Glasshouse, door: Path, tmp_path: Path) -> None:
    made = listener(tmp_path, house.clock.now_ms())
    async with house.server(door, made.remote).listening():
        with pytest.raises(ControllerSilentError, match="refused"):
            await Asker(made.client("x")).get("/v1/state")


async def test_plain_http_gets_no_answer_there(there: Listener) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", there.remote.port)
    writer.write(b"GET /v1/state HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        try:
            answer = await reader.read()
        except (ConnectionResetError, ssl.SSLError):
            answer = b""
    writer.close()
    assert b"farmctl/v1" not in answer


async def test_an_unknown_user_of_this_machine_sees_nothing(door: Path, house: Glasshouse) -> None:
    house.identify = lambda uid: Caller(uid=uid, name=f"uid {uid}", role=Role.NOBODY)
    async with house.server(door).listening():
        asker = Asker(ControlClient(str(door)))
        for path in ("/v1/state", "/v1/snapshot", "/v1/watch", "/v1/whoami", "/v1/alarms", "/v1/audit"):
            assert await refusal(asker, path) == 403
