"""How commands reach the miners: by this process itself, or through the workers of a site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from farmctl.config.schema import FarmConfig
from farmctl.core.memory import Standing
from farmctl.engine.actuator import Actuator, ActuatorRules, Sender
from farmctl.engine.clock import SystemClock
from farmctl.engine.cycle import Picture
from farmctl.engine.poller import Poller, PollRules
from farmctl.engine.tally import Tally
from farmctl.metrics.controller import ControllerMetrics
from farmctl.ports.shards import Crew
from farmctl.ports.store import Store
from farmctl.wiring.fleet import Fleet

WRITE_DEADLINE_S = 30.0
"""Backstop of one command: a session, a token, a wake and a configuration write, which is 21 s on some Antminers."""
NORMAL_IN_FLIGHT = 100
FAST_POLL_S = 1.5
CALLS_PER_POLL = 4
"""A first poll may need identity, facts, ladder and the reading itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How commands reach the miners, and what must run for it."""

    sender: Sender
    nudge: Callable[[], None]
    """A miner that was busy with something else is free again."""
    parts: Mapping[str, Callable[[], Awaitable[None]]]
    pictures: tuple[Callable[[Picture], None], ...] = ()
    may_raise: Callable[[], bool] = lambda: True
    crew: Callable[[], Crew | None] = lambda: None
    """Who is there, for those who look; None: this process is alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """The right to decide for a site of workers."""

    store: Store
    """Writes only while the right lasts."""
    hands: Callable[[Fleet, Tally, Poller], Wire]
    """The poller polls nobody: what the workers hear is told to its listeners."""
    counts: ControllerMetrics
    """Of this process, whether it leads or not."""


def own_wire(config: FarmConfig, fleet: Fleet, poller: Poller, watch: Tally) -> Wire:
    """This process polls and commands every miner itself."""
    poller.take(fleet.links.values())
    actuator = Actuator(fleet.keeper, poller, SystemClock(), actuator_rules(config), watch)
    actuator.take(fleet.links)
    poller.gives_way = actuator.presses

    def expect(picture: Picture) -> None:
        poller.expect(picture.memory.rows.standing == Standing.PENDING)

    parts = {"poller": poller.run, "actuator": actuator.run}
    return Wire(sender=actuator, nudge=actuator.nudge, parts=parts, pictures=(expect,))


def poll_rules(config: FarmConfig) -> PollRules:
    """How the fleet is polled."""
    poll = config.poll
    return PollRules(
        interval_s=poll.interval_s,
        in_flight=poll.in_flight,
        fast_interval_s=min(FAST_POLL_S, poll.interval_s),
        backoff_max_s=poll.backoff_max_s,
        facts_interval_s=poll.facts_interval_s,
        deadline_s=CALLS_PER_POLL * (poll.connect_s + poll.answer_s),
        prepares=not config.control.observe,
    )


def actuator_rules(config: FarmConfig) -> ActuatorRules:
    """Bounds on commands in flight."""
    return ActuatorRules(
        urgent_in_flight=config.poll.urgent_in_flight,
        normal_in_flight=NORMAL_IN_FLIGHT,
        deadline_s=WRITE_DEADLINE_S,
    )
