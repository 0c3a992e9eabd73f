"""POST /v1/commands: one order at a time, checked, repeated safely, handed to the desk, answered with a job."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import assert_never

import numpy as np
import structlog

from farmctl.control import filter as filters
from farmctl.control import jobs
from farmctl.control.asked import DESK_DEADLINE_S, Asked, ordered, read
from farmctl.control.effects import meaning, override_of, scope_of, view_after
from farmctl.control.filter import Columns
from farmctl.control.identity import Caller
from farmctl.control.jobs import ENDED, Job, JobBook, JobState, Work, drawn_w
from farmctl.control.ledger import Answer, Entry, Ledger
from farmctl.control.miners import select
from farmctl.control.orders import (
    ROLE_FOR,
    SELECTING,
    EmergencyRelease,
    EventOptOut,
    Locate,
    Maintenance,
    Order,
    OverrideRelease,
    OverrideSet,
    Reboot,
    Resume,
    SetPower,
    StopAll,
    read_order,
)
from farmctl.control.plan import imagine, needs_name, told
from farmctl.control.scope import SITE
from farmctl.control.strip import Site, rev_of
from farmctl.control.wire import ApiError, Json
from farmctl.core.units import MS_PER_S, WATTS_PER_KW, IdColumn, to_kw
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.control import By, Glass, Hands, Orders, SitePicture
from farmctl.ports.site import Clock
from farmctl.ports.store import Store

log = structlog.get_logger(__name__)

PLAN_ROWS = 200
SHOWN_MS = 3_600_000
MOST_SHOWN = 20
"""Jobs that a stream shows."""
MOST_HELD = 1_000
"""Miners of one set_power: its override stands in the recording of every cycle."""
UNAUDITED = "farmctl stop-all needs no disk"


class CommandDoor:
    """Where orders come in; remembers keys and jobs."""

    def __init__(
        self,
        glass: Glass,
        orders: Orders,
        hands: Hands,
        clock: Clock,
        site: Site,
        roster: Callable[[SitePicture], Columns],
    ) -> None:
        """`roster` gives the columns that a selector is about; called off the loop."""
        self._glass = glass
        self._orders = orders
        self._hands = hands
        self._roster = roster
        self._clock = clock
        self._site = site
        self._one = asyncio.Lock()
        self._ledger = Ledger()
        self._changed_rev = 0

    async def restore(self, store: Store) -> None:
        """Know the jobs and keys of the last run. Raises StoreError."""
        await self._ledger.restore(store)

    @property
    def jobs(self) -> JobBook:
        """The last orders."""
        return self._ledger.jobs

    async def take(self, body: bytes, caller: Caller, origin: str) -> Answer:
        """One order from one caller; `origin` is what the client declares about itself.

        Raises ApiError: 400 unreadable or not confirmed, 403 not permitted, 409 key reused or refused by a rule,
        412 changed since `if_rev`, 503 no picture yet, 507 not durable.
        """
        order = read_order(body)
        by = caller.by(order.reason, key=order.idempotency_key or "", origin=origin)
        try:
            return await self._taken(order, caller, by)
        except ApiError as error:
            if not order.dry_run:
                await self._orders.audit(order.verb, by, f"{error.status} {error}")
            raise

    async def _taken(self, order: Order, caller: Caller, by: By) -> Answer:
        caller.must_be(ROLE_FOR[order.verb], order.verb)
        if order.dry_run:
            return Answer(status=200, body={"plan": await self._plan(order)})
        async with self._one:
            said, now_ms = meaning(order), self._clock.now_ms()
            known = self._ledger.known(caller.uid, order.idempotency_key, said, now_ms)
            if known is not None:
                return known
            answer = await self._carry_out(order, by, said)
        log.info(
            "order_taken", verb=order.verb, uid=caller.uid, name=caller.name, role=caller.role.name.lower(),
            reason=order.reason, key=order.idempotency_key, declared_origin=by.origin,
        )  # fmt: skip
        return answer

    async def cancel(self, job_id: str, body: bytes, caller: Caller, origin: str) -> Json:
        """Take an order back: an override is released, everything else can only be answered by a new order.

        Commands on the wire are not called back; the answer says how many those are.
        Raises ApiError 400, 403, 404, 409.
        """
        by = caller.by(read(Asked, body).reason, origin=origin)
        job = self.jobs.get(job_id)
        if job is None:
            raise ApiError(404, f"job {job_id}: no such job since the controller started", field="id")
        if job.override_id is None:
            hint = "farmctl resume" if job.verb == "stop_all" else ""
            raise ApiError(409, f"job {job_id}: {job.verb} is in force; a new order changes it", hint=hint)
        override_id = job.override_id
        release = partial(self._orders.release_override, override_id, by)
        async with self._one:
            await ordered(self._orders, f"cancel {job_id}", caller, by, release)
            picture = self._glass.picture()
            self._changed_rev = 0 if picture is None else rev_of(picture) + 1
            self.jobs.cancel(job_id)
        told = jobs.told(job, picture, self._clock.now_ms(), superseded=True)
        return {"job": {**told, "state": JobState.CANCELLED.value}, "override": override_id, "released": True}

    def listed(self, most: int) -> list[Json]:
        """Orders of this run, newest first."""
        picture, now_ms = self._glass.picture(), self._clock.now_ms()
        return [
            jobs.told(job, picture, now_ms, superseded=self.jobs.superseded(job)) for job in self.jobs.latest(0, most)
        ]

    def latest(self, now_ms: int) -> list[Json]:
        """The jobs of the last minutes with their progress, newest first."""
        picture = self._glass.picture()
        recent = self.jobs.latest(now_ms - SHOWN_MS, MOST_SHOWN)
        return [jobs.told(job, picture, now_ms, superseded=self.jobs.superseded(job)) for job in recent]

    async def settle(self) -> None:
        """Note in the journal what has become of every job that ended since the last call."""
        picture, now_ms = self._glass.picture(), self._clock.now_ms()
        for job in self.jobs.open:
            now = jobs.told(job, picture, now_ms, superseded=self.jobs.superseded(job))
            if now["state"] not in ENDED or job.by is None:
                continue
            self.jobs.close(job.job_id)
            if job.moves_power or job.work is not None:
                by = replace(job.by, along=self._ledger.states())
                await self._orders.audit(f"{job.verb} ended", by, f"{job.job_id} {now['state']}: {now['text']}")

    async def _carry_out(self, order: Order, by: By, said: str) -> Answer:
        picture = self._glass.picture()
        rev = rev_of(picture) if picture is not None else 0
        chosen = await self._chosen(order, picture)
        if order.if_rev is not None and order.if_rev < self._changed_rev:
            message = f"if_rev {order.if_rev}: an order changed the site at revision {self._changed_rev}"
            raise ApiError(412, message, field="if_rev", hint="look at the site again")
        await self._sensible(order, picture)
        await self._confirmed(order, picture, chosen)
        now_ms = self._clock.now_ms()
        sets = isinstance(order, OverrideSet | SetPower)
        override_id = f"ov-{secrets.token_hex(4)}"
        scope = SITE if picture is None else scope_of(order, picture, _ids(order, chosen))
        job = Job(
            job_id=f"job-{secrets.token_hex(4)}",
            verb=order.verb,
            owner=by.owner,
            reason=order.reason,
            at_ms=now_ms,
            rev=rev,
            from_w=math.nan if picture is None else drawn_w(picture, scope),
            scope=scope,
            moves_power=isinstance(order, StopAll | Resume | OverrideSet | SetPower | OverrideRelease),
            override_id=override_id if sets else None,
            by=by,
            work=Work(total=len(chosen)) if isinstance(order, Reboot | Locate) else None,
        )
        age_s = None if picture is None else (now_ms - picture.decision.at_ms) / MS_PER_S
        named = {"override": override_id} if sets else {}
        armed = None if picture is None else picture.view.armed
        answer = Answer(status=202, body={"job": job.job_id, "rev": rev, "cycle_age_s": age_s, "armed": armed, **named})
        entry = None
        if order.idempotency_key is not None:
            entry = Entry(uid=by.uid, key=order.idempotency_key, meaning=said, at_ms=now_ms, answer=answer)
        by = replace(by, along=self._ledger.states(job, entry))
        try:
            async with asyncio.timeout(DESK_DEADLINE_S):
                await self._order(order, by, job, picture)
                await self._by_hand(order, by, picture, chosen, job.work)
        except RefusedError as error:
            raise ApiError(409, str(error)) from error
        except StoreError as error:
            raise ApiError(507, str(error), hint=UNAUDITED) from error
        except TimeoutError:
            message = f"{order.verb}: the journal did not answer within {DESK_DEADLINE_S:.0f} s"
            raise ApiError(507, message, hint=UNAUDITED) from None
        self._changed_rev = rev + 1
        self._ledger.note(job, entry)
        return answer

    async def _order(self, order: Order, by: By, job: Job, picture: SitePicture | None) -> None:
        desk = self._orders
        match order:
            case StopAll():
                await desk.set_stop_all(by, on=True)
            case Resume():
                await desk.set_stop_all(by, on=False)
            case OverrideSet() | SetPower():
                override_id = job.override_id or ""
                held = override_of(order, by.owner, override_id, job.at_ms, picture, job.scope.miners)
                await desk.set_override(held, by)
            case OverrideRelease():
                await desk.release_override(order.params.id, by)
            case Maintenance():
                await desk.set_maintenance(by, on=order.params.on, containers=order.params.containers)
            case EmergencyRelease() | EventOptOut() | Reboot() | Locate():
                pass
            case _:
                assert_never(order)

    async def _by_hand(
        self, order: Order, by: By, picture: SitePicture | None, chosen: IdColumn, work: Work | None
    ) -> None:
        """What goes past the desk: the latch and single miners."""
        match order:
            case EmergencyRelease() if picture is not None:
                ids = await self._hands.release_emergency(picture, by)
                await self._orders.audit(order.verb, by, f"ok: {', '.join(ids)}")
            case EventOptOut() if picture is not None:
                lease = self._orders.lease
                if lease is not None and lease.uid != by.uid:
                    raise RefusedError(f"the lease is held by {lease.owner}: {lease.reason}")
                await self._hands.opt_out(picture, order.params.id, order.params.why, by)
                await self._orders.audit(order.verb, by, f"ok: {order.params.id} {order.params.why.value}")
            case Reboot() | Locate() if work is not None:
                await self._orders.note(order.verb, by, f"taken: {work.total} miners of {order.selector!r}")
                if isinstance(order, Reboot):
                    self._hands.reboot(chosen.tolist(), work.note)
                else:
                    self._hands.locate(chosen.tolist(), work.note, on=order.params.on)
            case _:
                pass

    async def _chosen(self, order: Order, picture: SitePicture | None) -> IdColumn:
        """The miners that a selector means. Raises ApiError 400, 404 where it finds none, 503."""
        if order.verb not in SELECTING:
            return np.zeros(0, dtype=np.str_)
        if picture is None:
            raise ApiError(503, f"{order.verb}: no cycle has run yet, so no miner is known")
        try:
            terms = filters.parse(order.selector)
        except filters.FilterError as error:
            raise ApiError(400, str(error), field="selector") from error
        columns = await asyncio.to_thread(self._roster, picture)
        found: IdColumn = columns.ids[select(columns, terms)]
        if not len(found):
            raise ApiError(404, f"selector {order.selector!r}: no miner fits", field="selector")
        if isinstance(order, SetPower) and len(found) > MOST_HELD:
            message = f"selector {order.selector!r}: {len(found)} miners fit, expected at most {MOST_HELD}"
            raise ApiError(400, message, field="selector", hint="hold a container or the site: override_set")
        return found

    async def _sensible(self, order: Order, picture: SitePicture | None) -> None:
        """There is something to resume, to release, to maintain. Raises ApiError 404, 409."""
        match order:
            case Resume() if not self._orders.stop_all:
                raise ApiError(409, "resume: nothing is stopped", hint="farmctl status says who decides, and why")
            case OverrideRelease() if all(o.override_id != order.params.id for o in self._orders.overrides):
                message = f"override {order.params.id}: no such override is live"
                raise ApiError(409, message, field="params.id", hint="farmctl override list")
            case Maintenance() if order.params.on and picture is not None:
                columns = await asyncio.to_thread(self._roster, picture)
                known = frozenset(columns.words["cont"].tolist())
                strange = [name for name in order.params.containers if name not in known]
                if strange:
                    message = f"container {strange[0]}: the site has no such container"
                    raise ApiError(404, message, field="params.containers", hint="farmctl containers list")
            case Reboot() | Locate() if picture is not None and not picture.view.armed:
                # DESIGN section 8: these go to the miners past the cycle, which sends nothing by itself then
                message = f"{order.verb}: this controller only observes, and sends nothing to any miner"
                raise ApiError(409, message, hint="[control] observe = false arms it")
            case _:
                pass

    async def _confirmed(self, order: Order, picture: SitePicture | None, chosen: IdColumn) -> None:
        """A large change must name the site, and no change may name another one. Raises ApiError 400."""
        if isinstance(order, StopAll | Maintenance | Locate):
            return
        if order.params.confirm not in ("", self._site.name):
            raise self._unnamed(order.verb, f"was meant for {order.params.confirm}")
        if picture is None:
            raise ApiError(503, f"{order.verb}: no cycle has run yet, so its effect is unknown")
        if isinstance(order, EmergencyRelease | EventOptOut):
            if order.params.confirm != self._site.name:
                raise self._unnamed(order.verb, "lets the site rise again")
            return
        if isinstance(order, Reboot):
            power_w = _power_w(picture, chosen)
            large = power_w > self._site.confirm_fraction * picture.view.rules.rated_w
            if large and order.params.confirm != self._site.name:
                raise self._unnamed(order.verb, f"interrupts {power_w / WATTS_PER_KW:.0f} kW")
            return
        scope = scope_of(order, picture, _ids(order, chosen))
        imagined = await asyncio.to_thread(imagine, picture, view_after(order, picture, scope), self._site, scope)
        if needs_name(imagined, self._site) and order.params.confirm != self._site.name:
            raise self._unnamed(order.verb, f"moves {abs(imagined.change_w) / WATTS_PER_KW:.0f} kW")

    def _unnamed(self, verb: str, what: str) -> ApiError:
        name = self._site.name
        message = f"{verb}: {what}, expected params.confirm to be the site's name, {name}"
        return ApiError(400, message, field="params.confirm", hint=f"--confirm {name}")

    async def _plan(self, order: Order) -> Json:
        picture = self._glass.picture()
        if picture is None:
            raise ApiError(503, "no cycle has run yet: there is nothing to plan on")
        await self._sensible(order, picture)
        chosen = await self._chosen(order, picture)
        if isinstance(order, Reboot | Locate):
            power_kw = to_kw(_power_w(picture, chosen))
            return {
                "rev": rev_of(picture), "sent": False, "total": len(chosen), "power_kw": power_kw,
                "examples": chosen[:PLAN_ROWS].tolist(),
            }  # fmt: skip
        if isinstance(order, Maintenance | EmergencyRelease | EventOptOut):
            raise ApiError(400, f"{order.verb}: it moves no power by itself, so no plan is made", field="dry_run")
        scope = scope_of(order, picture, _ids(order, chosen))
        imagined = await asyncio.to_thread(imagine, picture, view_after(order, picture, scope), self._site, scope)
        made = told(imagined, self._site, PLAN_ROWS)
        return {**made, "confirm": None} if isinstance(order, StopAll) else made


def _ids(order: Order, chosen: IdColumn) -> tuple[str, ...]:
    """The miners that an order about power is about; none: it is about the site or a circuit."""
    return tuple(chosen.tolist()) if isinstance(order, SetPower) else ()


def _power_w(picture: SitePicture, chosen: IdColumn) -> float:
    """What the chosen miners draw, W."""
    rows = np.isin(picture.view.table.miner_id, chosen)
    return float(np.nansum(picture.decision.seen.power_now_w[rows]))
