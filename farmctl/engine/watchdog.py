"""Tells systemd that the controller is up and that it still decides: sd_notify(3), without a library."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

import structlog

from farmctl.core.units import MS_PER_S
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

FRESH_S = 5.0
"""A last cycle older than this is a controller that decides nothing any more."""
US_PER_S = 1e6
IDLE_S = 3600.0


class Watchdog:
    """Sends READY=1 after the first cycle and WATCHDOG=1 only while cycles are fresh; silent without systemd."""

    def __init__(self, clock: Clock, last_cycle_ms: Callable[[], int], environment: Mapping[str, str]) -> None:
        """`last_cycle_ms` tells when the last cycle was, 0 before the first."""
        self._clock = clock
        self._last_cycle_ms = last_cycle_ms
        self._address = environment.get("NOTIFY_SOCKET", "")
        owner = environment.get("WATCHDOG_PID", str(os.getpid()))
        limit_us = float(environment.get("WATCHDOG_USEC", "0")) if owner == str(os.getpid()) else 0.0
        self.period_s = limit_us / US_PER_S / 2 if limit_us > 0 else 1.0
        self._kicks = limit_us > 0

    async def run(self) -> None:
        """Until cancelled; says STOPPING=1 on the way out."""
        ready = False
        try:
            while True:
                age_s = (self._clock.now_ms() - self._last_cycle_ms()) / MS_PER_S
                fresh = self._last_cycle_ms() > 0 and age_s < FRESH_S
                if fresh and not ready:
                    ready = self.say("READY=1")
                if fresh and self._kicks:
                    self.say("WATCHDOG=1")
                await self._clock.sleep(self.period_s if self._address else IDLE_S)
        finally:
            self.say("STOPPING=1")

    def say(self, state: str) -> bool:
        """Send one state; True even where nobody listens. A lost datagram is said once and forgiven."""
        if not self._address:
            return True
        # A leading @ is systemd's way to write the NUL of an abstract address.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            # Never wait: such a queue is 10 long, and whoever does not empty it would hold the whole loop.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(0.0)
                sender.sendto(state.encode(), address)
        except OSError as error:
            log.warning("systemd_not_told", state=state, error=str(error))
            return False
        return True
