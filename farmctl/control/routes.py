"""Every path of the control API as data: the server and its OpenAPI document are made from the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from farmctl.control import shapes, shapes_ahead, sites
from farmctl.control.asked import Asked, Noted
from farmctl.control.bells import ReportOrder, ShelveOrder
from farmctl.control.identity import Role
from farmctl.control.leases import LeaseOrder
from farmctl.control.miners import MOST
from farmctl.control.orders import ORDER_MODEL
from farmctl.control.stream.ring import TOPICS

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One parameter of a question."""

    name: str
    about: str
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path."""

    name: str
    """Of the operation, and of what answers it."""
    method: str
    path: str
    about: str
    answer: type[BaseModel] | None
    """None: a stream of events."""
    role: Role = Role.VIEWER
    query: tuple[Query, ...] = ()
    body: type[BaseModel] | TypeAdapter[Any] | None = None
    body_needed: bool = True
    status: int = 200
    refusals: tuple[int, ...] = ()
    """Statuses besides those that every path may answer with."""


def _limit(most: int) -> Query:
    return Query(name="limit", about="At most so many.", schema={"type": "integer", "minimum": 1, "maximum": most})


_NO_PICTURE = (503,)
_ORDER = (409, 412, 413, 507)
_EPOCH = Query(name="epoch", about="Of the snapshot.", schema=TEXT)
_SINCE = Query(
    name="since", about="Revision that the client has.", schema={"type": "string", "pattern": "^[0-9]{1,15}$"}
)
_TO = Query(name="to", about="A power or a share of the rated power: 20MW, 85%.", schema=TEXT)
_BY = Query(name="by", about="How much less than now: 5MW, 30%.", schema=TEXT)

ROUTES: tuple[Route, ...] = (
    Route(
        name="health", method="GET", path="/v1/health", about="200 only while the last cycle is fresh",
        answer=shapes.Health, refusals=_NO_PICTURE,
    ),
    Route(
        name="state", method="GET", path="/v1/state", about="The status strip",
        answer=shapes.State, refusals=_NO_PICTURE,
    ),
    Route(
        name="snapshot", method="GET", path="/v1/snapshot", about="The whole site in columns at one revision",
        answer=shapes.Snapshot, refusals=_NO_PICTURE,
    ),
    Route(
        name="watch", method="GET", path="/v1/watch", answer=None, refusals=(410, *_NO_PICTURE),
        about="Server-sent events from a revision on; 410: take a snapshot",
        query=(
            _SINCE, _EPOCH,
            Query(name="topics", about=f"Some of {','.join(TOPICS)}, separated by commas.", schema=TEXT),
        ),
    ),
    Route(
        name="miners", method="GET", path="/v1/miners", about="A filtered and sorted window on the fleet",
        answer=shapes.MinerPage, refusals=_NO_PICTURE,
        query=(
            Query(name="filter", about="Such as state=fault model~S21 t>85 !cont=C041.", schema=TEXT),
            Query(name="sort", about="A column; with - before it the greatest first.", schema=TEXT),
            _limit(MOST),
            Query(name="cursor", about="Of the page before.", schema=TEXT),
        ),
    ),
    Route(
        name="miner", method="GET", path="/v1/miners/{id}", about="One miner with its operating points",
        answer=shapes.OneMiner, refusals=(404, *_NO_PICTURE),
    ),
    Route(
        name="why", method="GET", path="/v1/miners/{id}/why", about="Why a miner is where it is, what would move it",
        answer=shapes.Why, refusals=(404, *_NO_PICTURE),
    ),
    Route(
        name="plan", method="GET", path="/v1/plan", about="What a target would do, without doing it",
        answer=shapes.Plan, refusals=_NO_PICTURE,
        query=(
            _TO, _BY,
            Query(
                name="rows", about="Moves to list.", schema={"type": "integer", "minimum": 0, "maximum": MOST},
            ),
        ),
    ),
    Route(
        name="alarms", method="GET", path="/v1/alarms", about="What wants a response, and what is hidden and why",
        answer=shapes.Alarms, refusals=_NO_PICTURE,
    ),
    Route(
        name="alarm_stats", method="GET", path="/v1/alarms/stats", about="How well the alarms served in a day",
        answer=shapes.AlarmStats,
    ),
    Route(
        name="alarm_ack", method="POST", path="/v1/alarms/{id}/ack", about="A person has seen it",
        answer=shapes.OneAlarm, role=Role.OPERATOR, body=Noted, body_needed=False, refusals=(404, *_ORDER),
    ),
    Route(
        name="alarm_shelve", method="POST", path="/v1/alarms/{id}/shelve", about="Hide it for a while; never a P1",
        answer=shapes.OneAlarm, role=Role.OPERATOR, body=ShelveOrder, refusals=(404, *_ORDER),
    ),
    Route(
        name="alarm_unshelve", method="POST", path="/v1/alarms/{id}/unshelve", about="Show it again",
        answer=shapes.OneAlarm, role=Role.OPERATOR, body=Noted, body_needed=False, refusals=(404, *_ORDER),
    ),
    Route(
        name="alarm_report", method="POST", path="/v1/alarms/report", answer=shapes.Reported, role=Role.OPERATOR,
        about="One of the site's own systems says that a condition holds, or is over", body=ReportOrder,
        refusals=_ORDER,
    ),
    Route(
        name="alarm_kinds", method="GET", path="/v1/alarms/catalogue", about="Every alarm: limit, cause, response",
        answer=shapes.Rows,
    ),
    Route(
        name="lease", method="GET", path="/v1/control/lease", about="Who holds manual authority",
        answer=shapes.LeaseAnswer,
    ),
    Route(
        name="lease_take", method="POST", path="/v1/control/lease", about="Hold manual authority, or hold it longer",
        answer=shapes.LeaseAnswer, role=Role.OPERATOR, body=LeaseOrder, refusals=_ORDER,
    ),
    Route(
        name="lease_release", method="DELETE", path="/v1/control/lease", about="Give it back",
        answer=shapes.LeaseAnswer, role=Role.OPERATOR, body=Noted, body_needed=False, refusals=_ORDER,
    ),
    Route(
        name="events", method="GET", path="/v1/events", about="Grid events, the next or newest first",
        answer=shapes.Events, refusals=_NO_PICTURE,
    ),
    Route(
        name="event", method="GET", path="/v1/events/{id}", about="One event: what it asks when, what became of it",
        answer=shapes.OneEvent, refusals=(404, *_NO_PICTURE),
    ),
    Route(
        name="overrides", method="GET", path="/v1/overrides", about="Overrides in force", answer=shapes.Overrides,
    ),
    Route(
        name="containers", method="GET", path="/v1/containers", about="Containers summed up",
        answer=shapes.Rows, refusals=_NO_PICTURE,
    ),
    Route(
        name="racks", method="GET", path="/v1/racks", about="Racks summed up", answer=shapes.Rows,
        refusals=_NO_PICTURE,
    ),
    Route(
        name="circuits", method="GET", path="/v1/circuits", about="The limit tree with loads and ratings",
        answer=shapes.Rows, refusals=_NO_PICTURE,
    ),
    Route(
        name="sites", method="GET", path="/v1/sites", about="Headquarters: every site, what it is told and why",
        answer=sites.Sites, refusals=(404, *_NO_PICTURE),
    ),
    Route(
        name="meters", method="GET", path="/v1/meters", about="Meters with value, quality and age",
        answer=shapes.Rows, refusals=_NO_PICTURE,
    ),
    Route(name="whoami", method="GET", path="/v1/whoami", about="Who the caller is taken for", answer=shapes.Whoami),
    Route(
        name="jobs", method="GET", path="/v1/jobs", about="Orders of this run, newest first", answer=shapes.Jobs,
        query=(_limit(1_000),),
    ),
    Route(
        name="job", method="GET", path="/v1/jobs/{id}", about="How far an order has got", answer=shapes.OneJob,
        refusals=(404,),
    ),
    Route(
        name="job_cancel", method="DELETE", path="/v1/jobs/{id}", about="Take back what can be taken back",
        answer=shapes.Cancelled, role=Role.OPERATOR, body=Asked, refusals=(404, *_ORDER),
    ),
    Route(
        name="audit", method="GET", path="/v1/audit", about="Who did what, why, and what came of it, newest first",
        answer=shapes.Audit, refusals=(507,),
        query=(
            _limit(1_000),
            Query(name="before", about="Only records with a lower number.", schema={"type": "integer", "minimum": 1}),
            Query(name="owner", about="Only what this person did.", schema=TEXT),
            Query(name="verb", about="Only this verb.", schema=TEXT),
        ),
    ),
    Route(
        name="history", method="GET", path="/v1/history", about="Lines over time, from the store",
        answer=shapes.Past, refusals=(404, 507),
        query=(
            Query(name="series", about="site.power_w, cont:C1.hash_ths, owner:A.power_w, MINER.temperature_c; commas.",
                  schema=TEXT),
            Query(name="from", about="2h (ago), a date and time, or ms; default 1h.", schema=TEXT),
            Query(name="to", about="The same; default now.", schema=TEXT),
            Query(name="step", about="60s or seconds; 1s for the site and its parts; chosen where left out.",
                  schema=TEXT),
        ),
    ),
    Route(
        name="config", method="GET", path="/v1/config", about="The configuration in force, with who set what",
        answer=shapes.Settings,
    ),
    Route(
        name="system", method="GET", path="/v1/system", about="How the controller itself does",
        answer=shapes_ahead.System,
    ),
    Route(
        name="outlook", method="GET", path="/v1/outlook", answer=shapes_ahead.Outlook, refusals=_NO_PICTURE,
        about="What is known of the next four hours, and what the site does when nobody is heard",
    ),
    Route(
        name="alarm_history", method="GET", path="/v1/alarms/history", refusals=(507,),
        answer=shapes_ahead.AlarmHistory, about="Every change of an alarm, newest first",
        query=(
            _limit(1_000),
            Query(name="before", about="Only records with a lower number.", schema={"type": "integer", "minimum": 1}),
        ),
    ),
    Route(
        name="commands", method="POST", path="/v1/commands", about="Give one order; it is answered with a job",
        answer=shapes.Taken, role=Role.OPERATOR, body=ORDER_MODEL, status=202, refusals=(404, 503, *_ORDER),
    ),
    Route(
        name="openapi", method="GET", path="/v1/openapi.json", about="This document", answer=shapes.Document,
    ),
)  # fmt: skip
