"""Another controller of this site: it says ONLINE on the site's own topic, and this one did not."""

from __future__ import annotations

import json
from collections import deque

from farmctl.core.units import MS_PER_S
from farmctl.ports.site import Clock
from farmctl.signals._intake.duration import time_ms_of
from farmctl.signals._intake.signature import is_genuine, public_of
from farmctl.signals.uplink import Sender

LASTS_MS = 150_000
"""Two and a half periods of the status: one that said nothing for so long is gone."""
MARGIN_MS = 2 * MS_PER_S
"""Clocks of two hosts differ; what was said before this process began was said by the one before it."""


class Rivals:
    """Told of each status that was said and heard; a status that this site's key did not sign is nobody's."""

    def __init__(self, topic: str, sender: Sender, clock: Clock) -> None:
        self._topic = topic
        self._sender = sender
        self._clock = clock
        self._began_ms = clock.now_ms()
        self._said: deque[bytes] = deque(maxlen=16)
        self._heard = ("", 0)

    def said(self, payload: bytes) -> None:
        """This process says it; of the last ones each is known again when the broker brings it."""
        self._said.append(payload)

    def hear(self, payload: bytes) -> None:
        """A status as it came from the broker; what cannot be read says nothing."""
        if payload in self._said:
            return
        try:
            body = json.loads(payload)
            at_ms, name, status = time_ms_of(body["ts"]), str(body["controllerId"]), body["status"]
        except (ValueError, KeyError, TypeError):
            return
        bare = {key: value for key, value in body.items() if key != "sig"}
        seed = self._sender.seed
        if seed is not None and not is_genuine(public_of(seed), body.get("sig"), self._topic, bare):
            return
        if status != "ONLINE":
            self._heard = ("", 0) if name == self._heard[0] else self._heard
        elif at_ms > self._began_ms + MARGIN_MS:
            self._heard = (name, at_ms)

    def now(self) -> str:
        """Controller id of the other one; empty where there is none."""
        name, at_ms = self._heard
        return name if name and self._clock.now_ms() - at_ms < LASTS_MS else ""
