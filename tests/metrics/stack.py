"""Debian's Prometheus and Alertmanager on loopback beside a story, with the shipped rules and routes in a hurry."""

from __future__ import annotations

import asyncio
import copy
import json
import math
import re
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from simulators.broker import free_port

CONFIGS = Path(__file__).parents[2] / "configs"
PROMETHEUS, ALERTMANAGER = shutil.which("prometheus"), shutil.which("prometheus-alertmanager")
SOONER = 5.0
"""A `for` of one minute is 12 s here, and so is the silence after which a signal is stale."""
SHORTEST_S = 10
"""Nothing that was longer gets shorter than this: the machine may be loaded."""
LONGER = 2.0
"""`keep_firing_for` is only halved: what it holds must outlast the next alert."""
_SPAN = re.compile(r"(\d+)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Both servers and what was paged."""

    prometheus: str
    alertmanager: str
    http: ClientSession
    pages: list[dict[str, Any]] = field(default_factory=list)
    beats: list[dict[str, Any]] = field(default_factory=list)

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """Samples of an expression now."""
        return await self._asked("query", {"query": expr})

    async def seen(self, expr: str, since_s: float) -> bool:
        """The expression gave at least one number since then."""
        span = {"start": f"{since_s:.3f}", "end": f"{time.time():.3f}", "step": "1"}
        series = await self._asked("query_range", {"query": expr, **span})
        return any(not math.isnan(float(value)) for one in series for _, value in one["values"])

    async def fired(self) -> set[str]:
        """Names of the alerts that have fired at any time."""
        found = await self.query('count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[30m]))')
        return {one["metric"]["alertname"] for one in found}

    async def alerts(self, name: str) -> list[dict[str, Any]]:
        """What Alertmanager holds under a name."""
        params = {"filter": f'alertname="{name}"'}
        async with self.http.get(f"{self.alertmanager}/api/v2/alerts", params=params) as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def groups(self) -> list[dict[str, Any]]:
        """Alertmanager's groups."""
        async with self.http.get(f"{self.alertmanager}/api/v2/alerts/groups") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    def paged(self, status: str, **labels: str) -> list[dict[str, Any]]:
        """Pages that hold an alert with these labels in this status."""
        return [
            page
            for page in self.pages
            if any(a["status"] == status and labels.items() <= a["labels"].items() for a in page["alerts"])
        ]

    async def _asked(self, what: str, params: dict[str, str]) -> list[dict[str, Any]]:
        async with self.http.post(f"{self.prometheus}/api/v1/{what}", data=params) as answer:
            told = await answer.json()
        assert told["status"] == "success", (params, told)
        result: list[dict[str, Any]] = told["data"]["result"]
        return result


async def until(true: Callable[[], Awaitable[bool]], what: str, *, within_s: float = 60.0) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + within_s
    while not await true():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        await asyncio.sleep(0.3)


@asynccontextmanager
async def stack(folder: Path, *, site: str, scrape: str, door: dict[str, Any] | None = None) -> AsyncIterator[Stack]:
    """Run both beside a controller that serves its metrics at `scrape`; `door`: scheme, TLS and login of the jobs."""
    assert PROMETHEUS is not None
    assert ALERTMANAGER is not None
    async with AsyncExitStack() as held:
        http = await held.enter_async_context(ClientSession(timeout=ClientTimeout(total=20)))
        ports = free_port(), free_port(), free_port()
        there = Stack(prometheus=f"http://127.0.0.1:{ports[0]}", alertmanager=f"http://127.0.0.1:{ports[1]}", http=http)
        await held.enter_async_context(_receiver(there, ports[2]))
        (folder / "alertmanager.yml").write_text(_routes(ports[2]), encoding="utf-8")
        (folder / "prometheus.yml").write_text(_scrapes(site, scrape, ports[1], door or {}), encoding="utf-8")
        (folder / "rules").mkdir()
        for file in (CONFIGS / "prometheus" / "rules").glob("*.yml"):
            (folder / "rules" / file.name).write_text(hurried(file.read_text(encoding="utf-8")), encoding="utf-8")
        command = [ALERTMANAGER, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/notices"]
        command += [f"--web.listen-address=127.0.0.1:{ports[1]}", "--cluster.listen-address="]
        await held.enter_async_context(_server(command, folder / "alertmanager.log"))
        command = [PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series"]
        # Alertmanager is found 5 s after the start; what was sent before is sent again only after this.
        command += [f"--web.listen-address=127.0.0.1:{ports[0]}", "--rules.alert.resend-delay=2s"]
        await held.enter_async_context(_server(command, folder / "prometheus.log"))
        for url in (there.alertmanager, there.prometheus):
            await until(lambda url=url: _ready(http, url), f"{url} is ready")  # type: ignore[misc]  # a default binds it
        yield there


def hurried(text: str) -> str:
    """Rules as they are shipped, with shorter times and nothing else changed."""
    document = yaml.safe_load(text)
    for group in document["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            for key, share in (("for", SOONER), ("keep_firing_for", LONGER)):
                if key in rule:
                    stated_s = _seconds(rule[key])
                    rule[key] = f"{max(round(stated_s / share), min(stated_s, SHORTEST_S))}s"
            if rule.get("alert") == "FarmctlSignalStale":
                assert " > 60 " in rule["expr"]
                rule["expr"] = rule["expr"].replace(" > 60 ", f" > {60 / SOONER:g} ")
    return str(yaml.safe_dump(document))


def _seconds(span: str) -> int:
    return sum(int(number) * _SECONDS[unit] for number, unit in _SPAN.findall(span))


def _scrapes(site: str, scrape: str, alertmanager: int, door: dict[str, Any]) -> str:
    """The shipped configuration, pointed at the story and asking every other second; with a shard of the miners."""
    document = yaml.safe_load((CONFIGS / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    document["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    document["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{alertmanager}"]
    (job,) = document["scrape_configs"]
    job |= {"static_configs": [{"targets": [scrape], "labels": {"site": site}}], **door}
    shard = {"job_name": "farmctl-miners", "metrics_path": "/metrics/miners", "params": {"shard": ["1/1"]}}
    document["scrape_configs"] = [job, {**job, **shard}]
    return str(yaml.safe_dump(document))


def _routes(port: int) -> str:
    """The shipped routes, paging the story at once."""
    document = yaml.safe_load((CONFIGS / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    for route in (document["route"], *document["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in document["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = hook["url"].replace(":9099/", f":{port}/")
    return str(yaml.safe_dump(copy.deepcopy(document)))


@asynccontextmanager
async def _receiver(there: Stack, port: int) -> AsyncIterator[None]:
    """Whom Alertmanager pages."""

    async def page(request: web.Request) -> web.Response:
        told = json.loads(await request.text())
        (there.beats if request.path == "/beat" else there.pages).append(told)
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/{what:page|ticket|beat}", page)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _server(command: list[str], log: Path) -> AsyncIterator[None]:
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(*command, stdout=stream, stderr=stream)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10.0):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _ready(http: ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/-/ready") as answer:
            return answer.status == web.HTTPOk.status_code
    except ClientError:
        return False
