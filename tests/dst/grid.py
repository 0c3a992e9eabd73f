"""The grid of a history: keeps its own ledger of what it ordered, says it in the words of the contract, hears acks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.duration import rfc3339
from tests.dst.broker import SimBroker
from tests.dst.virtual import START_MS
from tests.signals.words import TOPIC, JsonObject, event, heartbeat, msg_id, note, snapshot

BEAT_S = 10.0
ACK_TOPIC = "site/v1/site-07/ack"
TERMINAL = frozenset({"REJECTED", "COMPLETED", "FAILED", "CANCELLED", "SUPERSEDED", "OPTED_OUT", "EXPIRED"})


@dataclass(slots=True, kw_only=True)
class Order:
    """One event as the grid knows it, s of the history and W."""

    event_id: str
    event_class: str
    start_s: float
    end_s: float
    limit_w: float | None
    setpoint_w: float | None
    body: JsonObject
    sent_s: float
    deleted_s: float | None = None
    states: list[str] = field(default_factory=list)
    """As the site told them, repeats left out."""
    ended_quietly: bool = False
    """Its end came while the controller lived, knew the time, and nobody withdrew it."""
    accepted_s: float | None = None
    """When its acceptance was heard."""

    @property
    def is_over(self) -> bool:
        """The site has told its last state; older acks may come again after a reconnect."""
        return not TERMINAL.isdisjoint(self.states)


class Grid:
    """A dispatcher that never forgets and may fall silent."""

    def __init__(self, broker: SimBroker, now_s: Callable[[], float]) -> None:
        self.broker = broker
        self.now_s = now_s
        self.orders: dict[str, Order] = {}
        self.is_silent = False
        self.said_s = 0.0
        """When a snapshot was last made, or a heartbeat published while the broker was up.

        A snapshot is retained: whoever connects later hears it, and it is as old as its issue.
        """
        self._seq = 0
        self._beats = 0
        self._listed: JsonObject = {}
        self._read = 0

    async def run(self) -> None:
        """Heartbeats every 10 s, a snapshot every minute."""
        turn = 0
        while True:
            if turn % 6 == 0:
                self.lists()
            self.beats()
            self._insist()
            turn += 1
            await asyncio.sleep(BEAT_S)

    def order(
        self, kind: str, *, limit_w: float | None = None, setpoint_w: float | None = None, lead_s: float, for_s: float
    ) -> Order:
        """Send one event, then the snapshot that holds it."""
        now_s, self._seq = self.now_s(), self._seq + 1
        start_s, end_s = now_s + lead_s, now_s + lead_s + for_s
        payloads = []
        if limit_w is not None:
            payloads.append({"type": "IMPORT_CAPACITY_LIMIT", "values": [limit_w / 1e3]})
        if setpoint_w is not None:
            payloads.append({"type": "DISPATCH_SETPOINT", "values": [setpoint_w / 1e3]})
        times = {"issuedAt": _time(now_s), "expiresAt": _time(end_s)}
        body = event(
            self._seq,
            x={**times, "class": kind, "respondWithinS": 30, "msgId": msg_id(self._seq)},
            payloads=payloads,
            id=f"ev-{self._seq}",
            createdDateTime=_time(now_s),
            intervalPeriod={"start": _time(start_s), "duration": f"PT{round(for_s)}S"},
            priority=10,
        )
        made = Order(
            event_id=body["id"],
            event_class=kind,
            start_s=start_s,
            end_s=end_s,
            limit_w=limit_w,
            setpoint_w=setpoint_w,
            body=body,
            sent_s=now_s,
        )
        self.orders[made.event_id] = made
        if not self.is_silent:
            self._say(Route.CREATE, note(body))
        self.lists()
        self.beats()
        return made

    def delete(self, order: Order) -> None:
        """Withdraw it; an emergency is released."""
        self._seq += 1
        x = {**order.body["x-farmctl"], "seq": self._seq, "msgId": msg_id(self._seq), "issuedAt": _time(self.now_s())}
        x["expiresAt"] = _time(self.now_s() + 600)
        if order.event_class == "EMERGENCY":
            x["release"] = True
        order.deleted_s = order.deleted_s or self.now_s()
        if not self.is_silent:
            self._say(Route.DELETE, note({**order.body, "x-farmctl": x}, "DELETE"))
        self.lists()
        self.beats()

    def _insist(self) -> None:
        """A release is said again until it is answered: no snapshot can clear an emergency."""
        for order in self.orders.values():
            if order.deleted_s is not None and order.event_class == "EMERGENCY" and "CANCELLED" not in order.states:
                self.delete(order)

    def lists(self) -> None:
        """The retained snapshot of all that is live."""
        if self.is_silent:
            return
        now_s, self._seq = self.now_s(), self._seq + 1
        live = [o for o in self.orders.values() if o.deleted_s is None and self._is_live(o)]
        times: dict[str, Any] = {"issuedAt": _time(now_s), "expiresAt": _time(now_s + 3600)}
        self._listed = snapshot(self._seq, *(o.body for o in live), **times)
        self._say(Route.SNAPSHOT, self._listed, retain=True)
        self.said_s = now_s

    def beats(self) -> None:
        """One heartbeat."""
        if self.is_silent or not self._listed:
            return
        self._beats += 1
        at_ms = START_MS + round(self.now_s() * 1000)
        self._say(Route.HEARTBEAT, heartbeat(self._beats, seq=self._seq, of=self._listed, at_ms=at_ms))
        if not self.broker.is_down:
            self.said_s = self.now_s()

    def hear(self) -> None:
        """Read the acks that have come."""
        for topic, payload in self.broker.heard[self._read :]:
            if topic != ACK_TOPIC:
                continue
            ack = json.loads(payload)
            order = self.orders.get(ack["eventId"])
            if order is None or ack["state"] in order.states[-1:]:
                continue
            order.states.append(ack["state"])
            if ack["state"] == "ACCEPTED" and order.accepted_s is None:
                order.accepted_s = self.now_s()
        self._read = len(self.broker.heard)

    def _is_live(self, order: Order) -> bool:
        """Listed until it is over by its own words too: they are whole seconds (seed 519)."""
        return order.event_class == "EMERGENCY" or self.now_s() < order.end_s + 1.0

    def _say(self, route: Route, payload: JsonObject, *, retain: bool = False) -> None:
        self.broker.publish(TOPIC[route], json.dumps(payload).encode(), retain=retain)


def _time(at_s: float) -> str:
    return rfc3339(START_MS + round(at_s) * 1000)
