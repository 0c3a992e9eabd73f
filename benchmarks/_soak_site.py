"""A site of child processes for long runs: farmsim, broker, meter, a dispatcher with a key, and proxies between."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from farmctl.ports.devices import Endpoint
from farmctl.signals.keyfiles import new_key, seed_in
from farmctl.wiring.demo.children import Child, child, run_once
from farmctl.wiring.demo.net import reserved_net
from farmctl.wiring.demo.site import configured, identified, key_of, numbers, stocked
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.stores import JOURNAL
from simulators.broker import free_port

PROXIED_UP = 10_000
"""A miner's port P is reached through the proxy on P + this, on the same address."""
KID = "grid-op-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How often the proxy makes trouble, and for how long on average, s."""

    miners_every_s: float = 300.0
    miners_for_s: float = 8.0
    lines_every_s: float = 40.0
    lines_for_s: float = 4.0
    after_s: float = 0.0
    """Calm first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything around the controller."""

    folder: Path
    config: Path
    control: str
    broker: str
    """Where the broker really is; the controller knows the proxy's address."""
    metrics: str
    """HOST:PORT of the controller's /metrics."""
    rated_kw: float
    miners: int
    key_file: Path
    proxy: Child
    children: dict[str, int]
    """Process ids by name."""

    async def fault(self, fault: str, *, fraction: float, for_s: float, **params: float | str) -> int:
        """Switch a fault on for some miners; how many."""
        body = {"fault": fault, "fraction": fraction, "for_s": for_s, "params": params}
        return len((await self._post("faults", body))["miners"])

    async def clear(self) -> None:
        """All faults of all miners off."""
        await self._post("clear", {})

    def dispatcher(self, seconds: float) -> Any:
        """Play the surplus day for so long, as a child."""
        words = ["grid", "--broker", self.broker, "--site", "demo", "--op", "grid-op", "--trace", "surplus_day_demo"]
        words += ["--rated-kw", str(self.rated_kw), "--key-file", str(self.key_file), "--kid", KID]
        return child([*words, "--for", f"{seconds:.0f}"], self.folder / "grid.log", says_ready=False)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        return await _fetched(Request(f"{self.control}/{path}", data=data, method="POST"))  # noqa: S310 - loopback


@asynccontextmanager
async def stage(miners: int, folder: Path, *, seed: int, weather: Weather) -> AsyncIterator[Stage]:
    """Bring up everything but the controller, which finds `config` and a full inventory."""
    async with AsyncExitStack() as stack:
        net = stack.enter_context(reserved_net())
        size = ["--miners", str(miners), "--seed", str(seed), "--http-port", "8080", "--first-net", str(net)]
        world = folder / "world.toml"
        world.write_text(await run_once("world", *size), encoding="utf-8")
        broker = await stack.enter_async_context(child(["broker", "--port", "0"], folder / "broker.log"))
        farm = await stack.enter_async_context(child(["run", str(world), "--seed", str(seed)], folder / "farmsim.log"))
        control = f"http://{farm.ready['control']}"
        known, truth, total = [await _fetched(Request(f"{control}/{n}")) for n in ("inventory", "truth", "total")]  # noqa: S310 - loopback
        per_container = Counter[str]()
        for container, watts in zip(truth["container"], truth["level_w"], strict=True):
            per_container[container] += watts
        figures = numbers(total["full_w"], per_container, max(per_container.values()))
        meter = await stack.enter_async_context(
            child(_meter_words(control, figures.rated_kw, seed), folder / "meter.log")
        )
        where = f"{broker.ready['host']}:{broker.ready['port']}"
        lines = {"broker": where, "meter": f"127.0.0.1:{meter.ready['port']}"}
        routes = [*_line_routes(lines.values(), weather), *_miner_routes(known, weather)]
        (folder / "routes.json").write_text(json.dumps(routes), encoding="utf-8")
        words = ["proxy", str(folder / "routes.json"), "--seed", str(seed), "--after", str(weather.after_s)]
        proxy = await stack.enter_async_context(child(words, folder / "proxy.log"))
        heard = dict(zip(lines, proxy.ready["picked"], strict=True))
        await _stock(folder, known)
        metrics = f"127.0.0.1:{free_port()}"
        config, key_file = _written(folder, figures, heard, metrics)
        pids = {"broker": broker, "farmsim": farm, "meter": meter, "proxy": proxy}
        yield Stage(
            folder=folder,
            config=config,
            control=control,
            broker=where,
            metrics=metrics,
            rated_kw=figures.rated_kw,
            miners=len(known),
            key_file=key_file,
            proxy=proxy,
            children={name: one.process.pid for name, one in pids.items()},
        )


def _meter_words(control: str, rated_kw: float, seed: int) -> list[str]:
    aux = ["--aux-base-kw", f"{0.01 * rated_kw:.2f}", "--aux-share", "0.03", "--aux-lag", "20"]
    return ["meter", "--control", control, "--port", "0", "--seed", str(seed), *aux, "--rated-kw", f"{rated_kw:.1f}"]


def _line_routes(targets: Iterable[str], weather: Weather) -> list[dict[str, Any]]:
    often = {"every_s": weather.lines_every_s, "for_s": weather.lines_for_s}
    return [{"listen": "127.0.0.1:0", "target": target, **often} for target in targets]


def _miner_routes(known: list[dict[str, Any]], weather: Weather) -> list[dict[str, Any]]:
    often = {"every_s": weather.miners_every_s, "for_s": weather.miners_for_s}
    places = itertools.chain.from_iterable(((one["host"], port) for port in one["ports"].values()) for one in known)
    return [{"listen": f"{host}:{port + PROXIED_UP}", "target": f"{host}:{port}", **often} for host, port in places]


async def _stock(folder: Path, known: list[dict[str, Any]]) -> None:
    """Find out who is who on the direct way, write down the way through the proxy."""
    drivers = load_drivers()
    places = [Endpoint(host=one["host"], ports=one["ports"]) for one in known]
    found = await identified(places, [drivers[name] for name in drivers if name != "pyasic"])
    proxied = [one | {"ports": _up(one["ports"])} for one in known]
    moved = {
        key_of(one["host"], _up(one["ports"])): found[key]
        for one in known
        if (key := key_of(one["host"], one["ports"])) in found
    }
    await stocked(folder / JOURNAL, proxied, moved)


def _up(ports: dict[str, int]) -> dict[str, int]:
    return {name: port + PROXIED_UP for name, port in ports.items()}


def _written(folder: Path, figures: Any, heard: dict[str, str], metrics: str) -> tuple[Path, Path]:
    """farm.toml of the demo with a signed grid; the dispatcher's key file."""
    key, ours = new_key(folder / "secrets", KID), new_key(folder / "secrets", "demo")
    configured(
        folder,
        figures,
        site="demo",
        broker=heard["broker"],
        meter_port=int(heard["meter"].rpartition(":")[2]),
        metrics_port=int(metrics.rpartition(":")[2]),
        keys=None,
    )
    path = folder / "farm.toml"
    text = path.read_text(encoding="utf-8").replace(
        'auth = "unsigned-demo"', f'auth = "ed25519"\nsigning_key_file = "{ours.file}"'
    )
    text = text.replace('forms = ["openadr", "simple"]', 'forms = ["openadr"]')
    issuer = f'[[signal.issuers]]\nname = "grid-op"\n[[signal.issuers.keys]]\nkid = "{KID}"\n'
    text = text.replace("[store]", f'{issuer}public_key = "{key.public_key}"\n\n[store]')
    path.write_text(text, encoding="utf-8")
    seed_file = folder / "secrets" / "dispatcher.seed"
    seed_file.write_bytes(seed_in(key.file))
    return path, seed_file


async def _fetched(request: Request) -> Any:
    def fetch() -> bytes:
        with urlopen(request, timeout=30.0) as answer:  # noqa: S310 - loopback only
            return bytes(answer.read())

    return json.loads(await asyncio.to_thread(fetch))
