"""The topic tree of the contract (SIGNALS section 2), and which of it a source listens to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farmctl.signals._intake.desk import Route
from farmctl.signals.mqtt.config import Form, MqttSourceConfig

_SUFFIX = {
    Route.CREATE: "events/create",
    Route.UPDATE: "events/update",
    Route.DELETE: "events/delete",
    Route.SNAPSHOT: "snapshot",
    Route.HEARTBEAT: "heartbeat",
    Route.KEYS: "keys",
    Route.SIMPLE: "simple",
    Route.HELD: "held",
}
_BY_FORM = {
    Form.OPENADR: (Route.HELD, Route.CREATE, Route.UPDATE, Route.DELETE, Route.HEARTBEAT, Route.KEYS, Route.SNAPSHOT),
    Form.SIMPLE: (Route.HELD, Route.SIMPLE, Route.KEYS),
}
OPTIONAL = frozenset({Route.HELD})
"""A broker whose rules were written before it may refuse it; the site then repeats as it always did."""
_QOS = {Route.HEARTBEAT: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Downlink:
    """One downlink topic as the broker has it, and as signatures cover it."""

    route: Route
    topic: str
    canonical: str
    qos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Every topic of one site and one operator; all names are exact, so the own filter is a look-up."""

    downlink: Mapping[str, Downlink]
    ack: str
    telemetry: str
    state: str
    capability: str
    report: str
    status: str

    def heard(self, topic: str) -> Downlink | None:
        """What a message on that topic is to us; None: nothing, whatever the broker thinks we asked for."""
        return self.downlink.get(topic)

    def of(self, route: Route) -> Downlink | None:
        """The topic of that route, None where it is not listened to."""
        return next((d for d in self.downlink.values() if d.route is route), None)


def topics_of(config: MqttSourceConfig) -> Topics:
    """The topics that a configuration names, in the order in which they are subscribed: the snapshot last."""
    routes = [route for form in (Form.SIMPLE, Form.OPENADR) if form in config.forms for route in _BY_FORM[form]]
    downlink = {}
    for route in dict.fromkeys(routes):
        tail = f"{config.op}/{config.site}/{_SUFFIX[route]}"
        topic = f"{config.downlink_root}/{tail}"
        downlink[topic] = Downlink(
            route=route, topic=topic, canonical=f"{config.canonical_root}/{tail}", qos=_QOS.get(route, 1)
        )
    up = f"{config.uplink_root}/{config.site}"
    return Topics(
        downlink=downlink,
        ack=f"{up}/ack",
        telemetry=f"{up}/telemetry",
        state=f"{up}/state",
        capability=f"{up}/capability",
        report=f"{up}/report",
        status=f"{up}/status",
    )
