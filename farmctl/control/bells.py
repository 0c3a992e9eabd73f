"""Alarms at the API: the list with what to do, acknowledge, shelve, figures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from farmctl.control.asked import Asked, Noted, ordered, read
from farmctl.control.identity import Caller
from farmctl.control.wire import ApiError, Json, iso
from farmctl.core.alarms import Alarm, AlarmBoard, Condition, Truth, kpis
from farmctl.core.units import MS_PER_S
from farmctl.ports.control import AlarmOrders, Orders
from farmctl.ports.site import Clock


class ShelveOrder(Asked):
    """Hide an alarm: until a moment, or `once`, until its condition is over."""

    until: Annotated[AwareDatetime, Field(strict=False)] | Literal["once"]


class ReportOrder(Asked):
    """What one of the site's own systems says: a condition holds, or is over."""

    alarm: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    where: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^@]+$")] = "site"
    detail: Annotated[str, Field(max_length=300)] = ""
    """Value and limit."""
    n: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    holds: bool = True
    until: Annotated[AwareDatetime, Field(strict=False)] | None = None
    """After this the report proves nothing any more; left out: it counts until it is taken back."""


class AlarmDoor:
    """Where alarms are listed and ordered."""

    def __init__(self, alarms: AlarmOrders, orders: Orders, clock: Clock) -> None:
        self._alarms = alarms
        self._orders = orders
        self._clock = clock

    def listed(self) -> Json:
        """Every alarm that is not normal, and whether a flood hides the lesser ones behind counts."""
        board = self._alarms.board
        return {"rows": self.rows(), "flood": board.flooded, "collapsed": collapsed(board)}

    def rows(self) -> list[Json]:
        """What a person sees: in a flood P1 and P2, and what is shelved or suppressed."""
        return [self._row(alarm) for alarm in self._alarms.board.single]

    def catalogue(self) -> list[Json]:
        """Every alarm that can be raised, worst first."""
        return [
            {
                "alarm": kind.alarm, "priority": kind.priority, "summary": kind.summary, "source": kind.source.value,
                "watched_by": kind.watched_by, "setpoint": kind.setpoint, "deadband": kind.deadband,
                "guard": kind.guard, "on_delay_s": kind.on_delay_s, "off_delay_s": kind.off_delay_s,
                "suppressed_by": sorted(cause.value for cause in kind.suppressed_by), "owner": kind.owner,
                "cause": kind.cause, "consequence": kind.consequence, "response": kind.response,
                "runbook": kind.runbook,
            }
            for kind in sorted(self._alarms.kinds.values(), key=lambda kind: kind.priority)
        ]  # fmt: skip

    def stats(self) -> Json:
        """The figures of the last day."""
        found = kpis(self._alarms.board, self._clock.now_ms())
        return {
            "raised": found.raised,
            "raised_in_10_min": found.raised_in_10_min,
            "per_10_min": round(found.per_10_min, 3),
            "flood_share": round(found.flood_share, 4),
            "flood": self._alarms.board.flooded,
            "chattering": found.chattering,
            "stale": found.stale,
            "shelved": found.shelved,
            "suppressed": found.suppressed,
            "bad_actors": [{"alarm": key, "n": n} for key, n in found.bad_actors],
            "ack_median_s": {f"p{priority}": seconds for priority, seconds in found.ack_median_s.items()},
        }

    async def report(self, body: bytes, caller: Caller, origin: str) -> Json:
        """A report of the site's own systems. Raises ApiError 400, 403, 409 for an alarm that is not reported, 507."""
        order = read(ReportOrder, body)
        by = caller.by(order.reason, origin=origin)
        told = Condition(
            alarm=order.alarm, priority=0, where=order.where, detail=order.detail, n=order.n,
            truth=Truth.TRUE if order.holds else Truth.UNKNOWN,
        )  # fmt: skip
        until_ms = None if order.until is None else int(order.until.timestamp() * MS_PER_S)
        await ordered(
            self._orders, f"alarm_report {told.key}", caller, by, lambda: self._alarms.report(told, by, until_ms)
        )
        return {"reported": told.key, "holds": order.holds}

    async def take(self, verb: str, key: str, body: bytes, caller: Caller, origin: str) -> Json:
        """One order about one alarm. Raises ApiError 400, 403, 404, 409 where a rule says no, 507."""
        alarms, orders = self._alarms, self._orders
        match verb:
            case "ack":
                by = caller.by(read(Noted, body).reason, origin=origin)
                await ordered(orders, f"alarm_ack {key}", caller, by, lambda: alarms.acknowledge(key, by))
            case "shelve":
                order = read(ShelveOrder, body)
                by = caller.by(order.reason, origin=origin)
                until_ms = None if order.until == "once" else int(order.until.timestamp() * MS_PER_S)
                await ordered(orders, f"alarm_shelve {key}", caller, by, lambda: alarms.shelve(key, by, until_ms))
            case "unshelve":
                by = caller.by(read(Noted, body).reason, origin=origin)
                await ordered(orders, f"alarm_unshelve {key}", caller, by, lambda: alarms.unshelve(key, by))
            case _:
                raise ApiError(404, f"{verb}: expected ack, shelve or unshelve")
        alarm = alarms.board.get(key)
        return {"alarm": None if alarm is None else self._row(alarm)}

    def _row(self, alarm: Alarm) -> Json:
        kind = self._alarms.kinds[alarm.alarm]
        return {
            "id": alarm.key,
            "alarm": alarm.alarm,
            "priority": alarm.priority,
            "where": alarm.where,
            "state": alarm.state.value,
            "holds": alarm.holds,
            "valid": alarm.valid,
            "since": iso(alarm.raised_ms),
            "detail": alarm.detail,
            "cause": kind.cause,
            "consequence": kind.consequence,
            "response": kind.response,
            "runbook": kind.runbook,
            "n": alarm.n,
            "count": alarm.count,
            "first_out": alarm.first_out,
            "owner": alarm.owner,
            "note": alarm.note,
            "shelved_until": iso(alarm.shelved_until_ms),
        }


def collapsed(board: AlarmBoard) -> Json:
    """How many a flood hides, by priority."""
    shown = {alarm.key for alarm in board.single}
    hidden = [alarm.priority for alarm in board.listed if alarm.key not in shown]
    return {f"p{priority}": hidden.count(priority) for priority in (3, 4)}
