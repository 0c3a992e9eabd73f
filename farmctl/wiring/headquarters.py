"""From [programme] to a headquarters: the link to every site, and the sum of them in place of meter and fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from farmctl.config.credentials import read_secret
from farmctl.config.schema import FarmConfig, ProgrammeTable, UnitTable
from farmctl.config.schema.kinds import split_endpoint
from farmctl.core.programme.governor import Manners
from farmctl.core.programme.sites import Terms
from farmctl.core.programme.split import Rule
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.engine.programme import Headquarters, Unit
from farmctl.engine.summed import SummedUplink, SumMeter
from farmctl.ports.grid import GridEnd, Inbox
from farmctl.ports.programme import ProgrammePicture, SiteLink, SiteReport
from farmctl.ports.site import Clock
from farmctl.ports.store import Store
from farmctl.signals.keyfiles import key_in, seed_in
from farmctl.signals.kit.book import opened
from farmctl.signals.kit.console import Console
from farmctl.signals.kit.gate import Gate, GateTerms
from farmctl.signals.kit.link import BrokerAddress
from farmctl.signals.kit.unit import SiteUnit, UnitTerms
from farmctl.signals.kit.voice import Voice
from farmctl.wiring.signals import keyring_of
from farmctl.wiring.uplinks import JournalKeeper

METER_PERIOD_S = 1.0
UNSIGNED_CHANNELS = frozenset({"telemetry"})
"""What the contract lets a site publish without a signature (SIGNALS section 6)."""
BOOKS = "sites"
"""Folder beside the journal with what each site was told: it outlives a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeParts:
    """Headquarters, and what stands in for meter and fleet."""

    headquarters: Headquarters
    links: tuple[SiteLink, ...]
    clock: Clock
    stale_s: float

    def meter(self) -> tuple[SumMeter, float]:
        """What stands in for the site meter, and its period, s."""
        meter = SumMeter(self.reports, len(self.links), self.clock, self.stale_s, self.unheard_w)
        return meter, METER_PERIOD_S

    def above(self, sources: Sequence[GridEnd]) -> tuple[GridEnd, ...]:
        """The sources of the figure, told of the sites together."""
        return tuple(SummedUplink(source, self.reports) for source in sources)

    def picture(self) -> ProgrammePicture | None:
        """The last split."""
        return self.headquarters.latest

    def unheard_w(self) -> float:
        """What the sites that have not spoken may draw at most."""
        return sum(link.granted_w() for link in self.links if link.report() is None)

    def reports(self) -> tuple[SiteReport, ...]:
        """Every site that has spoken."""
        return tuple(report for link in self.links if (report := link.report()) is not None)


def programme_parts(config: FarmConfig, store: Store, clock: Clock, inbox: Inbox) -> ProgrammeParts | None:
    """None for a site with miners of its own; the inbox is told what sites, or others in their name, said in vain.

    Raises ConfigError.
    """
    table = config.programme
    if table is None:
        return None
    units = tuple(_unit(config, table, each, store, (clock, inbox)) for each in table.site)
    links = tuple(unit.link for unit in units)
    manners = Manners(
        step_w=table.step_kw * WATTS_PER_KW,
        window_s=table.step_window_s,
        spread_s=table.spread_s,
        rule=Rule(table.rule),
        terms=Terms(stale_s=table.stale_s, ahead_s=table.ahead_s),
    )
    rated_w = config.site.rated_kw * WATTS_PER_KW
    return ProgrammeParts(
        headquarters=Headquarters(units, manners, store, clock, holds_s=table.holds_s, rated_w=rated_w),
        links=links,
        clock=clock,
        stale_s=table.stale_s,
    )


def _unit(
    config: FarmConfig, programme: ProgrammeTable, table: UnitTable, store: Store, beside: tuple[Clock, Inbox]
) -> Unit:
    clock, inbox = beside
    host, port = split_endpoint(table.broker)
    key = table.signing_key_file
    address = BrokerAddress(
        host=host,
        port=port,
        ca=table.ca_file,
        cert=table.cert_file,
        key=table.key_file,
        user=table.user,
        password=None if table.password_file is None else read_secret(table.password_file),
    )
    voice = Voice(
        op=table.op,
        site=table.name,
        kid=f"{table.op}-unsigned" if key is None else key_in(key).kid,
        seed=None if key is None else seed_in(key),
        root=table.down_root,
    )
    book = opened(Path(config.store.dir) / BOOKS / f"{table.name}.json", epoch=clock.now_ms() // MS_PER_S)
    # Who only listens acknowledges nothing: it would let go of what the one that speaks has not got yet.
    keeper = None if config.control.observe else JournalKeeper(site=table.name, store=store)
    firm_kw = table.rated_kw if table.firm_kw is None else table.firm_kw
    link = SiteUnit(
        UnitTerms(
            programme=programme.name,
            firm_w=firm_kw * WATTS_PER_KW,
            speaks=not config.control.observe,
            signs_telemetry=table.signs_telemetry or not table.keys,
        ),
        Console(address, voice, book, clock, up_root=table.up_root, keeper=keeper, gate=_gate(programme, table, inbox)),
    )
    return Unit(link=link, rated_w=table.rated_kw * WATTS_PER_KW, floor_w=table.floor_kw * WATTS_PER_KW)


def _gate(programme: ProgrammeTable, table: UnitTable, inbox: Inbox) -> Gate:
    """What the site says counts by its signature, never because it came from its broker."""
    terms = GateTerms(
        site=table.name,
        root=f"{table.canonical_root or table.up_root}/{table.name}",
        keys=keyring_of(table.keys),
        stale_ms=round(programme.stale_s * MS_PER_S),
        bare=frozenset() if table.signs_telemetry else UNSIGNED_CHANNELS,
    )
    return Gate(terms, inbox.refuse)
