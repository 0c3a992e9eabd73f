"""What an operator's screens and Prometheus see of a site in small: the alarm desk and the real exposition."""

from __future__ import annotations

import re

import numpy as np

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.desk import AlarmDesk
from farmctl.core.fleet import FleetView
from farmctl.engine.cycle import Picture, scene_of
from farmctl.metrics.exporter import Exporter
from farmctl.metrics.sidelines import Sidelines
from farmctl.metrics.snapshot import Topology
from farmctl.metrics.text import Dialect
from farmctl.wiring.sight import Sight, snapshot_of
from tests.signals.site_loop import MINERS, Site

NOWHERE = np.full(MINERS, -1)
TOPOLOGY = Topology(
    site="site-07", containers=(), container_of=NOWHERE, racks=(), rack_of=NOWHERE, models=("M",), firmwares=("f",)
)


class Lookout:
    """Told of every cycle of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._desk = AlarmDesk(site.store, site.clock, CATALOGUE, lambda: None)
        self._exporter = Exporter()
        self._view: FleetView | None = None
        site.lookouts.append(self._see)

    def _see(self, view: FleetView) -> None:
        day = self._site.day
        self._view = view
        self._desk.advance(scene_of(view, day.decision, day.memory, None))

    @property
    def alarms(self) -> dict[str, str]:
        """Active alarm -> what it says."""
        return {alarm.alarm: alarm.detail for alarm in self._desk.board.active}

    def metrics(self) -> dict[str, float]:
        """Every series of the exposition without the label of the site."""
        day = self._site.day
        assert self._view is not None
        board = self._desk.board
        alarms = tuple(alarm.condition for alarm in board.active)
        picture = Picture(view=self._view, decision=day.decision, memory=day.memory, alarms=alarms, board=board)
        sight = Sight(
            picture=picture,
            topology=TOPOLOGY,
            identity=None,
            sidelines=Sidelines(["M"] * MINERS),
            pools=(),
            meters=(),
            frequency_hz=float("nan"),
            energy_j=float("nan"),
            unsigned=True,
        )
        text = self._exporter.render(snapshot_of(sight), Dialect.TEXT)
        found = re.findall(r'^(\w+)\{site="site-07",?([^}]*)\} (\S+)$', text, re.MULTILINE)
        return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in found}
