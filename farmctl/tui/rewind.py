"""Into the past and back: a second glass in front of the live one, fed by the recording, that can order nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.app import App

from farmctl.core.units import MS_PER_S
from farmctl.errors import FarmError, RefusedError
from farmctl.ports.replay import PastFeed
from farmctl.tui.glass import GlassScreen
from farmctl.tui.messages import OrderFailed, ReplayOpened

Opener = Callable[[str], Awaitable[PastFeed]]
"""A replay of an event or a moment, as text; raises FarmError where it is not recorded."""
SPEEDS = (1.0, 2.0, 10.0, 60.0)


def open_replay(app: App[None], opener: Opener | None, wanted: str) -> None:
    """Look the recording up in the background. Raises RefusedError where there is none within reach."""
    if opener is None:
        raise RefusedError("replay: no recording within reach; farmctl tui --replay JOURNAL shows one")

    async def found() -> None:
        try:
            app.post_message(ReplayOpened(await opener(wanted)))
        except FarmError as error:
            app.post_message(OrderFailed("replay", str(error)))

    app.run_worker(found(), group="orders")


class PastKeys:
    """A part of the app: the keys that move a replay's playhead; they do nothing in the present."""

    glass: GlassScreen

    def action_play(self) -> None:
        """Play, or stand still."""
        if self.glass.player is not None:
            self._pace(0.0 if self.glass.player.playhead.speed else SPEEDS[0])

    def action_faster(self) -> None:
        """The next speed; behind the last comes the first."""
        if self.glass.player is not None:
            now = self.glass.player.playhead.speed
            self._pace(next((speed for speed in SPEEDS if speed > now), SPEEDS[0]))

    def action_cycle(self, cycles: int) -> None:
        """One cycle back, or on."""
        if self.glass.player is not None:
            self.glass.player.step(cycles)

    def action_scrub(self, seconds: int) -> None:
        """So much time back, or on."""
        if self.glass.player is not None:
            self.glass.player.go(self.glass.player.playhead.at_ms + seconds * MS_PER_S)

    def _pace(self, speed: float) -> None:
        if self.glass.player is not None:
            self.glass.player.pace(speed)
            self.glass.frame()
