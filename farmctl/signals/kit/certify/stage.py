"""What a scenario has in its hands: the console, the site's figures, the times that are allowed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from farmctl.core.events import TERMINAL, TRANSITIONS
from farmctl.core.grid import EventState
from farmctl.errors import RefusedError
from farmctl.signals.kit.console import Console
from farmctl.signals.kit.heard import Said
from farmctl.signals.kit.voice import Wish

MOST_SETTLE_S = 240
RISEN_SHARE = 0.5
"""Of what could run: from here on a site counts as one that draws something."""
OURS = "certify-"
"""How the ids of this run's events begin; others are left alone."""
FAILSAFE_MODES = frozenset({"INIT_FAILSAFE", "FAILSAFE"})


class BrokenRuleError(RefusedError):
    """The site broke the rule of the scenario."""


class NotTriedError(RefusedError):
    """The scenario cannot be played against this site, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The longest times, s (SIGNALS section 11), and how long load is moved for."""

    received_s: float = 1.0
    judged_s: float = 2.0
    leaves_failsafe_s: float = 30.0
    respond_s: int = 60
    emergency_s: int = 60
    """Mixed firmware: 95 % within a minute (target 4)."""
    hold_s: int = 20
    terminal_s: float = 60.0
    loss_s: float = 120.0
    """Longest heartbeat_lost_s that a site may have."""
    silent_s: float = 60.0
    """From FAILSAFE to its limit."""
    telemetry_s: float = 2.0
    telemetry_jitter_s: float = 0.5
    late_s: float = 10.0
    """How long an answer that is overdue is waited for, to tell a slow site from one that does not answer."""
    nothing_s: float = 3.0
    """How long nothing must happen after something that has no effect."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """One scenario's view of the site."""

    console: Console
    allow: Allowance
    programme: str
    site_key: bytes | None = None
    """Public key by which the site signs its acks."""
    measured: dict[str, float] = field(default_factory=dict)
    """What was measured, s or kW, by name."""
    _count: int = 0

    def name(self, stem: str) -> str:
        """An event id that was never used before."""
        self._count += 1
        return f"{OURS}{stem}-{self.console.book.epoch}-{self.console.book.seq}-{self._count}"

    def wish(self, stem: str, **stated: Any) -> Wish:
        """An event of this run."""
        return Wish(event_id=self.name(stem), programme=self.programme, **stated)

    async def order(self, wish: Wish, *, operation: str = "CREATE") -> int:
        """Send it and see it received and accepted in time; the place in the acks from which it is answered."""
        since = len(self.console.heard.acks)
        sent_ms = self.console.clock.now_ms()
        await self.console.create(wish, operation=operation)
        for state, within_s in (("RECEIVED", self.allow.received_s), ("ACCEPTED", self.allow.judged_s)):
            said = await self.told(wish.event_id, {state, "REJECTED", "OPTED_OUT"}, within_s, since=since)
            if said.body["state"] != state:
                raise BrokenRuleError(
                    f"{wish.event_id}: {said.body['state']} {said.body.get('code')} {said.body.get('reason')!r}, "
                    f"expected {state}"
                )
            self._worst(f"{state.lower()}_s", (said.at_ms - sent_ms) / 1_000)
        return since

    async def told(self, event_id: str, states: Collection[str], within_s: float, *, since: int = 0) -> Said:
        """The first ack with one of these states.  Raises BrokenRuleError where it does not come in time."""
        heard, started_ms = self.console.heard, self.console.clock.now_ms()
        await self.console.until(lambda: heard.first(event_id, states, since=since), within_s)
        said = heard.first(event_id, states, since=since)
        if said is None:
            await self.console.until(lambda: heard.first(event_id, states, since=since), self.allow.late_s)
            if (late := heard.first(event_id, states, since=since)) is not None:
                took_s = (late.at_ms - started_ms) / 1_000
                raise BrokenRuleError(
                    f"{event_id}: {late.body['state']} came after {took_s:.1f} s, expected within {within_s:g} s"
                )
            found = heard.states(event_id, since=since)
            told = f"told {found}" if found else self.console.why_silent()
            raise BrokenRuleError(f"{event_id}: none of {sorted(states)} within {within_s:g} s: {told}")
        return said

    async def reached(self, event_id: str, within_s: float, *, since: int = 0, name: str = "reached_s") -> Said:
        """See REACHED in time; DEVIATING on the way there is late, not in time."""
        started_ms = self.console.clock.now_ms()
        said = await self.told(event_id, {"REACHED", "DEVIATING", "FAILED"}, within_s + 5, since=since)
        if said.body["state"] != "REACHED":
            short = said.body.get("shortfallKw")
            raise BrokenRuleError(f"{event_id}: {said.body['state']} after {within_s:g} s, {short} kW short")
        self._worst(name, (said.at_ms - started_ms) / 1_000)
        return said

    async def ended(self, event_id: str, state: str, within_s: float, *, since: int = 0) -> None:
        """See its last state in time, and that the whole way there is one that the table has."""
        said = await self.told(event_id, {str(s) for s in TERMINAL}, within_s, since=since)
        if said.body["state"] != state:
            raise BrokenRuleError(f"{event_id}: ended {said.body['state']}, expected {state}")
        told = self.console.heard.states(event_id)
        for before, after in pairwise(told):
            again = after == "RECEIVED" and before not in TERMINAL
            if not again and EventState(after) not in TRANSITIONS[EventState(before)]:
                raise BrokenRuleError(f"{event_id}: {before} was followed by {after}: {told}")

    async def rejected(self, wish: Wish, code: int) -> None:
        """Send it and see it refused with that code, and nothing else."""
        since = len(self.console.heard.acks)
        sent_ms = self.console.clock.now_ms()
        await self.console.create(wish, listed=False)
        said = await self.told(wish.event_id, {"REJECTED", "ACCEPTED", "OPTED_OUT"}, self.allow.judged_s, since=since)
        if (said.body["state"], said.body.get("code")) != ("REJECTED", code):
            raise BrokenRuleError(
                f"{wish.event_id}: {said.body['state']} {said.body.get('code')} {said.body.get('reason')!r}, "
                f"expected REJECTED {code}"
            )
        self._worst("rejected_s", (said.at_ms - sent_ms) / 1_000)

    async def unanswered(self, event_id: str, *, since: int) -> None:
        """See nothing about it: what is forged or old gets no answer that helps who sent it."""
        await self.console.until(lambda: self.console.heard.states(event_id, since=since), self.allow.nothing_s)
        found = self.console.heard.states(event_id, since=since)
        if found:
            raise BrokenRuleError(f"{event_id}: answered {found}, expected no answer")

    def state(self) -> dict[str, Any]:
        """The newest `state`."""
        found = self.console.heard.latest.get("state")
        if found is None:
            raise BrokenRuleError("no retained message on state")
        return found.body

    def power_kw(self) -> float:
        """Power of the newest telemetry."""
        kw = self.console.heard.power_kw()
        if kw is None:
            raise BrokenRuleError("telemetry has no kw")
        return kw

    async def passes(self, seconds: float) -> None:
        """Let time go by."""
        await self.console.until(lambda: False, seconds)

    async def settled_kw(self) -> float:
        """Power once it no longer moves by 2 % within 20 s."""
        last = self.power_kw()
        for _ in range(MOST_SETTLE_S // 20):
            await self.passes(20)
            now = self.power_kw()
            if abs(now - last) <= max(0.02 * last, 1.0):
                return now
            last = now
        return last

    async def movable_kw(self) -> tuple[float, float]:
        """(floor, power now) of a site that draws enough to be lowered.  Raises NotTriedError."""
        for _ in range(MOST_SETTLE_S // 10):
            floor, top = (float(self._sample().get(name) or 0.0) for name in ("minKw", "maxKw"))
            if self.power_kw() - floor >= RISEN_SHARE * (top - floor):
                break
            await self.passes(10)  # it has been let go of a moment ago, and rises
        power = await self.settled_kw()
        floor = float(self._sample().get("minKw") or 0.0)
        if power - floor < max(0.1 * power, 1.0):
            raise NotTriedError(f"the site draws {power:.0f} kW, {floor:.0f} kW of it fixed: nothing to lower")
        return floor, power

    def _sample(self) -> dict[str, Any]:
        found = self.console.heard.latest.get("telemetry")
        if found is None:
            raise BrokenRuleError("no telemetry")
        return found.body

    def _worst(self, name: str, value: float) -> None:
        self.measured[name] = round(max(value, self.measured.get(name, 0.0)), 3)
