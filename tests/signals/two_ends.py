"""A whole site and a whole dispatcher on one real broker, in the site's own time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from typing_extensions import override

from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals._intake.signature import public_of
from farmctl.signals.kit import BrokerAddress, Console
from farmctl.signals.kit.book import Book
from farmctl.signals.kit.gate import Gate, GateTerms, Refuse
from farmctl.signals.kit.holding import Keeper
from farmctl.signals.kit.voice import Voice
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import config
from tests.signals.site_loop import Site, StoryClock
from tests.signals.words import KID, RULES, SEED, WallClock

EPOCH = 7
SITE_SEED = bytes([31] * 32)


class StoryTime(WallClock):
    """The site's time, for the dispatcher."""

    def __init__(self, clock: StoryClock) -> None:
        self.clock = clock

    @override
    def now_ms(self) -> int:
        return self.clock.at_ms

    @override
    async def sleep(self, seconds: float) -> None:
        end_ms = self.now_ms() + (round(seconds * 1_000) if seconds >= 1 else 0)
        await asyncio.sleep(0.001)
        while self.now_ms() < end_ms:  # noqa: ASYNC110 - a clock that somebody else moves
            await asyncio.sleep(0.001)


class TwoEnds:
    """Seconds pass as soon as everything said was heard at the other end."""

    def __init__(self, site: Site, console: Console) -> None:
        self.site = site
        self.console = console
        self.cut = False
        """The broker is gone: nobody waits for anybody."""
        self.goes_on = asyncio.Event()
        """While it is cleared time stands still: connecting takes none."""
        self.goes_on.set()
        self._stands = asyncio.Event()

    def quiet(self) -> bool:
        beat = self.site.source._intake.hearing.beat
        heard = self.console.silent or not self.console.book.beats or beat == (EPOCH, self.console.book.beats)
        post = self.site.source._post
        # A sample that still waits is replaced by the next one: on a quick machine most would never be said.
        return self.cut or (heard and not len(post.outbox) and not (post._connected and post._due))

    async def seconds(self) -> None:
        while True:
            await self.site.cycle()
            await self.site.until(self.quiet)
            self._stands.set()
            await self.goes_on.wait()
            self._stands.clear()
            await asyncio.sleep(0.001)

    async def stands_still(self) -> None:
        """No time passes any more, and what the site has said was heard; `goes_on` ends it."""
        self.goes_on.clear()
        await self._stands.wait()
        heard, now = self.console.heard.latest, rfc3339(self.site.clock.at_ms)
        await self.site.until(lambda: "telemetry" in heard and heard["telemetry"].body["ts"] == now)

    async def passes(self, seconds: float) -> None:
        """So much time goes by."""
        await self.console.clock.sleep(seconds)


def gate_of(refuse: Refuse, **changes: Any) -> Gate:
    """What headquarters has before the site whose seed is SITE_SEED."""
    keys = Keyring(keys={"site": IssuerKey(public=public_of(SITE_SEED))})
    values = {"site": "site-07", "root": "site/v1/site-07", "keys": keys, "stale_ms": 30_000}
    return Gate(GateTerms(**{**values, **changes}), refuse)


@contextlib.asynccontextmanager
async def two_ends(
    mosquitto: Mosquitto,
    *,
    far: Mosquitto | None = None,
    keeper: Keeper | None = None,
    gate: Gate | None = None,
    **changes: Any,
) -> AsyncIterator[TwoEnds]:
    """A site and a dispatcher that both run while the block does; `far` is the broker of a dispatcher elsewhere."""
    await mosquitto.start()
    site = Site(config(mosquitto.port, **{"auth": "ed25519", "keys": RULES["pinned"], **changes}))
    voice = Voice(op="grid-op", site="site-07", kid=KID, seed=SEED)
    there = far or mosquitto
    address = BrokerAddress(host=there.host, port=there.port)
    ends = TwoEnds(site, Console(address, voice, Book(epoch=EPOCH), StoryTime(site.clock), keeper=keeper, gate=gate))
    async with site.running(), ends.console, asyncio.TaskGroup() as tasks:
        await site.until(lambda: any(link.connected for link in site.inbox.links))
        passing = tasks.create_task(ends.seconds())
        yield ends
        passing.cancel()
