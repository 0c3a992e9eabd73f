"""Two parts of one site on one PostgreSQL: they share the miners, one decides, either goes on without the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from structlog.testing import capture_logs

from benchmarks._postgresql import Cluster
from farmctl.config.load import load
from farmctl.control.client import ControlClient
from farmctl.errors import FarmError
from farmctl.ports.shards import Role
from farmctl.ports.store import RecordKind
from farmctl.store.connection import LostSessionError
from farmctl.wiring import crew
from farmctl.wiring.crew import run_crew
from simulators.broker import find_mosquitto, free_port
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(400),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
LONG_S = 120.0
SHARDS = ("C001", "C002")
SHARE = 0.04
"""Of a set-point: the smallest miner asleep or awake is 2 % of it."""


def config_of(there: Site, name: str) -> Path:
    """The site's configuration for one more process: a folder, a socket and a port of its own."""
    folder = there.folder / name
    folder.mkdir()
    text = there.config_path.read_text(encoding="utf-8")
    text = text.replace(f'dir = "{there.folder}"', f'dir = "{folder}"')
    text = text.replace(f'socket = "{there.folder}/farmctl.sock"', f'socket = "{folder}/farmctl.sock"')
    text = text.replace(
        f"127.0.0.1:{there.loaded.config.metrics.listen.rpartition(':')[2]}", f"127.0.0.1:{free_port()}"
    )
    path = folder / "farm.toml"
    path.write_text(f'{text}\n[workers]\nname = "{name}"\nlease_s = 10.0\n', encoding="utf-8")
    return path


class Part:
    """One process's part of the site, in this one."""

    def __init__(self, there: Site, name: str) -> None:
        self.name = name
        self._stop = asyncio.Event()
        self._loaded = load(config_of(there, name), environment={})
        self._running = asyncio.create_task(run_crew(self._loaded, Role.ALL, self._stop))

    async def crew(self) -> dict[str, Any]:
        """Who is there, asked at this part's door; empty while nobody can tell."""
        client = ControlClient(str(self._loaded.config.api.socket))
        try:
            return dict((await asyncio.to_thread(client.get, "/v1/state"))["crew"])
        except FarmError:
            return {}

    async def says(self, pattern: str, path: str = "/metrics") -> None:
        """Wait until its metrics endpoint does."""
        url = f"http://{self._loaded.config.metrics.listen}{path}"
        async with asyncio.timeout(LONG_S):
            while not re.search(pattern, await asyncio.to_thread(_got, url)):  # noqa: ASYNC110 - whoever is scraped tells nobody
                await asyncio.sleep(0.2)

    async def led_by(self, names: set[str]) -> str:
        """Wait until one of these leads and both shards are held; which."""
        async with asyncio.timeout(LONG_S):
            while True:
                crew = await self.crew()
                if crew and crew["leader"] in names and sum(m["shards"] for m in crew["members"]) == len(SHARDS):
                    return str(crew["leader"])
                assert not self._running.done(), self._running
                await asyncio.sleep(0.2)

    async def end(self) -> None:
        self._stop.set()
        await self._running


def _got(url: str) -> str:
    with suppress(OSError), urlopen(url, timeout=5.0) as answer:  # noqa: S310 - our own loopback
        return bytes(answer.read()).decode()
    return ""


async def test_two_workers_share_the_site_and_the_one_that_is_left_goes_on_with_the_event(
    tmp_path: Path, cluster: Cluster
) -> None:
    setting = Setting(net=233, mix={"luxos-s19kpro": 12, "luxos-s21": 8}, dsn=cluster.schema("two"))
    async with site(tmp_path, setting) as there:
        parts = {name: Part(there, name) for name in ("one", "two")}
        leader = await parts["one"].led_by({"one", "two"})
        assert await parts["two"].led_by({leader}), "whoever is asked, the same part leads"
        left = parts[({"one", "two"} - {leader}).pop()]
        target_kw = 0.6 * there.full_kw
        await there.ask(target_kw, duration_s=600.0)
        await there.until(lambda: there.near(target_kw, SHARE), "meter on the set-point", within_s=LONG_S)
        await parts[leader].says("farmctl_pool_up")  # as the other has heard of half of them
        await left.says(r'farmctl_polls_total\{result="ok",site="story"\} [1-9]')
        await left.says("standby", "/healthz")
        await parts[leader].end()
        assert await left.led_by({left.name})
        await there.ask(0.4 * there.full_kw, duration_s=600.0, name="next")
        await there.until(lambda: there.near(0.4 * there.full_kw, SHARE), "the next, under the other", within_s=LONG_S)
        await left.end()
        kinds = [each.record.kind for each in await there.journal(RecordKind.START, RecordKind.FATE)]
        assert kinds.count(RecordKind.START) >= len(parts), "who loses the seat for want of time takes it again"
        assert RecordKind.FATE in kinds


async def test_a_part_that_starts_while_the_database_restarts_waits_for_it_and_joins(
    tmp_path: Path, cluster: Cluster
) -> None:
    setting = Setting(net=234, mix={"luxos-s19kpro": 1, "luxos-s21": 1}, dsn=cluster.schema("late"))
    async with site(tmp_path, setting) as there:
        await asyncio.to_thread(cluster.stop)
        try:
            with capture_logs() as logs:
                early, given_up = Part(there, "early"), Part(there, "given_up")
                async with asyncio.timeout(LONG_S):
                    while not _waiting(logs) >= 2:  # noqa: ASYNC110 - a log tells nobody
                        await asyncio.sleep(0.1)
            await given_up.end()  # asked to stop while it waits: it ends at once, and that is no error
        finally:
            await asyncio.to_thread(cluster.start)
        await early.led_by({"early"})
        await early.end()


async def test_whoever_started_a_part_is_told_in_the_end_that_there_is_no_database(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "AWAITED_S", 0.0)
    setting = Setting(net=234, mix={"luxos-s19kpro": 1, "luxos-s21": 1}, dsn=cluster.schema("never"))
    async with site(tmp_path, setting) as there:
        await asyncio.to_thread(cluster.stop)
        try:
            with pytest.raises(LostSessionError, match="went away"):
                await run_crew(load(config_of(there, "lone"), environment={}), Role.ALL, asyncio.Event())
        finally:
            await asyncio.to_thread(cluster.start)


def _waiting(logs: Sequence[Mapping[str, Any]]) -> int:
    return sum(each["event"] == "database_awaited" for each in logs)
