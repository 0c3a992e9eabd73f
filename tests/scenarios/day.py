"""A day in virtual time: cycles of one second over a site, driven by `step` alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import count
from typing import Any

import numpy as np

from farmctl.core.fleet import NO_METER, FleetTable, FleetView, MeterSample
from farmctl.core.grid import (
    EventClass,
    EventDelete,
    EventPut,
    EventState,
    GridEvent,
    Interval,
    LinkStatus,
    OptOut,
    OptReason,
    SignalMessage,
    SiteMode,
    SnapshotPut,
)
from farmctl.core.memory import Memory
from farmctl.core.model import MinerId, Override, Quality
from farmctl.core.reasons import ORDER, Reason
from farmctl.core.step import Decision, step
from tests.scenarios.site import Farm, farm, ladder, rules

__all__ = ["START_MS", "Day", "Farm", "farm", "ladder", "rules"]

START_MS = 1_795_510_800_000
"""2026-11-24T09:00:00Z."""


class Day:
    """Cycles of one second over a farm; signals and faults happen when the story says so."""

    def __init__(
        self,
        the_farm: Farm,
        *,
        poll_s: float = 2.0,
        metered: bool = True,
        policy: str = "efficiency_first",
        **rule_changes: Any,
    ) -> None:
        """Boot the controller beside a farm that runs."""
        self.farm = the_farm
        self.rated_w = float(the_farm.full_w.sum()) + the_farm.aux_w
        self.rules = rules(**{"rated_w": self.rated_w, **rule_changes})
        self.table = FleetTable.empty(len(the_farm.ladder_of))
        self.table.miner_id[:] = [f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}" for n in range(self.rows)]
        self.table.ladder[:] = the_farm.ladder_of
        self.table.node[:] = the_farm.node
        self.now_ms = START_MS
        self.poll_s = poll_s
        self.policy = policy
        self.metered = metered
        self.meter_noise_w = 0.0
        self.link_alive = True
        self.link_confirmed = True
        self.last_valid_ms = -1
        self.told_all_ms: int | None = None
        self.dark = False
        self.inbox: list[SignalMessage] = []
        self.overrides: list[Override] = []
        self.changes: dict[str, Any] = {}
        """Fields of the view that the story sets: `stop_all`, `maintenance`, `armed`, `may_raise`."""
        self.commands = 0
        self.sent: list[tuple[int, int, int]] = []
        """(ms, row, step) of every command."""
        self.meter: list[tuple[int, float]] = []
        self.acks: list[tuple[str, EventState]] = []
        self.modes: list[SiteMode] = []
        self.sequence = count(1)
        self.memory = Memory.at_boot(self.table.miner_id, self.now_ms)
        self.decision: Decision = self._cycle()

    # ---- the story's verbs

    def event(
        self,
        event_id: str,
        *,
        setpoint_w: float | None = None,
        limit_w: float | None = None,
        for_s: float = 600.0,
        starts_in_s: float = 0.0,
        **changes: Any,
    ) -> GridEvent:
        """Deliver one event; any field may be given by name."""
        seq = next(self.sequence)
        start = self.now_ms + int(starts_in_s * 1000)
        end = start + int(for_s * 1000)
        default = EventClass.TARGET if limit_w is None else EventClass.LIMIT
        event = GridEvent(
            event_id=event_id,
            msg_id=f"m{seq}",
            source="grid",
            issuer="grid-op",
            epoch=1,
            seq=seq,
            event_class=default,
            priority=10,
            created_ms=self.now_ms,
            expires_ms=end,
            intervals=(Interval(start_ms=start, end_ms=end, limit_w=limit_w, setpoint_w=setpoint_w),),
            respond_within_s=30.0,
            tolerance_w=0.02 * self.rated_w,
        )
        event = replace(event, **changes)
        self.inbox.append(EventPut(event=event))
        return event

    def emergency(self, event_id: str, *, limit_w: float = 0.0, for_s: float = 60.0) -> GridEvent:
        """Deliver an EMERGENCY."""
        return self.event(event_id, limit_w=limit_w, for_s=for_s, event_class=EventClass.EMERGENCY)

    def withdraw(self, event_id: str, *, release: bool = False) -> None:
        """Deliver a delete."""
        seq = next(self.sequence)
        self.inbox.append(
            EventDelete(source="grid", event_id=event_id, msg_id=f"m{seq}", epoch=1, seq=seq, release=release)
        )

    def snapshot(self, *events: GridEvent) -> None:
        """Deliver a snapshot that lists these events and no others."""
        seq = next(self.sequence)
        self.inbox.append(SnapshotPut(source="grid", msg_id=f"m{seq}", epoch=1, seq=seq, events=events))

    def override(
        self, target_w: float, *, for_s: float = 600.0, circuit: str = "", miners: tuple[str, ...] = ()
    ) -> None:
        """An operator wants another power for a while: of the site, of one circuit, or of each of some miners."""
        self.overrides.append(
            Override(
                override_id=f"o{len(self.overrides)}",
                owner="kim",
                reason="works on a pump",
                set_at_ms=self.now_ms,
                expires_ms=self.now_ms + int(for_s * 1000),
                target_w=target_w,
                selector=circuit,
                miners=miners,
            )
        )

    def grid_falls_silent(self) -> None:
        """No heartbeat any more; what comes back must pass the recovery test."""
        self.link_alive = False
        self.link_confirmed = False

    def grid_returns(self, *, confirmed: bool = True) -> None:
        """Heartbeats again; confirmed by a newer snapshot or not yet."""
        self.link_alive = True
        self.link_confirmed = confirmed

    def supply_fails(self) -> None:
        """No voltage and no power: every miner is dark."""
        self.dark = True
        self.farm.cut[:] = True

    def supply_returns(self) -> None:
        """Voltage again; control boards come up at full, whatever they were told before."""
        self.dark = False
        self.farm.cut[:] = False
        self.farm.boot(slice(None))

    def grid_tells_all(self, *events: GridEvent) -> None:
        """The grid was asked again, and lists these events and no others."""
        self.snapshot(*events)
        self.told_all_ms = self.now_ms + 1

    def opt_out(self, event_id: str, why: OptReason = OptReason.MUST_RUN, text: str = "") -> None:
        """The site takes no part in an event."""
        self.inbox.append(OptOut(source="grid", event_id=event_id, why=why, text=text))

    def restart(self, *, off_s: float = 0.0) -> None:
        """The controller dies and comes back from its checkpoint; the miners go on as they are."""
        for _ in range(int(off_s)):
            self.now_ms += 1_000
            self.farm.advance(1.0)
        self.memory = self.memory.rebooted(self.now_ms)

    def restart_cold(self, *, off_s: float = 0.0) -> None:
        """The same, with a table in which nothing has been heard of any miner yet."""
        known, self.table = self.table, FleetTable.empty(self.rows)
        for column in ("miner_id", "ladder", "node"):
            getattr(self.table, column)[:] = getattr(known, column)
        self.restart(off_s=off_s)

    def run(self, seconds: float, each: Callable[[], None] | None = None) -> Day:
        """Let time pass, one cycle a second."""
        for _ in range(int(seconds)):
            self.now_ms += 1_000
            self.farm.advance(1.0)
            self._poll()
            self.decision = self._cycle()
            if each is not None:
                each()
        return self

    # ---- what the story looks at

    @property
    def rows(self) -> int:
        """Number of miners."""
        return len(self.farm.ladder_of)

    @property
    def power_w(self) -> float:
        """What the true meter shows now."""
        return self.farm.meter_w()

    @property
    def share(self) -> float:
        """True power over the site's rating."""
        return self.power_w / self.rated_w

    def mean_w(self, seconds: float) -> float:
        """Mean of the true meter over the last seconds."""
        recent = [w for at, w in self.meter if self.now_ms - at < seconds * 1_000]
        return sum(recent) / len(recent)

    def peak_w(self, seconds: float) -> float:
        """Highest true meter value of the last seconds."""
        return max(w for at, w in self.meter if self.now_ms - at < seconds * 1_000)

    def state_of(self, event_id: str) -> EventState | None:
        """Where an event has got to."""
        return next((t.state for t in self.memory.tracks if t.event.event_id == event_id), None)

    def reasons(self) -> set[Reason]:
        """Every reason some row has now."""
        return {ORDER[int(code)] for code in np.unique(self.decision.reasons)}

    def row(self, miner: MinerId) -> int:
        """Row of a miner."""
        return int(np.searchsorted(self.table.miner_id, miner))

    # ---- the loop

    def _poll(self) -> None:
        turns = max(int(self.poll_s), 1)
        due = np.arange(self.rows) % turns == (self.now_ms // 1_000) % turns
        self.farm.answer(self.table, due, self.now_ms)

    def view(self) -> FleetView:
        """The picture of this moment."""
        noise_w = self.meter_noise_w * np.sin(self.now_ms / 1_700.0)
        sample = MeterSample(
            power_w=self.farm.meter_w() + float(noise_w),
            at_ms=self.now_ms,
            quality=Quality.OK,
            supply_gone=self.dark,
        )
        link = LinkStatus(
            source="grid",
            connected=self.link_alive,
            last_valid_ms=self.last_valid_ms,
            confirmed=self.link_confirmed,
            told_all_ms=self.told_all_ms,
        )
        plain = FleetView(
            table=FleetTable(**{f.name: getattr(self.table, f.name).copy() for f in fields(FleetTable)}),
            ladders=self.farm.book,
            groups=("fast",),
            circuits=self.farm.tree,
            rules=self.rules,
            meter=sample if self.metered else NO_METER,
            links=(link,) if self.rules.grid_expected else (),
            inbox=tuple(self.inbox),
            overrides=tuple(self.overrides),
        )
        return replace(plain, **self.changes)

    def _cycle(self) -> Decision:
        if self.link_alive:
            self.last_valid_ms = self.now_ms
        self.meter.append((self.now_ms, self.farm.meter_w()))
        self.memory, decision = step(self.memory, self.view(), self.now_ms, self.policy)
        self.inbox.clear()
        for command in decision.commands:
            self._obey(self.row(command.miner), command.step)
        self.acks += [(ack.event_id, ack.state) for ack in decision.acks]
        if not self.modes or self.modes[-1] is not decision.mode:
            self.modes.append(decision.mode)
        return decision

    def _obey(self, row: int, ladder_step: int) -> None:
        self.commands += 1
        self.sent.append((self.now_ms, row, ladder_step))
        if self.farm.silent[row] or self.farm.cut[row]:
            self.table.refused_ms[row] = self.now_ms
            return
        self.table.sent_ms[row] = self.now_ms
        self.table.acked_ms[row] = self.now_ms
        if not self.farm.deaf[row]:
            self.farm.obey(row, ladder_step)
