"""The metrics endpoint: /metrics, /metrics/miners and /healthz, rendered off the loop and once per cycle."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial

from aiohttp import hdrs, web

from farmctl.core.units import MS_PER_S
from farmctl.errors import AskHumanError
from farmctl.metrics.controller import OPEN_METRICS_END, ControllerMetrics
from farmctl.metrics.door import Login, Tls
from farmctl.metrics.exporter import Exporter
from farmctl.metrics.miners import MinerExporter, Shard, ShardError
from farmctl.metrics.negotiate import dialect_of, takes_gzip
from farmctl.metrics.snapshot import MetricsSnapshot
from farmctl.metrics.text import Dialect
from farmctl.ports.site import Clock

STALLED_MS = 10_000
"""A cycle older than this means that nobody decides (the FarmctlCycleStalled rule)."""
RENDER_DEADLINE_S = 8.0
"""Prometheus gives up after 10 s."""
GZIP_LEVEL = 1
GZIP_WBITS = 31


class MetricsAddressError(AskHumanError):
    """The metrics endpoint cannot listen where the configuration says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Where to serve, and how much."""

    host: str = "127.0.0.1"
    port: int = 9_618
    """0 picks a free one."""
    miners: bool = False
    """Serve /metrics/miners."""
    miners_ttl_ms: int = 10_000
    """A shard is written anew when the snapshot is this much newer: about one sweep."""
    tls: Tls | None = None
    login: Login | None = None
    page: Callable[[str], str | None] = lambda _name: None
    """Runbook of an alarm, Markdown; None where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cycle:
    """One published cycle; its snapshot is made when somebody first asks, in the thread that writes it."""

    at_ms: int
    snapshot: Callable[[], MetricsSnapshot]


class MetricsServer:
    """Serves the last published cycle; before the first one only the controller's own metrics."""

    def __init__(
        self, config: MetricsConfig, controller: ControllerMetrics, clock: Clock, *, decides: bool = True
    ) -> None:
        """`decides`: False where another process does, and no cycle is to be expected."""
        self._decides = decides
        self.port = config.port
        self._config = config
        self._controller = controller
        self._clock = clock
        self._cycle: _Cycle | None = None
        self._exporter = Exporter()
        self._miners = MinerExporter()
        self._rendering = asyncio.Lock()
        self._fleet_text: dict[Dialect, tuple[MetricsSnapshot, str]] = {}
        self._shard_text: dict[tuple[Shard, Dialect], tuple[MetricsSnapshot, str]] = {}
        self._runner: web.AppRunner | None = None

    def publish(self, at_ms: int, snapshot: Callable[[], MetricsSnapshot]) -> None:
        """Take the newest cycle; costs nothing until somebody scrapes: `snapshot` is called then, off the loop."""
        self._cycle = _Cycle(at_ms, cache(snapshot))

    async def start(self) -> None:
        """Listen; raises MetricsAddressError and MetricsCertificateError."""
        tls = self._config.tls.context() if self._config.tls is not None else None
        app = web.Application(middlewares=[self._guarded])
        app.add_routes(
            [
                web.get("/metrics", self._serve_metrics),
                web.get("/metrics/miners", self._serve_miners),
                web.get("/healthz", self._serve_health),
                web.get("/runbooks/{name}", self._serve_runbook),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, self._config.host, self._config.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            where = f"{self._config.host}:{self._config.port}"
            raise MetricsAddressError(f"metrics: cannot listen on {where}: {error.strerror or error}") from error
        self.port = int(runner.addresses[0][1])
        self._runner = runner

    async def stop(self) -> None:
        """Close the listener and its connections; harmless when it does not run."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let in who may scrape; /healthz and the runbooks say nothing about the site and are open to everybody."""
        login, path = self._config.login, request.path
        if (
            login is None
            or path == "/healthz"
            or path.startswith("/runbooks/")
            or login.admits(request.headers.get(hdrs.AUTHORIZATION, ""))
        ):
            return await handler(request)
        asks = {hdrs.WWW_AUTHENTICATE: 'Basic realm="farmctl metrics", charset="UTF-8"'}
        return web.Response(status=401, headers=asks, text="metrics: user and password expected\n")

    async def _serve_runbook(self, request: web.Request) -> web.Response:
        """A page as it stands in the repository: Markdown is readable as it is."""
        name = request.match_info["name"].removesuffix(".md")
        page = await asyncio.to_thread(self._config.page, name)
        if page is None:
            return web.Response(status=404, text=f"runbooks: there is no page {name!r}\n")
        return web.Response(text=page, content_type="text/plain", charset="utf-8")

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        return await self._answer(request, partial(self._metrics_text, self._cycle))

    async def _serve_miners(self, request: web.Request) -> web.Response:
        if not self._config.miners:
            return web.Response(status=404, text="per-miner metrics are off: set metrics.miners to serve them\n")
        try:
            shard = Shard.parse(request.query.get("shard", "1/1"))
        except ShardError as error:
            return web.Response(status=400, text=f"{error}\n")
        return await self._answer(request, partial(self._shard_text_of, self._cycle, shard))

    async def _serve_health(self, request: web.Request) -> web.Response:
        del request
        if not self._decides:
            return web.json_response({"status": "standby", "cycle_age_s": None})
        if self._cycle is None:
            return web.json_response({"status": "starting", "cycle_age_s": None}, status=503)
        age_ms = self._clock.now_ms() - self._cycle.at_ms
        healthy = age_ms <= STALLED_MS
        report = {"status": "ok" if healthy else "stalled", "cycle_age_s": age_ms / MS_PER_S}
        return web.json_response(report, status=200 if healthy else 503)

    async def _answer(self, request: web.Request, render: Callable[[Dialect], str]) -> web.Response:
        """Write in a thread, one at a time: the label caches have one user."""
        dialect = dialect_of(request.headers.get("Accept", ""))
        gzipped = takes_gzip(request.headers.get("Accept-Encoding", ""))
        try:
            async with asyncio.timeout(RENDER_DEADLINE_S), self._rendering:
                body = await asyncio.to_thread(_body, render, dialect, gzipped=gzipped)
        except TimeoutError:
            return web.Response(status=503, text=f"metrics: not written within {RENDER_DEADLINE_S:g} s\n")
        headers = {"Content-Type": dialect.value, "Vary": "Accept, Accept-Encoding"}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    def _metrics_text(self, cycle: _Cycle | None, dialect: Dialect) -> str:
        """Fleet blocks once per cycle; the controller's own numbers anew, for they move while a cycle hangs."""
        text = ""
        if cycle is not None:
            snapshot = cycle.snapshot()
            cached = self._fleet_text.get(dialect)
            text = cached[1] if cached and cached[0] is snapshot else self._exporter.render(snapshot, dialect)
            self._fleet_text[dialect] = (snapshot, text)
        return text + self._controller.render(dialect)

    def _shard_text_of(self, cycle: _Cycle | None, shard: Shard, dialect: Dialect) -> str:
        if cycle is None:
            return ""
        snapshot = cycle.snapshot()
        cached = self._shard_text.get((shard, dialect))
        if cached is not None and self._still_good(cached[0], snapshot):
            return cached[1]
        text = self._miners.render(snapshot, shard, dialect)
        same = {
            key: kept
            for key, kept in self._shard_text.items()
            if kept[0].topology is snapshot.topology and key[0].count == shard.count
        }
        self._shard_text = {**same, (shard, dialect): (snapshot, text)}
        return text

    def _still_good(self, old: MetricsSnapshot, new: MetricsSnapshot) -> bool:
        return old.topology is new.topology and new.at_ms - old.at_ms < self._config.miners_ttl_ms


def _body(render: Callable[[Dialect], str], dialect: Dialect, *, gzipped: bool) -> bytes:
    text = render(dialect)
    body = (text + OPEN_METRICS_END if dialect is Dialect.OPEN_METRICS else text).encode()
    if not gzipped:
        return body
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
    return packer.compress(body) + packer.flush()
