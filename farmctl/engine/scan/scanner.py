"""The scan: knock at every address at a bounded rate, and ask the drivers only where something listens."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from farmctl.engine.scan.doors import open_doors
from farmctl.engine.scan.nouns import Found, Progress, ScanReport, ScanRules, ScanStoppedError, Stage, Unknown
from farmctl.errors import BackOffError, CredentialError, FarmError, SilentPeerError, TryAgainError
from farmctl.ports.devices import Credentials, Driver, Endpoint, NamesDoors

log = structlog.get_logger(__name__)

TICK_S = 0.01
"""Addresses are begun in gulps of this length: a sleep per address would cost more than the knock."""
CATCH_UP_S = 0.1
"""What a sleep that overslept may make good; a longer stall is not followed by a burst."""

Login = Callable[[str, str], Credentials]
"""(driver, host) -> what to log in with."""


async def scan(
    places: Iterable[Endpoint],
    total: int,
    *,
    stages: Sequence[Stage],
    rules: ScanRules | None = None,
    login: Login = lambda _driver, _host: Credentials(),
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> ScanReport:
    """Find who answers at the places, `total` of them; the first stage should be the cheap one.

    A stalled host costs its own slot only. Raises ScanStoppedError where this machine runs out of sockets.
    """
    return await _Scan(total, rules or ScanRules(), login, on_progress).run(places, stages)


@dataclass(slots=True, kw_only=True, eq=False)
class _Spot:
    """An address where something listens, not yet identified."""

    place: Endpoint
    listening: tuple[str, ...]
    why: str = "no driver recognises it"
    unwell: bool = False
    locked: bool = False


class _Scan:
    """One scan under way."""

    def __init__(self, total: int, rules: ScanRules, login: Login, on_progress: Callable[[Progress], None]) -> None:
        self._total = total
        self._rules = rules
        self._login = login
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._started = 0
        self._done = 0
        self._found: list[Found] = []
        self._left: list[_Spot] = []
        self._stopped: ScanStoppedError | None = None

    async def run(self, places: Iterable[Endpoint], stages: Sequence[Stage]) -> ScanReport:
        first, *later = stages or [Stage(drivers=())]
        await self._sweep(places, first)
        await self._again(first)
        for stage in later:
            await self._pass(stage, [spot for spot in self._left if not spot.locked])
            await self._again(stage)
        unknown = [
            Unknown(endpoint=spot.place, listening=spot.listening, why=spot.why, locked=spot.locked)
            for spot in self._left
        ]
        self._settled(len(unknown))
        return ScanReport(
            addresses=self._started,
            found=tuple(sorted(self._found, key=lambda found: _order(found.endpoint))),
            unknown=tuple(sorted(unknown, key=lambda spot: _order(spot.endpoint))),
            wall_s=self._loop.time() - self._began_s,
        )

    async def _sweep(self, places: Iterable[Endpoint], stage: Stage) -> None:
        """Knock everywhere and ask the first stage at once; a slot is held until the address is through."""
        slots, asking = asyncio.Semaphore(self._rules.in_flight), asyncio.Semaphore(stage.in_flight)
        due_s, step_s = self._loop.time(), 1.0 / self._rules.rate_per_s
        async with asyncio.TaskGroup() as tasks:
            for place in places:
                await slots.acquire()
                if self._stopped is not None:
                    break
                self._started += 1
                tasks.create_task(self._visit(place, stage, slots, asking))
                now_s = self._loop.time()
                due_s = max(due_s, now_s - CATCH_UP_S) + step_s
                if due_s - now_s >= TICK_S:
                    await asyncio.sleep(due_s - now_s)
        if self._stopped is not None:
            raise self._stopped

    async def _visit(self, place: Endpoint, stage: Stage, slots: asyncio.Semaphore, asking: asyncio.Semaphore) -> None:
        try:
            listening = await open_doors(place.host, place.ports or self._rules.ports, self._rules.connect_s)
            if isinstance(listening, ScanStoppedError):
                self._stopped = listening
            elif not listening:
                self._settled(1)
            else:
                await asking.acquire()
                await self._ask(_Spot(place=place, listening=listening), stage, asking)
        finally:
            slots.release()

    async def _again(self, stage: Stage) -> None:
        for _ in range(stage.tries - 1):
            await self._pass(stage, [spot for spot in self._left if spot.unwell])

    async def _pass(self, stage: Stage, spots: Sequence[_Spot]) -> None:
        """Ask one stage about what is left."""
        asking = asyncio.Semaphore(stage.in_flight)
        chosen = set(map(id, spots))
        self._left = [spot for spot in self._left if id(spot) not in chosen]
        async with asyncio.TaskGroup() as tasks:
            for spot in spots:
                await asking.acquire()
                tasks.create_task(self._ask(spot, stage, asking))

    async def _ask(self, spot: _Spot, stage: Stage, asking: asyncio.Semaphore) -> None:
        spot.unwell = False
        found: Found | None = None
        try:
            async with asyncio.timeout(stage.deadline_s):
                found = await self._identified(spot, stage.drivers)
        except TimeoutError:
            spot.unwell, spot.why = True, f"did not answer within {stage.deadline_s:g} s"
        except Exception as error:
            # One odd device must not end the search for the others, whoever wrote the driver.
            log.exception("identify_crashed", host=spot.place.host)
            spot.why = f"a driver crashed: {type(error).__name__}: {error}"
        finally:
            asking.release()
        if found is None:
            self._left.append(spot)
        else:
            self._found.append(found)
            self._settled(1)

    async def _identified(self, spot: _Spot, drivers: Sequence[Driver]) -> Found | None:
        mute: set[str] = set()
        for driver in _in_turn(spot.listening, drivers, mute):
            try:
                identity = await driver.identify(spot.place, self._login(driver.name, spot.place.host))
            except CredentialError as error:
                spot.locked, spot.why = True, f"{driver.name}: {error}"
                return None
            except FarmError as error:
                # A port that is shut is an answer: the drivers that live there are not meant.
                if not isinstance(error.__cause__, ConnectionRefusedError):
                    spot.unwell |= isinstance(error, BackOffError | TryAgainError)
                    spot.why = f"{driver.name}: {error}"
                if isinstance(error, SilentPeerError) and not isinstance(error.__cause__, ConnectionError):
                    mute |= _blamed(driver)
                continue
            if identity is not None:
                return Found(identity=identity, endpoint=spot.place)
        return None

    def _settled(self, count: int) -> None:
        self._done += count
        elapsed_s = self._loop.time() - self._began_s
        eta_s = elapsed_s / self._done * (self._total - self._done) if self._done else None
        self._on_progress(
            Progress(done=self._done, started=self._started, total=self._total, found=len(self._found), eta_s=eta_s)
        )


def _in_turn(listening: Collection[str], drivers: Sequence[Driver], mute: Collection[str]) -> Iterator[Driver]:
    """Whom to ask next; looks at `mute` each time.

    A silence costs seconds, so nobody is asked where nothing listens, or only what stayed silent before in the same
    protocol (ePIC speaks HTTP on the port of the others); who has yet another door waits until the rest were asked.
    """
    waiting = list(drivers)
    while waiting:
        driver = min(waiting, key=lambda each: _silences(each, listening, mute))
        waiting.remove(driver)
        if not isinstance(driver, NamesDoors) or _silences(driver, listening, mute) < len(driver.doors):
            yield driver


def _silences(driver: Driver, listening: Collection[str], mute: Collection[str]) -> int:
    """How many doors of a driver are shut or mute; 0 for one that names none."""
    doors = driver.doors if isinstance(driver, NamesDoors) else ()
    return sum(door in mute or door.partition(":")[0] not in listening for door in doors)


def _blamed(driver: Driver) -> frozenset[str]:
    """The door that was silent, where there is only one that it can have been."""
    return driver.doors if isinstance(driver, NamesDoors) and len(driver.doors) == 1 else frozenset()


def _order(place: Endpoint) -> tuple[int, int, str, int]:
    """By address as a number, not as text; then by port."""
    port = min(place.ports.values(), default=0)
    try:
        address = ipaddress.ip_address(place.host)
    except ValueError:
        return (0, 0, place.host, port)
    return (address.version, int(address), "", port)
