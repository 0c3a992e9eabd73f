"""The control API's view of the running parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from farmctl.config.load import Loaded
from farmctl.config.schema.kinds import split_endpoint
from farmctl.config.view import settings
from farmctl.control.identity import Role, RoleTable
from farmctl.control.remote import Remote, remote
from farmctl.control.server import ControlParts, ControlServer
from farmctl.control.strip import Site
from farmctl.control.tokens import FILE, TokenBook
from farmctl.engine.asides import HeatLimits, Spells
from farmctl.engine.cycle import Cycle
from farmctl.engine.desk import Desk
from farmctl.engine.programme import Headquarters
from farmctl.engine.records import input_hash
from farmctl.metrics.sidelines import FAULT_WORDS, Sidelines
from farmctl.ports.control import AlarmOrders, Extras, Glass, Hands, SitePicture
from farmctl.ports.programme import ProgrammePicture
from farmctl.ports.shards import Crew
from farmctl.ports.site import Clock
from farmctl.ports.store import InventoryRow, Store
from farmctl.wiring.history import site_history
from farmctl.wiring.system import SystemFacts


@dataclass(frozen=True, slots=True)
class FarmGlass(Glass):
    """What may be looked at: the cycle's last picture and the inventory it started with."""

    cycle: Cycle
    rows: tuple[InventoryRow, ...]
    spells: Spells
    limits: HeatLimits
    sidelines: Callable[[], Sidelines]
    system: SystemFacts
    crew: Callable[[], Crew | None]
    headquarters: Headquarters | None = None

    @override
    def picture(self) -> SitePicture | None:
        return self.cycle.latest

    @override
    def inventory(self) -> Sequence[InventoryRow]:
        return self.rows

    @override
    def extras(self, picture: SitePicture) -> Extras:
        told = self.sidelines()
        pools, pool = told.pool()
        return Extras(
            fan_rpm=told.fan_rpm(),
            limit_c=self.limits.limit_c(),
            since_ms=self.spells.since_ms(picture),
            fault=told.fault(),
            faults=FAULT_WORDS,
            pool=pool,
            pools=pools,
        )

    def programme(self) -> ProgrammePicture | None:
        """The sites, where this is headquarters."""
        return None if self.headquarters is None else self.headquarters.latest

    @override
    def input_hash(self, picture: SitePicture) -> str:
        return input_hash(picture.view, picture.decision.at_ms)


def control_server(
    loaded: Loaded,
    glass: FarmGlass,
    desk: Desk,
    alarms: AlarmOrders,
    hands: Hands,
    store: Store,
    clock: Clock,
) -> ControlServer:
    """The daemon's front door: its Unix socket, and TCP where the configuration says so. Raises RemoteError."""
    config = loaded.config
    rows = [{"key": each.key, "value": each.value, "origin": str(each.origin)} for each in settings(loaded)]
    return ControlServer(
        ControlParts(
            socket_path=config.api.socket,
            group=config.api.group,
            glass=glass,
            orders=desk,
            alarms=alarms,
            hands=hands,
            store=store,
            identify=roles(loaded),
            clock=clock,
            site=Site(
                name=config.site.name,
                timezone=config.site.timezone,
                policy=config.control.policy,
                confirm_fraction=config.site.confirm_fraction,
                crew=glass.crew,
                sites=0 if config.programme is None else len(config.programme.site),
            ),
            settings=lambda: rows,
            config_files=[str(file.absolute()) for file in loaded.files],
            remote=_remote(loaded),
            history=site_history(config, store) if config.history.enabled else None,
            system=glass.system.told,
            programme=glass.programme,
        )
    )


def roles(loaded: Loaded) -> RoleTable:
    """Who may do what; whoever is in the socket's group was let in by this machine's administrator, and looks."""
    api = loaded.config.api
    strangers = Role.VIEWER if api.strangers == "viewer" else Role.NOBODY
    return RoleTable.of(api.operators, api.engineers, (*api.viewers, f"@{api.group}"), strangers)


def _remote(loaded: Loaded) -> Remote | None:
    api = loaded.config.api
    if api.listen is None or api.tls_cert is None or api.tls_key is None:
        return None
    host, port = split_endpoint(api.listen)
    return remote(host, port, api.tls_cert, api.tls_key, TokenBook(Path(loaded.config.store.dir) / FILE))
