"""The fail-safe ladder of SIGNALS section 7, row by row: each loss is seen as mode, alarm, metric and ack."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiomqtt
import pytest

from farmctl.core.memory import Memory
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import config
from tests.signals.lookout import Lookout
from tests.signals.site_loop import Grid, Overheard, Site, overhearing
from tests.signals.words import JsonObject

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

ORDER = "order"


@dataclass
class Stage:
    """A site under an order that it has reached, its grid, a stranger who listens, and the site's screens."""

    mosquitto: Mosquitto
    site: Site
    grid: Grid
    overheard: Overheard
    lookout: Lookout
    listed: JsonObject = field(default_factory=dict)

    async def silence(self, seconds: int) -> None:
        await self.site.run(seconds)

    def told(self) -> list[tuple[str, str]]:
        """(state, reason) of every ack about the order that the stranger has read."""
        acks = [body for topic, body in self.overheard.messages if topic.endswith("/ack")]
        return [(body["state"], body["reason"]) for body in acks if body["eventId"] == ORDER]


async def boot(stage: Stage) -> None:
    """The controller starts anew, and nobody confirms the snapshot that it finds."""
    memory: Memory = stage.site.day.memory
    stage.site.day.memory = memory.rebooted(stage.site.day.now_ms)
    stage.site.source.ask_again()
    await stage.site.until(lambda: not stage.site.inbox.links[0].confirmed)
    await stage.silence(40)


async def broker_loss(stage: Stage) -> None:
    """The broker dies; what the site says meanwhile is read when it is back."""
    stage.site.clock.gate.clear()
    await stage.mosquitto.kill()
    await stage.silence(100)


async def publisher_silence(stage: Stage) -> None:
    """The broker lives, and no heartbeat comes."""
    await stage.silence(100)


async def meter_loss(stage: Stage) -> None:
    stage.site.day.metered = False
    await stage.grid.lets_pass(30)


async def clock_skew(stage: Stage) -> None:
    """The grid's clock is eight seconds ahead, and it orders something new."""
    for _ in range(2):
        stage.grid.ahead_ms = 8_000
        await stage.grid.beat()
        await stage.site.run(5)
    stage.grid.ahead_ms = 0
    await stage.grid.orders(ORDER + "-2", target_kw=0.3 * stage.site.rated_kw)
    await stage.grid.orders("trip", limit_kw=0.1 * stage.site.rated_kw, event_class="EMERGENCY")
    await stage.site.run(2)


async def grid_outage(stage: Stage) -> None:
    """The meter shows neither power nor voltage; it is back, but nobody has told yet what holds."""
    stage.site.day.supply_fails()
    await stage.grid.lets_pass(20)
    stage.site.day.supply_returns()
    await stage.site.run(30)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One loss and what is to be seen of it."""

    loss: Callable[[Stage], Awaitable[None]]
    mode: str
    alarm: str
    says: str
    """Part of what the alarm says."""
    metric: str
    """A series that is 1."""
    ack: tuple[str, str]
    """(state, reason)."""
    event: str = ORDER
    most: float | None = None
    """Highest share of the rating that the site may draw then."""


ROWS = {
    "boot": Row(
        loss=boot, mode="INIT_FAILSAFE", alarm="signal_stale", says="silent for",
        metric='farmctl_control_mode{mode="init_failsafe"}', ack=("REACHED", "BOOT_FAILSAFE"), most=0.25,
    ),
    "broker loss": Row(
        loss=broker_loss, mode="FAILSAFE", alarm="signal_stale", says="silent for",
        metric='farmctl_control_mode{mode="failsafe"}', ack=("REACHED", "SIGNAL_STALE"), most=0.25,
    ),
    "publisher silence": Row(
        loss=publisher_silence, mode="FAILSAFE", alarm="signal_stale", says="silent for",
        metric='farmctl_control_mode{mode="failsafe"}', ack=("REACHED", "SIGNAL_STALE"), most=0.25,
    ),
    "meter loss": Row(
        loss=meter_loss, mode="FOLLOWING", alarm="meter_lost_armed", says="guard band",
        metric='farmctl_site_power_source{source="summed"}', ack=("REACHED", "METER_LOST_GUARD"), most=0.61,
    ),
    "clock skew": Row(
        loss=clock_skew, mode="EMERGENCY", alarm="clock_refusing", says="+8.00 s against grid",
        metric='farmctl_alarm_active{alarm="clock_refusing",container="grid",priority="2"}',
        ack=("REJECTED", "CLOCK_AHEAD"), event=ORDER + "-2",
    ),
    "grid outage": Row(
        loss=grid_outage, mode="FAILSAFE", alarm="signal_stale", says="a grid outage was seen",
        metric='farmctl_control_mode{mode="failsafe"}', ack=("OPTED_OUT", "outageRunStatus"), most=0.25,
    ),
}  # fmt: skip


@contextlib.asynccontextmanager
async def under_an_order(mosquitto: Mosquitto) -> AsyncIterator[Stage]:
    await mosquitto.start()
    site = Site(config(mosquitto.port))
    async with (
        overhearing(mosquitto.port) as overheard,
        site.running(),
        aiomqtt.Client(mosquitto.host, mosquitto.port) as client,
    ):
        grid = Grid(client, site.clock)
        grid.site = site
        stage = Stage(mosquitto, site, grid, overheard, Lookout(site))
        await site.until(lambda: any(link.connected for link in site.inbox.links))
        await grid.is_alive()
        await site.run(10)
        stage.listed = await grid.orders(ORDER, target_kw=0.6 * site.rated_kw, for_s=900)
        await grid.is_alive(stage.listed)
        await grid.lets_pass(30)
        await site.until(lambda: stage.told()[-1:] == [("REACHED", "")])
        yield stage


@pytest.mark.parametrize("name", ROWS)
async def test_a_loss_is_seen_as_mode_alarm_metric_and_ack(mosquitto: Mosquitto, name: str) -> None:
    row = ROWS[name]
    with contextlib.suppress(aiomqtt.MqttError):  # the dispatcher's own connection, where the broker dies
        async with under_an_order(mosquitto) as stage:
            site, heard = stage.site, stage.overheard
            await row.loss(stage)
            assert site.day.decision.mode.value == row.mode
            assert row.says in stage.lookout.alarms[row.alarm]
            assert stage.lookout.metrics()[row.metric] == 1.0
            assert row.most is None or site.day.mean_w(10) <= row.most * site.day.rated_w * 1.01
            if site.clock.gate.is_set():
                await _until_told(site, heard, row)
            else:
                await mosquitto.start()
                async with overhearing(mosquitto.port) as after:
                    site.clock.gate.set()
                    await _until_told(site, after, row)


async def _until_told(site: Site, heard: Overheard, row: Row) -> None:
    def told() -> bool:
        acks = [body for topic, body in heard.messages if topic.endswith("/ack") and body["eventId"] == row.event]
        return any(body["state"] == row.ack[0] and body["reason"].startswith(row.ack[1]) for body in acks)

    await site.until(told)


async def test_after_an_outage_what_the_grid_lists_again_is_resumed_and_nothing_else(mosquitto: Mosquitto) -> None:
    async with under_an_order(mosquitto) as stage:
        site, grid = stage.site, stage.grid
        await grid.orders("unlisted", limit_kw=0.5 * site.rated_kw, for_s=900)
        site.day.supply_fails()
        await grid.lets_pass(20)
        site.day.supply_returns()
        await site.run(5)
        assert site.day.modes[-1].value == "FAILSAFE"
        await grid.is_alive(stage.listed)
        await site.run(2)
        assert site.day.modes[-1].value == "FOLLOWING"
        assert {track.event.event_id for track in site.day.memory.tracks if track.live} == {ORDER}
        await grid.lets_pass(30)
        await site.until(lambda: stage.told()[-1:] == [("REACHED", "")])
    assert site.day.modes[-2].value == "FAILSAFE"
    assert abs(site.day.mean_w(5) / site.day.rated_w - 0.6) < 0.03
