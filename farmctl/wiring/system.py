"""What `GET /v1/system` tells of the running parts: pollers, commands, loop, disk."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from sys import intern

from farmctl import __version__
from farmctl.config.schema import FarmConfig
from farmctl.control.wire import Json
from farmctl.core.units import MS_PER_S
from farmctl.engine.actuator import Sender
from farmctl.engine.inbox import GridInbox
from farmctl.engine.poller import Poller
from farmctl.engine.tally import Tally
from farmctl.engine.vitals import Spread, Vitals
from farmctl.wiring.fleet import Fleet


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SystemFacts:
    """The parts that are asked."""

    config: FarmConfig
    poller: Poller
    sender: Sender
    inbox: GridInbox
    tally: Tally
    vitals: Vitals
    started_s: float = field(default_factory=time.monotonic)

    def told(self) -> Json:
        """Quick enough for the loop: no file, no column."""
        poll, tally = self.config.poll, self.tally
        return {
            "version": __version__,
            "up_s": round(time.monotonic() - self.started_s),
            "polls": {
                "interval_s": poll.interval_s,
                "due": self.poller.overdue(),
                "in_flight": self.poller.in_flight,
                "most_in_flight": poll.in_flight,
                "done": tally.polls,
                "failed": tally.poll_errors,
                "overruns": tally.overruns,
                **_ms(Spread.of(self.vitals.polls_s)),
            },
            "commands": {
                "open": self.sender.open_commands,
                "retried": tally.retried,
                "fates": {fate.value: count for fate, count in Counter(tally.fates).items()},
                "by_firmware": [
                    {"firmware": firmware, **_ms(Spread.of(list(kept)))}
                    for firmware, kept in sorted(self.vitals.answers_s.items())
                ],
            },
            "loop": _ms(Spread.of(self.vitals.lags_s)),
            "refused": [
                {"source": source, "reason": reason, "n": count}
                for (source, reason), count in self.inbox.refused.most_common()
            ],
            "store": {"free_bytes": _free_bytes(self.config)},
        }


def vitals_of(fleet: Fleet) -> Vitals:
    """Samples by the firmware that the inventory names."""
    rows = [fleet.keeper.seat_of(row).row for row in range(len(fleet.keeper.table))]
    firmware = {row.miner_id: intern(f"{row.driver} {row.firmware}".strip()) for row in rows}
    return Vitals(firmware_of=lambda miner: firmware.get(miner, "unknown"))


def _ms(spread: Spread) -> dict[str, float | int | None]:
    def told(value_s: float) -> float | None:
        return None if math.isnan(value_s) else round(value_s * MS_PER_S, 1)

    return {"n": spread.n, "p50_ms": told(spread.p50_s), "p99_ms": told(spread.p99_s)}


def _free_bytes(config: FarmConfig) -> int | None:
    try:
        return shutil.disk_usage(config.store.dir).free
    except OSError:
        return None
