"""What must hold at every second of every history, whatever fails; each law is one function and one name."""

from __future__ import annotations

from collections import defaultdict, deque

from farmctl.core.memory import Standing
from farmctl.core.model import OperatingPoint
from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.journal import Intact
from tests.dst.grid import Order
from tests.dst.history import AUX_W, World
from tests.dst.machines import Machine

WINDOW_S = 80.0
"""30 s to respond, 20 s of a slow firmware's way down, 20 s until a refusal is noticed, and two cycles of retries."""
LOST_S = 60.0
MARGIN_S = 16.0
"""A command on the wire when the reason went: its deadline, and the weather of the last messages."""
OVER = 1.01
RECENT = 5
"""A command may be on the wire while newer ones for the same miner are made durable."""


class Watcher:
    """Looks at the world once a second, and at every command."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intent: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._full_since_s: float | None = None
        self._full_s = -1e9
        world.disk.on_record = self._recorded

    def tick(self) -> None:
        """One second has passed."""
        world = self._world
        now_s = world.loop.now_s
        world.grid.hear()
        world.shown_w.append((now_s, world.power_w()))
        self._full_since_s = None if not world.disk.is_full else self._full_since_s or now_s
        self._full_s = now_s if world.disk.is_full else self._full_s
        for at_s, machine, before, after in world.applied:
            self._command(at_s, machine, before, after)
        world.applied.clear()
        if world.life is not None and world.life.crashes:
            world.breaks("no part of the controller crashes", repr(world.life.crashes[0]))
        if now_s - world.upset_s > WINDOW_S and world.clock.shift_ms == 0 and world.life is not None:
            self._limits(now_s)
            self._failsafe(now_s)
        self._nodes(now_s)
        quiet = world.life is not None and world.clock.shift_ms == 0 and now_s - world.upset_s > MARGIN_S
        for order in world.grid.orders.values():
            if quiet and now_s - 1.0 < order.end_s <= now_s and order.deleted_s is None:
                order.ended_quietly = order.accepted_s is not None

    async def at_the_end(self) -> None:
        """After the calm."""
        world = self._world
        verdict = await world.disk.store.verify()
        if not isinstance(verdict, Intact):
            world.breaks("the journal's chain is whole", repr(verdict))
        for order in world.grid.orders.values():
            if order.accepted_s is not None and not order.is_over:
                world.breaks("every accepted event reaches its end", f"{order.event_id}: {order.states}")
            if order.ended_quietly and "CANCELLED" in order.states and order.deleted_s is None:
                world.breaks("what is over was not cancelled", f"{order.event_id}: {order.states}")
        self._settled()

    # ---- power

    def _limits(self, now_s: float) -> None:
        """A limit is kept by the 10-s mean once its response window is over."""
        live = [o for o in self._world.grid.orders.values() if self._binds(o, now_s)]
        if not live or len(self._world.shown_w) < 10:
            return
        binding = min(live, key=lambda o: o.limit_w or 0.0)
        mean_w = sum(power_w for _, power_w in list(self._world.shown_w)[-10:]) / 10
        allowed_w = OVER * (binding.limit_w or 0.0) + self._doubtful_w(range(len(self._world.machines)), now_s)
        if mean_w > max(allowed_w, self._least_w()):
            self._world.breaks(
                "no 10-s mean above a limit after its window",
                f"{binding.event_id}: {mean_w:.0f} W above {allowed_w:.0f} W",
            )

    def _failsafe(self, now_s: float) -> None:
        """A grid that has been silent for long finds the site at its firm level."""
        world = self._world
        if now_s - max(world.grid.said_s, world.upset_s) < LOST_S + MARGIN_S + WINDOW_S:
            return
        everybody = range(len(world.machines))
        allowed_w = OVER * world.rules.failsafe_limit_w + self._doubtful_w(everybody, now_s)
        if world.shown_w[-1][1] > max(allowed_w, self._least_w()):
            world.breaks("a silent grid finds the firm level", f"{world.shown_w[-1][1]:.0f} W above {allowed_w:.0f} W")

    def _binds(self, order: Order, now_s: float) -> bool:
        if order.limit_w is None or order.accepted_s is None or order.deleted_s is not None or order.is_over:
            return False
        if now_s - max(order.start_s, order.accepted_s) < WINDOW_S:
            return False
        return order.event_class == "EMERGENCY" or now_s < order.end_s

    def _nodes(self, now_s: float) -> None:
        """No circuit above its rating for longer than the window, whatever its miners say."""
        world = self._world
        for node in range(1, len(world.tree.names)):
            rows = [row for row, at in enumerate(world.nodes) if at == node]
            drawn_w = sum(world.machines[row].power_w() for row in rows)
            allowed_w = OVER * float(world.tree.rating_w[node]) + self._doubtful_w(rows, now_s)
            since = world.over_since.setdefault(node, now_s)
            if drawn_w <= allowed_w or world.life is None:
                world.over_since[node] = now_s
            elif now_s - since > WINDOW_S:
                world.breaks("no circuit above its rating", f"{world.tree.names[node]}: {drawn_w:.0f} W")

    def _doubtful_w(self, rows: range | list[int], now_s: float) -> float:
        """Full draw of the miners that lied, rebooted or fell silent within the window."""
        machines = (self._world.machines[row] for row in rows)
        return sum(m.full_w for m in machines if now_s - m.doubted_s < WINDOW_S)

    def _least_w(self) -> float:
        """What nobody can shed: the auxiliary load and sleeping miners, and those that cannot be reached."""
        world = self._world
        stuck_w = sum(m.power_w() for m in world.machines if m.ills and max(m.ills.values()) > world.loop.now_s)
        return 1.02 * (AUX_W + stuck_w + sum(m.ladder.points[0].power_w for m in world.machines))

    # ---- commands

    def _recorded(self, record: JournalRecord) -> None:
        if record.kind is RecordKind.COMMAND:
            for miner in _miners(record):
                self._intent[miner].append(str(record.body["setting"]))

    def _command(self, at_s: float, machine: Machine, before: OperatingPoint, after: OperatingPoint) -> None:
        world, grid = self._world, self._world.grid
        raises = after.power_w > before.power_w
        if after.setting not in self._intent[str(machine.miner_id)] and (raises or at_s - self._full_s > MARGIN_S):
            world.breaks("intent is durable before the wire", f"{machine.miner_id} {after.setting}")
        if not raises:
            return
        why = ""
        if at_s - max(grid.said_s, world.upset_s) > LOST_S + MARGIN_S:
            why = "the grid had been silent for longer than allowed"
        elif world.stopped_s is not None and at_s - world.stopped_s > MARGIN_S:
            why = "the operator had stopped the site"
        elif before.hash_rate_hs == 0.0 and any(self._latched(order, at_s) for order in grid.orders.values()):
            why = "an emergency was latched"
        elif self._full_since_s is not None and at_s - self._full_since_s > MARGIN_S:
            why = "nothing could be made durable"
        if why and world.clock.shift_ms == 0:
            world.breaks("no raise without a live reason", f"{machine.miner_id} to {after.setting}: {why}")

    def _latched(self, order: Order, at_s: float) -> bool:
        emergency = order.event_class == "EMERGENCY" and order.accepted_s is not None and order.deleted_s is None
        return emergency and at_s - (order.accepted_s or 0.0) > MARGIN_S

    # ---- after the calm

    def _settled(self) -> None:
        world = self._world
        cycle = world.life.cycle if world.life is not None else None
        if cycle is None or cycle.latest is None:
            world.breaks("the controller lives at the end", "it does not")
            return
        rows, seen = cycle.latest.memory.rows, cycle.latest.decision.seen
        for row, machine in enumerate(world.machines):
            if rows.standing[row] == Standing.PENDING and not seen.confirmed[row]:
                waited_s = (world.clock.now_ms() - int(rows.commanded_ms[row])) / 1000
                if waited_s > WINDOW_S + machine.ladder.up_s:
                    world.breaks(
                        "every wanted point is confirmed or explained", f"{machine.miner_id}: {waited_s:.0f} s"
                    )
        could_w = min(world.rules.rated_w, float(world.tree.rating_w[1:].sum()) + AUX_W)
        if world.power_w() < 0.8 * could_w:
            mode = cycle.latest.decision.mode.value
            world.breaks("the site comes back after a bad day", f"{world.power_w():.0f} of {could_w:.0f} W, {mode}")


def _miners(record: JournalRecord) -> list[str]:
    miners = record.body["miners"]
    return [str(miner) for miner in miners] if isinstance(miners, list | tuple) else [str(miners)]
