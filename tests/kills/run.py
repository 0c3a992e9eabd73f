"""A farm on real sockets whose controller is killed again and again, while the grid and an operator go on asking."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from farmctl.cli.asking import order
from farmctl.control.client import ControlClient, ControllerRefusedError, ControllerSilentError
from farmctl.errors import FarmError
from simulators.grid.orders import EventClass, Order
from tests.farm.controller import Daemon, daemon
from tests.farm.setting import Setting
from tests.farm.site import Site, site
from tests.kills.judge import Judge

NET = 236
LIFE_S = 150.0
"""A controller that is not online after this long is a failure, on any machine."""
STARTUP_SHARE = 0.25
"""Of the kills that come while the controller still starts."""
QUIET_SHARE = 0.3
"""Of the lives in which nobody asks for anything before the controller is back: what it does then is its own doing."""
AFTER_S = (0.0, 1.2)
ASK_EVERY_S = (0.1, 0.6)
CALM_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to."""

    kills: int
    in_startup: int
    events_accepted: int
    overrides_acknowledged: int
    records: int
    commands: int
    restarts_judged: int
    """Lives that decided before anything new was heard: nobody may be shed in them."""
    recovery_p50_s: float
    recovery_max_s: float
    """From the start of the process until the grid was told its mode."""
    wall_s: float
    broken: tuple[str, ...]


@dataclass(slots=True)
class Story:
    """The run so far."""

    there: Site
    dice: Random
    judge: Judge
    recovered_s: list[float]
    in_startup: int = 0
    number: int = 0


async def killed(folder: Path, kills: int, *, seed: int, miners: int, say: Callable[[str], None]) -> Result:
    """So many kills of one farm's controller."""
    began_s = time.monotonic()
    setting = Setting(net=NET, mix={"luxos-s19kpro": miners - miners // 4, "m50": miners // 4}, lost_s=120.0)
    async with site(folder, setting) as there:
        story = Story(there, Random(seed), Judge(there), [])  # noqa: S311 - moments to kill at, not secrets
        for number in range(kills):
            story.number = number
            await _life(story)
            await story.judge.after_kill()
            if (number + 1) % 10 == 0:
                say(f"{number + 1}/{kills} kills, {len(story.judge.broken)} broken")
        await _last_life(story)
    judge, recovered_s = story.judge, story.recovered_s or [float("nan")]
    return Result(
        kills=kills,
        in_startup=story.in_startup,
        events_accepted=len(judge.accepted()),
        overrides_acknowledged=len(judge.overrides),
        records=judge.head,
        commands=judge.commands,
        restarts_judged=judge.restarts.judged,
        recovery_p50_s=round(statistics.median(recovered_s), 2),
        recovery_max_s=round(max(recovered_s), 2),
        wall_s=round(time.monotonic() - began_s, 1),
        broken=tuple(judge.broken),
    )


async def _life(story: Story) -> None:
    """Start, go on for a random while, kill."""
    there, dice = story.there, story.dice
    began_s, known = time.monotonic(), len(there.grid.uplink.modes)
    async with daemon(there) as running:
        heard = asyncio.Event()
        asking = asyncio.ensure_future(_ask(story, heard))
        if dice.random() >= QUIET_SHARE:
            heard.set()
        try:
            if dice.random() < STARTUP_SHARE and story.recovered_s:
                story.in_startup += 1
                await asyncio.sleep(dice.uniform(0.0, statistics.median(story.recovered_s)))
            else:
                await _online(there, running, known)
                story.recovered_s.append(time.monotonic() - began_s)
                heard.set()
                await story.judge.resumed()
                await asyncio.sleep(dice.uniform(*AFTER_S))
            await story.judge.before_kill()
        finally:
            # The kill comes first, whatever is asked at this moment is asked of a dead controller.
            if not running.ended:
                running.process.send_signal(signal.SIGKILL)
            while not asking.done():  # a cancel that meets the broker's receipt is lost in asyncio.wait_for
                asking.cancel()
                await asyncio.wait([asking], timeout=1.0)
        await running.process.wait()


async def _last_life(story: Story) -> None:
    """One more life without a kill: whatever was accepted reaches its end, and what was told is kept."""
    there = story.there
    known = len(there.grid.uplink.modes)
    async with daemon(there) as running:
        await _online(there, running, known)
        await story.judge.kept()
        for order_id in list(there.grid.ledger.live):
            with contextlib.suppress(KeyError):
                await there.grid.delete(order_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALM_S):
                while story.judge.unfinished():  # noqa: ASYNC110 - acks come by MQTT, nobody sets an event
                    await asyncio.sleep(0.2)
        await running.end(signal.SIGTERM)
    await story.judge.at_the_end()


async def _online(there: Site, running: Daemon, known: int) -> None:
    async with asyncio.timeout(LIFE_S):
        while len(there.grid.uplink.modes) <= known:
            if running.ended:
                raise AssertionError(await running.said())
            await asyncio.sleep(0.05)


async def _ask(story: Story, heard: asyncio.Event) -> None:
    """The grid gives and takes back orders, an operator sets overrides, until the kill; first waits to be heard."""
    there, dice = story.there, story.dice
    await heard.wait()
    while True:
        await asyncio.sleep(dice.uniform(*ASK_EVERY_S))
        kind = dice.choice(("target", "target", "limit", "delete", "override", "override"))
        if kind == "override":
            await _override(story)
        elif kind == "delete" and len(there.grid.ledger.live) > 2:
            await there.grid.delete(dice.choice(sorted(there.grid.ledger.live)))
        else:
            power_kw = round(dice.uniform(0.3, 0.9) * there.full_kw, 1)
            wish = {"limit_kw": power_kw} if kind == "limit" else {"target_kw": power_kw}
            event_class = EventClass.LIMIT if kind == "limit" else EventClass.TARGET
            await there.grid.create_event(Order(**wish, event_class=event_class, duration_s=dice.uniform(20.0, 60.0)))  # type: ignore[arg-type]


async def _override(story: Story) -> None:
    """Hold a container; what the controller said yes to is told to the judge."""
    ends = datetime.now(UTC) + timedelta(hours=4)
    reason = f"kill {story.number}"
    target_kw, ends_at = round(story.dice.uniform(10.0, 30.0), 1), ends.isoformat(timespec="seconds")
    client = ControlClient(str(story.there.folder / "farmctl.sock"), timeout_s=5.0)
    with contextlib.suppress(ControllerSilentError, ControllerRefusedError, FarmError):
        answer = await asyncio.to_thread(
            lambda: order(client, "override_set", reason, circuit="C002", target_kw=target_kw, expires_at=ends_at)
        )
        story.judge.overrides[str(answer["override"])] = reason
