"""The second process: when the controller has decided nothing for too long, the fleet goes to the firm level.

It asks the controller's health, and goes from the inventory straight to the drivers as `stop-all` does. It only ever
lowers: which miners run on is chosen by their nameplates, the most hash rate for the watts first, and what is left
counts at its full draw.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import structlog

from farmctl.config.load import Loaded, load, search
from farmctl.config.shipped import shipped_profiles
from farmctl.control.client import ControlClient, ControllerRefusedError
from farmctl.core.model import MinerId
from farmctl.errors import FarmError
from farmctl.inventory.profiles import read_profiles
from farmctl.ports.store import InventoryRow
from farmctl.wiring.direct import DirectReport, put_to_sleep
from farmctl.wiring.fleet import Ladders
from farmctl.wiring.stores import known_rows

log = structlog.get_logger(__name__)

ASK_S = 1.0
AGAIN_S = 60.0
"""A miner that could not be told is told again this often while the controller stays dead."""
WATTS_PER_KW = 1e3
ROUNDS = 3
"""Others make up for those that could not be told, as often."""
GUARD = 0.95
"""Nameplates are no meter, and cooling draws too: the guard band of the open loop (SIGNALS section 7)."""
STANDS_STILL = 503
UNKNOWN_W = 4_000.0
"""A miner without any ladder counts as a large one and is the first to sleep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Who sleeps and who may run on."""

    sleep: tuple[InventoryRow, ...]
    running_w: float
    """Full draw of those that run on."""


def firm_share(rows: Sequence[InventoryRow], firm_w: float, stuck: AbstractSet[MinerId] = frozenset()) -> Share:
    """The best miners whose full draw fits under `firm_w`; everybody else sleeps. Protected miners stay the longest.

    Those in `stuck` could not be told: they count as running, whatever they are worth.
    """
    ladders = Ladders(read_profiles(shipped_profiles()))
    ranked = []
    for row in rows:
        ladder = ladders.of(row)
        full = ladder.points[-1] if ladder is not None else None
        watts = full.power_w if full is not None else UNKNOWN_W
        worth = full.hash_rate_hs / full.power_w if full is not None else 0.0
        ranked.append((row.miner_id not in stuck, not row.protected, -worth, row.miner_id, watts, row))
    sleep, running_w = [], 0.0
    for told, _, _, _, watts, row in sorted(ranked, key=lambda entry: entry[:4]):
        if not told or running_w + watts <= firm_w:
            running_w += watts
        else:
            sleep.append(row)
    return Share(sleep=tuple(sleep), running_w=running_w)


class DeadMan:
    """Watches one controller."""

    def __init__(self, loaded: Loaded, *, after_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        """`after_s`: how long the controller may be silent or stand still."""
        self._config = loaded.config
        self._after_s = after_s
        self._now_s = now_s
        self._client = ControlClient(str(loaded.config.api.socket), timeout_s=ASK_S)
        self._well_s = now_s()
        self._acted_s: float | None = None
        self.reports: list[DirectReport] = []

    async def run(self) -> None:
        """Watch until cancelled."""
        log.info("deadman_watches", site=self._config.site.name, after_s=self._after_s)
        while True:
            await self.look()
            await asyncio.sleep(ASK_S)

    async def look(self) -> bool:
        """One look; True where it has acted."""
        now_s = self._now_s()
        if await asyncio.to_thread(self._is_well):
            if self._acted_s is not None:
                log.info("controller_back", site=self._config.site.name)
            self._well_s, self._acted_s = now_s, None
            return False
        if now_s - self._well_s < self._after_s or (self._acted_s is not None and now_s - self._acted_s < AGAIN_S):
            return False
        self._acted_s = now_s
        await self._to_the_firm_level(now_s - self._well_s)
        return True

    def _is_well(self) -> bool:
        try:
            self._client.get("/v1/health")
        except ControllerRefusedError as answer:
            if answer.status != STANDS_STILL:
                raise  # it lives and does not know us: only a person can mend that
            return False
        except FarmError:
            return False
        return True

    async def _to_the_firm_level(self, silent_s: float) -> None:
        if self._config.control.observe:
            log.warning("controller_dead", silent_s=round(silent_s), effect="observe mode: nothing is sent")
            return
        rows = await known_rows(self._config)
        firm_w = GUARD * self._config.site.firm_kw * WATTS_PER_KW
        log.error("controller_dead", silent_s=round(silent_s), effect="fleet to the firm level", firm_w=round(firm_w))
        stuck: set[MinerId] = set()
        asleep: set[MinerId] = set()
        for _ in range(ROUNDS):
            share = firm_share(rows, firm_w, stuck)
            wanted = [row for row in share.sleep if row.miner_id not in asleep]
            if not wanted:
                break
            report = await put_to_sleep(self._config, wanted)
            self.reports.append(report)
            stuck |= report.failed.keys()
            asleep |= {row.miner_id for row in wanted} - stuck
        log.info("firm_level_ordered", told=len(asleep), failed=len(stuck))


def dead_man(config_path: str | None, *, after_s: float) -> DeadMan:
    """Make it from the site's own configuration."""
    path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    return DeadMan(load(path, environment=os.environ), after_s=after_s)
