"""What the API answers: one handler per operation of the routes, each made from one picture."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog
from aiohttp import web

from farmctl import __version__
from farmctl.control import (
    alarm_history,
    audit,
    groups,
    history,
    jobs,
    leases,
    miners,
    openapi,
    past,
    plan,
    sites,
    strip,
    why,
)
from farmctl.control.bells import AlarmDoor
from farmctl.control.commands import CommandDoor
from farmctl.control.filter import Columns
from farmctl.control.identity import Caller, Role, bearer
from farmctl.control.leases import LeaseDoor
from farmctl.control.outlook import outlook
from farmctl.control.parts import ControlParts
from farmctl.control.roster import Places, roster
from farmctl.control.sizes import SizeError, size_of
from farmctl.control.stream.image import Lists, WireImage, image_of
from farmctl.control.stream.streamer import Streamer
from farmctl.control.stream.watch import MOST_WATCHERS, watch
from farmctl.control.strip import FRESH_S, rev_of
from farmctl.control.wire import ApiError, Json, answer, iso, refusal, whole
from farmctl.core.units import MS_PER_S
from farmctl.ports.control import SitePicture

log = structlog.get_logger(__name__)

BODY_DEADLINE_S = 5.0
REACH_CYCLES = 5
"""The offer is reckoned anew so seldom: it takes 30 ms of a thread at 50,000 miners."""
PLAN_ROWS = 200
AUDIT_ROWS = 100
MOST_AUDIT = 1_000
LAST_SEQ = 999_999_999
Work = TypeVar("Work")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


@dataclass(frozen=True, slots=True)
class Watcher:
    """One client of the stream."""

    caller: Caller
    since_ms: int
    origin: str

    def told(self) -> Json:
        """As the API shows it."""
        role = self.caller.role.name.lower()
        return {"name": self.caller.name, "role": role, "since": iso(self.since_ms), "origin": self.origin}


class Answers:
    """Every answer is made from one picture and carries its `rev`."""

    def __init__(self, parts: ControlParts) -> None:
        self._p = parts
        self.door = CommandDoor(parts.glass, parts.orders, parts.hands, parts.clock, parts.site, self._roster)
        self._bells = AlarmDoor(parts.alarms, parts.orders, parts.clock)
        self._leases = LeaseDoor(parts.orders, parts.clock)
        self._places: Places | None = None
        self._reach: tuple[int, list[Json]] = (-REACH_CYCLES, [])
        """Cycle, and what could be given or taken then."""
        self._columns: tuple[SitePicture, Columns] | None = None
        self._heavy = asyncio.Lock()
        self._watching: dict[int, Watcher] = {}
        self._epoch = (secrets.token_hex(4), 0)
        self.streamer = Streamer(parts.glass.picture, self._listed, self._drawn, self._off_loop)

    def handlers(self) -> dict[str, Handler]:
        """Operation of the routes -> what answers it."""
        return {
            "health": self._health,
            "state": self._state,
            "snapshot": self._snapshot,
            "watch": self._watch,
            "miners": self._miners,
            "miner": self._miner,
            "why": self._why,
            "plan": self._plan,
            "alarms": self._alarms,
            "alarm_stats": self._alarm_stats,
            "alarm_ack": partial(self._alarm_order, "ack"),
            "alarm_shelve": partial(self._alarm_order, "shelve"),
            "alarm_unshelve": partial(self._alarm_order, "unshelve"),
            "alarm_report": self._alarm_report,
            "alarm_kinds": self._alarm_kinds,
            "lease": self._lease,
            "lease_take": self._lease_take,
            "lease_release": self._lease_release,
            "events": self._events,
            "event": self._event,
            "overrides": self._overrides,
            "containers": partial(self._grouped, groups.containers),
            "racks": partial(self._grouped, groups.racks),
            "circuits": partial(self._grouped, lambda picture, _: groups.circuits(picture)),
            "meters": partial(self._grouped, lambda picture, _: groups.meters(picture)),
            "sites": self._sites,
            "whoami": self._whoami,
            "jobs": self._jobs,
            "job": self._job,
            "job_cancel": self._job_cancel,
            "audit": self._audit,
            "history": self._history,
            "config": self._config,
            "system": self._system,
            "outlook": self._outlook,
            "alarm_history": self._alarm_history,
            "commands": self._commands,
            "openapi": self._openapi,
        }

    async def _health(self, _: web.Request) -> web.Response:
        picture = self._p.glass.picture()
        if picture is None:
            return refusal(503, "no cycle has run yet")
        age_s = (self._p.clock.now_ms() - picture.decision.at_ms) / MS_PER_S
        if age_s >= FRESH_S:
            return refusal(503, f"the last cycle is {age_s:.1f} s old, expected less than {FRESH_S:.0f} s")
        return answer({"ok": True, "rev": rev_of(picture), "cycle_age_s": round(age_s, 3)})

    async def _state(self, _: web.Request) -> web.Response:
        parts = self._p
        told = strip.state(self._picture(), parts.site, parts.orders, parts.clock.now_ms())
        return answer({**told, **sites.summed(parts.programme())})

    async def _snapshot(self, _: web.Request) -> web.Response:
        return web.Response(body=await self.streamer.snapshot(), content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        key = id(request)
        self._watching[key] = Watcher(request[CALLER], self._p.clock.now_ms(), _origin(request))
        try:
            return await watch(request, self.streamer, self._p.clock, lambda: self._still(request))
        finally:
            del self._watching[key]

    async def _miners(self, request: web.Request) -> web.Response:
        query = request.query
        limit = whole(query.get("limit", str(miners.DEFAULT_LIMIT)), "limit", low=1, high=miners.MOST)
        window = miners.window_of(query.get("filter", ""), query.get("sort", "id"), limit, query.get("cursor", ""))
        picture = self._picture()
        page = await self._off_loop(lambda: miners.page(self._roster(picture), window))
        return answer({"rev": rev_of(picture), **page})

    async def _miner(self, request: web.Request) -> web.Response:
        picture = self._picture()
        columns = await self._off_loop(lambda: self._roster(picture))
        return answer(why.details(picture, columns, miners.row_of(columns.ids, request.match_info["id"])))

    async def _why(self, request: web.Request) -> web.Response:
        picture = self._picture()
        columns = await self._off_loop(lambda: self._roster(picture))
        row = miners.row_of(columns.ids, request.match_info["id"])
        site, digest = self._p.site, self._p.glass.input_hash
        return answer(await self._off_loop(lambda: why.why(picture, columns, row, site, digest(picture))))

    async def _plan(self, request: web.Request) -> web.Response:
        picture, query = self._picture(), request.query
        rows = whole(query.get("rows", str(PLAN_ROWS)), "rows", low=0, high=miners.MOST)
        view = plan.held_at(picture, _target_w(picture, query.get("to"), query.get("by")))
        site = self._p.site
        return answer({"plan": await self._off_loop(lambda: plan.told(plan.imagine(picture, view, site), site, rows))})

    async def _alarms(self, _: web.Request) -> web.Response:
        picture = self._picture()
        return answer({"rev": rev_of(picture), **self._bells.listed()})

    async def _alarm_stats(self, _: web.Request) -> web.Response:
        return answer(self._bells.stats())

    async def _alarm_order(self, verb: str, request: web.Request) -> web.Response:
        body, by = await _body(request), request[CALLER]
        key = request.match_info["id"]
        return answer(await self._bells.take(verb, key, body, by, _origin(request)))

    async def _alarm_report(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return answer(await self._bells.report(body, request[CALLER], _origin(request)))

    async def _alarm_kinds(self, _: web.Request) -> web.Response:
        return answer({"rows": self._bells.catalogue()})

    async def _lease(self, _: web.Request) -> web.Response:
        return answer({"lease": leases.told(self._p.orders.lease)})

    async def _lease_take(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return answer(await self._leases.take(body, request[CALLER], _origin(request)))

    async def _lease_release(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return answer(await self._leases.release(body, request[CALLER], _origin(request)))

    async def _events(self, _: web.Request) -> web.Response:
        picture = self._picture()
        return answer({"rev": rev_of(picture), "rows": strip.events(picture)})

    async def _overrides(self, _: web.Request) -> web.Response:
        return answer({"rows": [strip.override(order) for order in self._p.orders.overrides]})

    async def _sites(self, _: web.Request) -> web.Response:
        shown = self._p.programme()
        if shown is None:
            raise ApiError(404, "no programme here: this controller has miners, not sites")
        return answer(sites.listed(shown, self._picture(), self._p.clock.now_ms()))

    async def _whoami(self, request: web.Request) -> web.Response:
        caller = request[CALLER]
        return answer(
            {"uid": caller.uid, "name": caller.name, "role": caller.role.name.lower(), "version": __version__}
        )

    async def _job(self, request: web.Request) -> web.Response:
        job_id = request.match_info["id"]
        job = self.door.jobs.get(job_id)
        if job is None:
            raise ApiError(404, f"job {job_id}: no such job since the controller started", field="id")
        superseded = self.door.jobs.superseded(job)
        told = jobs.told(job, self._p.glass.picture(), self._p.clock.now_ms(), superseded=superseded)
        return answer({"job": told})

    async def _job_cancel(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return answer(await self.door.cancel(request.match_info["id"], body, request[CALLER], _origin(request)))

    async def _commands(self, request: web.Request) -> web.Response:
        body = await _body(request)
        taken = await self.door.take(body, request[CALLER], _origin(request))
        return answer(taken.body, status=taken.status)

    async def _event(self, request: web.Request) -> web.Response:
        return answer(await history.event(self._picture(), self._p.store, request.match_info["id"]))

    async def _grouped(self, summed: Callable[[SitePicture, Columns], list[Json]], _: web.Request) -> web.Response:
        picture = self._picture()
        rows = await self._off_loop(lambda: summed(picture, self._roster(picture)))
        return answer({"rev": rev_of(picture), "rows": rows})

    async def _jobs(self, request: web.Request) -> web.Response:
        limit = whole(request.query.get("limit", str(miners.DEFAULT_LIMIT)), "limit", low=1, high=MOST_AUDIT)
        return answer({"rows": self.door.listed(limit)})

    async def _audit(self, request: web.Request) -> web.Response:
        query = request.query
        limit, before = _page_of(query)
        wanted = audit.Wanted(limit=limit, before=before, owner=query.get("owner", ""), verb=query.get("verb", ""))
        return answer(await audit.audit(self._p.store, wanted))

    async def _history(self, request: web.Request) -> web.Response:
        return answer(await past.lines(self._p.history, request.query, self._p.clock.now_ms()))

    async def _system(self, _: web.Request) -> web.Response:
        picture, watching = self._p.glass.picture(), [watcher.told() for watcher in self._watching.values()]
        feeds = [] if picture is None else strip.feeds(picture)
        rev = None if picture is None else rev_of(picture)
        told = {"rev": rev, "watchers": watching, "most_watchers": MOST_WATCHERS, "feeds": feeds}
        return answer({**self._p.system(), **told})

    async def _outlook(self, _: web.Request) -> web.Response:
        picture = self._picture()
        return answer(await self._off_loop(lambda: outlook(picture)))

    async def _alarm_history(self, request: web.Request) -> web.Response:
        limit, before = _page_of(request.query)
        return answer(await alarm_history.history(self._p.store, limit, before))

    async def _config(self, _: web.Request) -> web.Response:
        return answer({"files": list(self._p.config_files), "rows": list(self._p.settings())})

    async def _openapi(self, _: web.Request) -> web.Response:
        return answer(openapi.document())

    def _still(self, request: web.Request) -> bool:
        """A caller with a token may still look: it has not ended or been revoked since."""
        if request[CALLER].uid >= -1 or self._p.remote is None:
            return True
        try:
            return bearer(request, self._p.remote.tokens, self._p.clock.now_ms()).role >= Role.VIEWER
        except ApiError:
            return False

    async def _off_loop(self, work: Callable[[], Work]) -> Work:
        """Work on columns, one piece at a time: readers must not crowd the control loop out of its core."""
        async with self._heavy:
            return await asyncio.to_thread(work)

    def _picture(self) -> SitePicture:
        picture = self._p.glass.picture()
        if picture is None:
            raise ApiError(503, "no cycle has run yet", hint="try again in a second")
        return picture

    def _roster(self, picture: SitePicture) -> Columns:
        """The columns of a picture, made once and shared by everybody who asks about it."""
        if self._columns is not None and self._columns[0] is picture:
            return self._columns[1]
        columns = roster(picture, self._placed(picture), self._p.glass.extras(picture))
        self._columns = (picture, columns)
        return columns

    def _placed(self, picture: SitePicture) -> Places:
        """The places of every row; numbered anew, in a new epoch, when inventory or rows change."""
        inventory, miner_id = self._p.glass.inventory(), picture.view.table.miner_id
        if self._places is None or not self._places.fits(inventory, miner_id):
            started = time.monotonic()
            self._places = Places.of(inventory, miner_id)
            self._epoch = (self._epoch[0], self._epoch[1] + 1)
            log.debug("places_indexed", miners=len(miner_id), seconds=round(time.monotonic() - started, 3))
        return self._places

    def _listed(self, picture: SitePicture) -> Lists:
        """What goes with the columns of a revision."""
        now_ms = self._p.clock.now_ms()
        return Lists(
            strip={**strip.state(picture, self._p.site, self._p.orders, now_ms), **sites.summed(self._p.programme())},
            alarms=self._bells.rows(),
            events=[strip.lasting(event) for event in strip.events(picture)],
            jobs=[strip.lasting(job) for job in self.door.latest(now_ms)],
        )

    def _drawn(self, picture: SitePicture, lists: Lists) -> WireImage:
        """One revision of the stream."""
        places = self._placed(picture)
        if picture.decision.cycle - self._reach[0] >= REACH_CYCLES:
            self._reach = (picture.decision.cycle, strip.reach(picture))
        reach = self._reach[1] if self._p.programme() is None else []  # of a fleet that is not here
        lists = replace(lists, strip={**lists.strip, "reach": reach})
        return image_of(picture, places, self._p.glass.extras(picture), lists, "-".join(map(str, self._epoch)))


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await request.read()
    except TimeoutError:
        raise ApiError(408, f"expected the whole body within {BODY_DEADLINE_S:.0f} s") from None


def _page_of(query: Mapping[str, str]) -> tuple[int, int | None]:
    """How many records of the journal, and before which. Raises ApiError 400."""
    before = query.get("before")
    limit = whole(query.get("limit", str(AUDIT_ROWS)), "limit", low=1, high=MOST_AUDIT)
    return limit, None if before is None else whole(before, "before", low=1, high=LAST_SEQ)


def _origin(request: web.Request) -> str:
    """What the client declares about itself."""
    return request.headers.get("X-Farmctl-Origin", "")[:200]


def _target_w(picture: SitePicture, to: str | None, by: str | None) -> float:
    """`to` is a power or a share of the rated power; `by` lowers from what the site draws now."""
    if (to is None) == (by is None):
        raise ApiError(400, "expected one of to=20MW and by=30%", field="to")
    text, field = (to, "to") if to is not None else (by or "", "by")
    try:
        size = size_of(text)
    except SizeError as error:
        raise ApiError(400, f"{field}={error}", field=field) from None
    if field == "to":
        return size.watts(picture.view.rules.rated_w)
    power_w = picture.decision.site.power_w
    return max(power_w - size.watts(power_w), 0.0)
