"""The control API's view of the running parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from farmctl.config.schema import FarmConfig
from farmctl.control.identity import RoleTable
from farmctl.control.server import ControlParts, ControlServer
from farmctl.control.strip import Site
from farmctl.engine.cycle import Cycle
from farmctl.engine.desk import Desk
from farmctl.engine.records import input_hash
from farmctl.ports.control import AlarmOrders, Glass, SitePicture
from farmctl.ports.site import Clock
from farmctl.ports.store import InventoryRow


@dataclass(frozen=True, slots=True)
class FarmGlass(Glass):
    """What may be looked at: the cycle's last picture and the inventory it started with."""

    cycle: Cycle
    rows: tuple[InventoryRow, ...]

    @override
    def picture(self) -> SitePicture | None:
        return self.cycle.latest

    @override
    def inventory(self) -> Sequence[InventoryRow]:
        return self.rows

    @override
    def input_hash(self, picture: SitePicture) -> str:
        return input_hash(picture.view, picture.decision.at_ms)


def control_server(
    config: FarmConfig, glass: FarmGlass, desk: Desk, alarms: AlarmOrders, clock: Clock
) -> ControlServer:
    """The daemon's front door on its Unix socket."""
    return ControlServer(
        ControlParts(
            socket_path=config.api.socket,
            group=config.api.group,
            glass=glass,
            orders=desk,
            alarms=alarms,
            identify=RoleTable.of(config.api.operators, config.api.engineers),
            clock=clock,
            site=Site(
                name=config.site.name,
                timezone=config.site.timezone,
                policy=config.control.policy,
                confirm_fraction=config.site.confirm_fraction,
            ),
        )
    )
