from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers._wire.digest import BODY_CAP_BYTES, DigestClient, NotServedError, SharedWeb, WrongRealmError
from farmctl.errors import CredentialError, MalformedReplyError, SilentPeerError
from tests.drivers.fixtures.antminer.stock import PASSWORD, REALM, USER, StockAntminer, serving

PAGE = "/cgi-bin/get_miner_conf.cgi"


def miner() -> StockAntminer:
    return StockAntminer({"http": {f"GET {PAGE}": {"bitmain-work-mode": "0", "pools": []}}})


@asynccontextmanager
async def asking(stock: StockAntminer, password: str = PASSWORD) -> AsyncIterator[DigestClient]:
    async with serving(stock) as ports:
        client = DigestClient(SharedWeb(), host="127.0.0.1", port=ports["http"], user=USER, password=password)
        try:
            yield client
        finally:
            await client.close()


async def test_ten_requests_cost_one_challenge_and_one_connection() -> None:
    stock = miner()
    async with asking(stock) as client:
        for _ in range(10):
            assert b"bitmain-work-mode" in await client.get(PAGE)
    assert stock.challenges == 1
    assert len(stock.connections) == 1
    assert list(stock.nonces.values()) == [10]


async def test_a_forgotten_nonce_is_replaced_within_the_same_call() -> None:
    stock = miner()
    async with asking(stock) as client:
        await client.get(PAGE)
        stock.forget_nonces()
        await client.get(PAGE)
        await client.post("/cgi-bin/set_miner_conf.cgi", {"miner-mode": 1})
    assert stock.challenges == 2
    assert stock.posted == [("/cgi-bin/set_miner_conf.cgi", {"miner-mode": 1})]


async def test_a_post_that_meets_a_dead_nonce_is_carried_out_once() -> None:
    stock = miner()
    async with asking(stock) as client:
        await client.get(PAGE)
        stock.forget_nonces()
        await client.post("/cgi-bin/set_miner_conf.cgi", {"miner-mode": 1})
    assert len(stock.posted) == 1


async def test_a_wrong_password_asks_for_a_person_and_names_the_realm() -> None:
    stock = miner()
    async with asking(stock, password="wrong") as client:  # noqa: S106  the point of the test
        with pytest.raises(WrongRealmError) as refused:
            await client.get(PAGE)
    assert isinstance(refused.value, CredentialError)
    assert refused.value.realm == REALM
    assert stock.asked == []
    assert stock.challenges == 2, "one try, one retry"


async def test_concurrent_callers_never_send_a_nonce_count_twice_or_swapped() -> None:
    stock = miner()
    async with asking(stock) as client, asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(client.get(PAGE))
    assert stock.challenges == 1
    assert len(stock.asked) == 20


async def test_an_answer_later_than_its_deadline_is_a_silent_peer() -> None:
    stock = miner()
    stock.write_s = 5.0
    async with asking(stock) as client:
        with pytest.raises(SilentPeerError, match="no answer within"):
            await client.post("/cgi-bin/set_miner_conf.cgi", {"miner-mode": 1}, connect_s=0.1, answer_s=0.2)


async def test_nobody_at_the_door_is_a_silent_peer() -> None:
    async with serving(miner()) as ports:
        port = ports["http"]
    client = DigestClient(SharedWeb(), host="127.0.0.1", port=port, user=USER, password=PASSWORD)
    with pytest.raises(SilentPeerError, match="cannot connect"):
        await client.get(PAGE)
    await client.close()


async def test_a_server_that_speaks_something_else_is_malformed_or_silent() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"STATUS":"not http"}\r\n\r\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = DigestClient(SharedWeb(), host="127.0.0.1", port=port, user=USER, password=PASSWORD)
    with pytest.raises(MalformedReplyError):
        await client.get(PAGE)
    await client.close()
    server.close()


async def test_a_missing_page_a_sick_page_and_a_huge_page_are_told_apart() -> None:
    stock = miner()
    stock.statuses["/sick"] = 500
    stock.bodies["/huge"] = b"x" * (BODY_CAP_BYTES + 1)
    async with asking(stock) as client:
        with pytest.raises(NotServedError):
            await client.get("/missing")
        with pytest.raises(MalformedReplyError, match="HTTP 500"):
            await client.get("/sick")
        with pytest.raises(MalformedReplyError, match="above"):
            await client.get("/huge")
        assert b"bitmain-work-mode" in await client.get(PAGE)


async def test_a_cancelled_request_stays_cancelled_and_leaves_the_client_usable() -> None:
    stock = miner()
    stock.write_s = 5.0
    async with asking(stock) as client:
        await client.get(PAGE)
        task = asyncio.create_task(client.post("/cgi-bin/set_miner_conf.cgi", {"miner-mode": 1}))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert b"bitmain-work-mode" in await client.get(PAGE)


async def test_the_shared_session_closes_with_its_last_device_and_opens_again() -> None:
    stock = miner()
    shared = SharedWeb()
    async with serving(stock) as ports:
        one, two = (
            DigestClient(shared, host="127.0.0.1", port=ports["http"], user=USER, password=PASSWORD) for _ in range(2)
        )
        await one.get(PAGE)
        await two.get(PAGE)
        session = shared.session(one)
        await one.close()
        open_after_the_first = not session.closed
        await two.close()
        await two.close()
        assert (open_after_the_first, session.closed) == (True, True)
        assert b"bitmain-work-mode" in await one.get(PAGE)
        await one.close()


def test_a_user_that_a_digest_cannot_say_is_refused_at_once() -> None:
    with pytest.raises(CredentialError, match="without a colon"):
        DigestClient(SharedWeb(), host="127.0.0.1", port=80, user="ro:ot", password=PASSWORD)
