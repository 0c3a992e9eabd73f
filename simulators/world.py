"""A simulated farm that runs: TOML description -> N miners listening on addresses and ports.

The description (all keys with their defaults; simulators.plan checks it):

    [farm]
    seed = 1                 # identities, efficiency spread, seeded faults
    time_scale = 1.0         # device seconds per second: ramps, boots, averages
    ambient_c = 25.0         # mean over the day
    ambient_swing_c = 6.0    # up and down from it, by the device's clock
    warming_c = 0.0          # the air gets that much warmer
    warming_s = 1.0          # in so many device seconds from the start
    allow_remote = false     # serve callers that are not on loopback
    report_error = 0.05      # miners report that much less than the plug draws; 0 = exact
    ports_mode = "addresses" # or "ports": everything on 127.0.0.1 from port_base on (macOS)
    port_base = 20000
    listen = "auto"          # "each": a socket per address and port; "shared": one per port, for large farms on Linux;
                             # "auto": shared only where the limit on open files is too low for each

    [[group]]
    name = "m50"
    model = "m50"            # a key of simulators.personality.PERSONALITIES
    family = "whatsminer"    # optional, checked against the model
    firmware = "..."         # optional, instead of the model's own
    count = 100
    address = "127.10.0.1"   # the first; one address per miner, counting up
    ports = { api = 4028, http = 80 }
    per_container = 240
    per_rack = 40
    first_container = 1      # containers are C001, C002, ...; racks C001-R01, ...
    start = "mining"         # or "asleep"
    quirks = [...]           # optional, instead of the model's own
    faults = [{ fault = "silent", at_s = 10, for_s = 30, fraction = 0.1, params = {} }]
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulators.faults import ONE_SHOT, ActiveFault, Fault
from simulators.fronts.street import Street
from simulators.miner import SimMiner
from simulators.personality import Family, Quirk
from simulators.physics import Fleet
from simulators.plan import specs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simulators.fronts.door import Door
    from simulators.plan import FaultTable, Plan

TICK_S = 0.2
FAREWELL_TURNS = 4
"""Of the loop: whoever has called becomes a connection in three; one whose server closes in between is closed by nobody
(asyncio 3.11)."""
ASLEEP_MODE = 1
"""miner-mode of an Antminer that starts asleep."""


class World:
    """N miners, their physics, their doors and their faults; start() and stop() own the sockets."""

    def __init__(self, plan: Plan) -> None:
        pairs = list(specs(plan))
        self.plan = plan
        self.fleet = Fleet(
            [spec.personality for _, spec in pairs],
            rng=np.random.default_rng(plan.farm.seed + 1),
            ambient_c=plan.farm.ambient_c,
            ambient_swing_c=plan.farm.ambient_swing_c,
            warming_c=plan.farm.warming_c,
            warming_s=plan.farm.warming_s,
            time_scale=plan.farm.time_scale,
        )
        self._skipped_s = 0.0
        self._born_s = time.monotonic()
        self.miners = [
            SimMiner(spec, row=row, fleet=self.fleet, clock=self.now_s) for row, (_, spec) in enumerate(pairs)
        ]
        self._timed = [miner for miner in self.miners if miner.personality.family is Family.AVALON]
        """Those that take commands for later."""
        self.groups = [group.name for group, _ in pairs]
        self.street = Street(self.miners, allow_remote=plan.farm.allow_remote, listen=plan.farm.listen)
        self._dice = np.random.default_rng(plan.farm.seed + 2)
        self._script = self._write_script()
        self._dirty: set[int] = set()
        self._faulty: set[int] = set()
        self._was_booting = self.fleet.booting()
        self._was_asleep = self.fleet.asleep.copy()
        self._ticker: asyncio.Task[None] | None = None
        self._at_the_doors = asyncio.Lock()
        for row, (group, _) in enumerate(pairs):
            if group.start == "asleep":
                self._put_to_sleep(row)

    def now_s(self) -> float:
        """Seconds since the world was made, with what advance() skipped."""
        return time.monotonic() - self._born_s + self._skipped_s

    def total_power_w(self) -> float:
        """True sum at the plugs, W."""
        return self.fleet.total_power_w()

    async def start(self) -> None:
        """Open every door and let time run; raises what Street.open raises."""
        await self.street.open()
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Stop time, close every door and end every call."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
            self._ticker = None
        for _ in range(FAREWELL_TURNS):
            await asyncio.sleep(0)
        self.street.close()
        for miner in self.miners:
            for transport in tuple(miner.live):
                transport.abort()
        await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Skip `seconds` of the observer's time at once: physics, token lives, scripts, doors."""
        self._skipped_s += seconds
        self._pass(seconds)
        await self._match_doors()

    def rows_of(self, select: Mapping[str, str]) -> list[int]:
        """Rows whose id, host, group, family, model, container and rack equal what is given.

        Raises ValueError naming an unknown key.
        """
        known = {"id", "host", "group", "family", "model", "container", "rack"}
        unknown = set(select) - known
        if unknown:
            raise ValueError(f"select: unknown {sorted(unknown)}, expected some of {sorted(known)}")
        return [
            row
            for row in range(len(self.miners))
            if all(self._trait(row, key) == value for key, value in select.items())
        ]

    def pick(self, rows: Sequence[int], fraction: float) -> list[int]:
        """Choose a seeded fraction of `rows`, at least one of them."""
        if not rows or fraction >= 1:
            return list(rows)
        count = max(1, round(len(rows) * fraction))
        return sorted(int(row) for row in self._dice.choice(rows, count, replace=False))

    def put_fault(
        self,
        rows: Iterable[int],
        fault: Fault,
        *,
        for_s: float = 1e12,
        params: Mapping[str, float | str] | None = None,
    ) -> None:
        """Switch a fault on for some miners; one-shot faults happen now."""
        until_s = self.now_s() + for_s
        for row in rows:
            miner = self.miners[row]
            if fault is Fault.REBOOT:
                miner.reboot()
            elif fault is Fault.EXPIRED:
                miner.secrets_void += 1
            if fault not in ONE_SHOT:
                active = ActiveFault(fault=fault, until_s=until_s, params=dict(params or {}))
                miner.faults.put(active)
                self._faulty.add(row)
            self._dirty.add(row)

    def clear_faults(self, rows: Iterable[int], fault: Fault | None = None) -> None:
        """Switch one fault off, or all, for some miners."""
        for row in rows:
            self.miners[row].faults.clear(fault)
            self._settle_faults(row)

    async def swap(self, one: int, other: int) -> None:
        """Exchange the addresses of two miners, as DHCP does after a power cut.

        Raises ValueError when only one of them has a web server: its port would have no place.
        """
        pair = self.miners[one], self.miners[other]
        if bool(pair[0].endpoint.http) != bool(pair[1].endpoint.http):
            raise ValueError("swap: expected two miners with the same kinds of ports")
        for row in (one, other):
            for door in self.street.doors[row]:
                door.close()
        pair[0].endpoint, pair[1].endpoint = pair[1].endpoint, pair[0].endpoint
        for row in (one, other):
            self.street.rebuild(row)
        self._dirty.update((one, other))
        await self._match_doors()

    async def move(self, row: int, host: str) -> None:
        """Give a miner another address, as DHCP does when a lease has run out; raises OSError when it is taken."""
        for door in self.street.doors[row]:
            door.close()
        self.miners[row].endpoint = replace(self.miners[row].endpoint, host=host)
        self.street.rebuild(row)
        for door in self.street.doors[row]:
            await door.open()
        self._dirty.add(row)

    def _trait(self, row: int, key: str) -> str:
        miner = self.miners[row]
        who, p = miner.identity, miner.personality
        return {
            "id": who.mac,
            "host": miner.endpoint.host,
            "group": self.groups[row],
            "family": str(p.family),
            "model": p.key,
            "container": who.container,
            "rack": who.rack,
        }[key]

    def _put_to_sleep(self, row: int) -> None:
        miner = self.miners[row]
        miner.sleep()
        miner.mode = ASLEEP_MODE if miner.personality.modes else 0
        self.fleet.settle(row)
        self._dirty.add(row)

    def _write_script(self) -> list[tuple[float, FaultTable, list[int]]]:
        script, first = [], 0
        for group in self.plan.group:
            rows = list(range(first, first + group.count))
            first += group.count
            script += [(t.at_s, t, self.pick(rows, t.fraction)) for t in group.faults]
        return sorted(script, key=lambda entry: entry[0])

    async def _tick(self) -> None:
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self._pass(now_s - last_s)
            last_s = now_s
            await self._match_doors()

    def _pass(self, seconds: float) -> None:
        now_s = self.now_s()
        for miner in self._timed:
            miner.run_due(now_s)
        self.fleet.step(seconds)
        while self._script and self._script[0][0] <= now_s:
            _, table, rows = self._script.pop(0)
            self.put_fault(rows, table.fault, for_s=table.for_s, params=table.params)
        for row in tuple(self._faulty):
            if self.miners[row].faults.expire(now_s):
                self._settle_faults(row)

    def _settle_faults(self, row: int) -> None:
        faults = self.miners[row].faults
        if Fault.STUCK not in faults:
            self.fleet.stuck[row] = False
        if not faults:
            self._faulty.discard(row)
        self._dirty.add(row)

    async def _match_doors(self) -> None:
        """Open and close what has changed; never twice at a time, or a door is left open."""
        async with self._at_the_doors:
            await self._match_changed()

    async def _match_changed(self) -> None:
        booting, asleep = self.fleet.booting(), self.fleet.asleep
        changed = np.flatnonzero((booting != self._was_booting) | (asleep != self._was_asleep))
        self._was_booting, self._was_asleep = booting, asleep.copy()
        rows, self._dirty = self._dirty.union(changed.tolist()), set()
        for row in rows:
            for door in self.street.doors[row]:
                try:
                    await self._match(row, door)
                except OSError:
                    self._dirty.add(row)

    async def _match(self, row: int, door: Door) -> None:
        miner = self.miners[row]
        closed_asleep = Quirk.API_CLOSED_ASLEEP in miner.quirks and miner.is_asleep
        gone = Fault.UNPLUGGED in miner.faults or self.fleet.boot_left_s[row] > 0
        if gone or (closed_asleep and door.is_api):
            door.close()
        else:
            await door.open()


def inventory_rows(world: World) -> list[dict[str, Any]]:
    """List the farm as farmctl's inventory wants it; `family` is the name of the driver."""
    return [
        {
            "id": miner.identity.mac,
            "host": miner.endpoint.host,
            "ports": ports_of(miner),
            "family": str(miner.personality.family),
            "model": miner.personality.model,
            "serial": miner.identity.serial,
            "container": miner.identity.container,
            "rack": miner.identity.rack,
        }
        for miner in world.miners
    ]


def ports_of(miner: SimMiner) -> dict[str, int]:
    """Ports of a miner by name; only those it has."""
    where = miner.endpoint
    api = 0 if Quirk.NO_PORT_4028 in miner.quirks else where.api
    ports = {"api": api, "http": where.http, "grpc": where.grpc, "api3": where.api3}
    return {name: port for name, port in ports.items() if port}
