"""List and watch: a snapshot, what changed since, 410 for who is too far behind; and the feed that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import numpy as np
import orjson
import pytest

from farmctl.control.client import ControllerRefusedError
from farmctl.control.feed import SocketFeed
from farmctl.control.filter import FilterError
from farmctl.control.stream.ring import SLOW_BYTES, Revision, Ring
from farmctl.control.strip import Site
from farmctl.ports.feed import FleetImage, LinkState, SiteMovedError
from tests.control.glasshouse import Asker, Glasshouse


async def until(seen: Callable[[], bool]) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(30):
        while not seen():  # noqa: ASYNC110 - the other side is a server, which tells nobody here
            await asyncio.sleep(0.01)


@pytest.fixture
async def session(door: Path, ask: Asker) -> AsyncIterator[aiohttp.ClientSession]:
    del ask
    async with aiohttp.ClientSession("http://farm", connector=aiohttp.UnixConnector(path=str(door))) as opened:
        yield opened


async def test_a_snapshot_holds_every_miner_with_null_for_unknown(
    house: Glasshouse, session: aiohttp.ClientSession
) -> None:
    house.day.farm.silent[7] = True
    house.run(60)
    told = orjson.loads(await (await session.get("/v1/snapshot")).read())
    columns = told["columns"]
    assert told["n"] == len(columns["id"]) == 60
    assert told["rev"] == house.day.decision.cycle
    state = [columns["state"]["dict"][code] for code in columns["state"]["idx"]]
    assert state[7] == "offline"
    assert columns["temperature_c"] == [None] * 60
    assert columns["power_w"][0] == round(float(house.day.table.power_w[0]))
    assert [columns["container"]["dict"][code] for code in columns["container"]["idx"]][59] == "C005"
    assert told["strip"]["miners"]["offline"] == 1
    assert told["circuits"]["load_kw"][0] == pytest.approx(sum(w or 0 for w in columns["power_w"]) / 1e3, rel=0.05)


@pytest.mark.parametrize(
    ("query", "status"),
    [("since=1", 410), ("since=99999", 410), ("epoch=other", 410), ("since=x", 400), ("topics=y", 400)],
)
async def test_a_watch_from_nowhere_is_refused(session: aiohttp.ClientSession, query: str, status: int) -> None:
    await session.get("/v1/snapshot")
    async with session.get(f"/v1/watch?{query}") as response:
        assert response.status == status
        assert orjson.loads(await response.read())["error"]["hint" if status == 410 else "field"]


async def test_only_the_topics_that_were_asked_for_come_with_the_rev_as_id(
    house: Glasshouse, session: aiohttp.ClientSession
) -> None:
    first = orjson.loads(await (await session.get("/v1/snapshot")).read())
    async with session.get(f"/v1/watch?since={first['rev']}&topics=delta", timeout=aiohttp.ClientTimeout(30)) as stream:
        house.day.event("low", setpoint_w=0.3 * house.day.rated_w)
        house.run(10)
        names: list[str] = []
        ids: list[int] = []
        while not ids:
            line = (await stream.content.readline()).decode().strip()
            names += [line[7:]] if line.startswith("event: ") else []
            ids += [int(line[4:])] if line.startswith("id: ") else []
    assert set(names) == {"delta", "heartbeat"}
    assert ids == [house.day.decision.cycle]


def test_a_ring_forgets_the_oldest_and_sends_slow_readers_back() -> None:
    ring = Ring()
    ring.restart(10)
    for rev in range(11, 300):
        ring.push(Revision(rev=rev, topics={"decision": b"{}"}))
    assert ring.after(10) is None
    assert ring.after(300) is None
    waiting = ring.after(297)
    assert waiting is not None
    assert [revision.rev for revision in waiting] == [298, 299]
    for rev in (300, 301):
        ring.push(Revision(rev=rev, topics={"delta": b"x" * (SLOW_BYTES - 100)}))
    assert ring.after(299) is None
    assert ring.after(300) is not None
    ring.restart(400)
    assert ring.after(301) is None


async def test_a_reader_that_stops_reading_is_dropped_and_the_ring_stays_bounded(
    house: Glasshouse, door: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.control.stream.watch.WRITE_S", 0.2)
    server = house.server(door)
    async with server.listening():
        feed = SocketFeed(str(door))
        rev = (await feed.ask("GET", "/v1/snapshot"))["rev"]
        reader, writer = await asyncio.open_unix_connection(str(door), limit=1024)
        writer.write(f"GET /v1/watch?since={rev} HTTP/1.1\r\nHost: farm\r\n\r\n".encode())
        await until(lambda: server.streamer.watchers == 1)
        for _ in range(12):
            rev += 1
            server.streamer.ring.push(Revision(rev=rev, topics={"delta": b"x" * 900_000}))
            await asyncio.sleep(0.05)
        await until(lambda: server.streamer.watchers == 0)
        writer.close()
        del reader


async def test_when_nobody_looks_any_more_the_last_minutes_are_forgotten(
    house: Glasshouse, door: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.control.stream.streamer.WATCHED_S", 0.05)
    monkeypatch.setattr("farmctl.control.stream.streamer.PERIOD_S", 0.02)
    server = house.server(door)
    async with server.listening():
        feed = SocketFeed(str(door))
        await feed.ask("GET", "/v1/snapshot")
        running = asyncio.ensure_future(server.streamer.run())
        await until(lambda: server.streamer.image is None)
        running.cancel()
        assert (await feed.ask("GET", "/v1/snapshot"))["rev"] == server.streamer.ring.last


class Eyes:
    """Who looks at a feed."""

    def __init__(self) -> None:
        self.images: list[FleetImage] = []
        self.links: list[LinkState] = []

    @property
    def image(self) -> FleetImage:
        return self.images[-1]


async def test_the_feed_mirrors_the_site_and_follows_it(house: Glasshouse, ask: Asker, door: Path) -> None:
    eyes, feed = Eyes(), SocketFeed(str(door))
    following = asyncio.create_task(feed.run(eyes.images.append, eyes.links.append))
    try:
        await until(lambda: bool(eyes.images))
        assert eyes.links[0].up
        assert eyes.image.ids == tuple(house.day.table.miner_id.tolist())
        assert not eyes.image.numbers["power_w"].flags.writeable
        house.day.event("low", setpoint_w=0.3 * house.day.rated_w)
        house.run(40)
        job = (await ask.post(verb="maintenance", reason="fans", params={"on": True}))["job"]
        house.run(2)
        await until(lambda: eyes.image.rev == house.day.decision.cycle)
        image = eyes.image
        np.testing.assert_array_equal(image.numbers["power_w"], house.day.table.power_w.round())
        state = image.words["state"].array()
        assert int((state == "curtailed").sum()) == image.strip.miners["curtailed"] > 0
        assert image.strip.event is not None
        assert (image.events[0].id, image.events[0].event_class) == ("low", "TARGET")
        assert image.events[0].ends_in_s == pytest.approx(558, abs=2)
        assert (image.jobs[0].id, image.jobs[0].verb) == (job, "maintenance")
        assert sum(container.miners for container in image.containers) == 60
        assert sum(container.states["curtailed"] for container in image.containers) == image.strip.miners["curtailed"]
        assert image.circuits[0].load_kw == pytest.approx(image.numbers["power_w"].sum() / 1e3, rel=0.05)
        page = await ask.get("/v1/miners", filter="state=curtailed cont=C000..C003 !slot=0 w<100", limit=60)
        rows = np.flatnonzero(feed.matching(image, "state=curtailed cont=C000..C003 !slot=0 w<100"))
        assert [image.ids[row] for row in rows] == [row["id"] for row in page["rows"]]
        with pytest.raises(FilterError, match="did you mean state"):
            feed.matching(image, "stat=fault")
    finally:
        following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


async def test_the_feed_comes_back_by_itself_and_says_how_old_its_picture_is(house: Glasshouse, door: Path) -> None:
    eyes, feed = Eyes(), SocketFeed(str(door))
    following = asyncio.create_task(feed.run(eyes.images.append, eyes.links.append))
    try:
        await until(lambda: bool(eyes.links))
        assert (eyes.links[0].up, bool(eyes.links[0].why)) == (False, True)
        async with house.server(door).listening():
            await until(lambda: bool(eyes.images))
            epoch = eyes.image.epoch
        await until(lambda: not eyes.links[-1].up and eyes.links[-1].attempt > 1)
        assert eyes.links[-1].age_s > 0
        house.run(1)
        async with house.server(door).listening():
            await until(lambda: eyes.image.epoch != epoch)
            assert eyes.links[-1].up
            assert eyes.image.rev == house.day.decision.cycle
    finally:
        following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


async def test_the_feed_asks_and_hears_a_no_in_the_controllers_words(ask: Asker, door: Path) -> None:
    del ask
    feed = SocketFeed(str(door))
    assert (await feed.ask("GET", "/v1/whoami"))["name"] == "kim"
    with pytest.raises(ControllerRefusedError, match="no such job") as refused:
        await feed.ask("GET", "/v1/jobs/nothing")
    assert refused.value.status == 404
    with pytest.raises(ControllerRefusedError, match="reason"):
        await feed.ask("POST", "/v1/commands", {"verb": "stop_all", "reason": ""})


async def test_an_order_that_was_previewed_on_a_site_which_has_moved_takes_another_look(
    house: Glasshouse, door: Path
) -> None:
    house.site = Site(name="demo", confirm_fraction=0.1)
    async with house.server(door).listening():
        feed = SocketFeed(str(door))
        rev = (await feed.ask("GET", "/v1/snapshot"))["rev"]
        to_little = {"target_kw": 1.0, "expires_at": "2099-01-01T00:00:00Z"}
        with pytest.raises(SiteMovedError, match="site's name"):
            await feed.ask("POST", "/v1/commands", {"verb": "override_set", "reason": "fans", "params": to_little})
        maintenance = {"verb": "maintenance", "reason": "fans", "params": {"on": True}, "if_rev": rev}
        await feed.ask("POST", "/v1/commands", maintenance)
        with pytest.raises(SiteMovedError, match="changed the site"):
            await feed.ask("POST", "/v1/commands", {**maintenance, "reason": "filters"})
