"""The watches of the shell, fed by the running parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from farmctl.alarms.desk import AlarmDesk
from farmctl.alarms.notify.post import Post
from farmctl.alarms.watches.authority import AuthorityWatch
from farmctl.alarms.watches.facts import FactsWatch
from farmctl.alarms.watches.host import CredentialWatch, DiskWatch
from farmctl.alarms.watches.journal import ChainWatch
from farmctl.alarms.watches.outbox import OutboxWatch
from farmctl.alarms.watches.programme import ProgrammeWatch
from farmctl.alarms.watches.rivals import RivalWatch
from farmctl.alarms.watches.rounds import Looks, Rounds
from farmctl.alarms.watches.trends import TrendWatch
from farmctl.config.schema import FarmConfig
from farmctl.control.tokens import FILE, read
from farmctl.engine.cycle import Cycle, Picture
from farmctl.engine.desk import Desk
from farmctl.engine.link import Link
from farmctl.engine.poller import Poller
from farmctl.errors import FarmError
from farmctl.ports.devices import Facts
from farmctl.ports.programme import ProgrammePicture
from farmctl.ports.site import Clock
from farmctl.ports.store import InventoryRow, Store
from farmctl.store.journal import Intact
from farmctl.store.places import Place, open_reader
from farmctl.wiring.fleet import Fleet

TRENDS_STATE = "alarms.trends"
_CERTIFICATES = ("cert_file", "tls_cert", "ca_file")


class SiteWatches:
    """Everything that is looked at once a minute."""

    def __init__(self, config: FarmConfig, fleet: Fleet, poller: Poller, desk: Desk, journal: Place) -> None:
        self._config = config
        self._fleet = fleet
        self._poller = poller
        self._desk = desk
        self._journal = journal
        self._impostors: dict[str, str] = {}
        self.rivals: Callable[[], Sequence[tuple[str, str]]] = lambda: ()
        """(source, another controller that was heard there)."""
        self.programme: Callable[[], ProgrammePicture | None] | None = None
        """The sites of headquarters."""
        self._authority = AuthorityWatch()
        poller.on_impostor = self._impostor

    def see(self, picture: Picture) -> None:
        """One more cycle."""
        lease = self._desk.lease
        epochs = frozenset((t.event.source, t.event.epoch) for t in picture.memory.tracks if t.live)
        self._authority.see(picture.decision.at_ms, lease.owner if lease is not None else "", epochs)

    async def rounds(self, cycle: Cycle, alarms: AlarmDesk, told: Post, store: Store, clock: Clock) -> Rounds:
        """The round over all of them; what takes days to see goes on where the last run ended."""
        config = self._config
        trends = TrendWatch(lambda: cycle.latest, await store.state(TRENDS_STATE))
        kept = [trends.blob()]

        async def keep() -> None:
            blob = trends.blob()
            if blob != kept[0]:
                await store.append([], {TRENDS_STATE: blob})
                kept[0] = blob

        watches: dict[str, Looks] = {
            "disk": DiskWatch(folder=config.store.dir),
            "credentials": CredentialWatch(certificates=_certificates(config), others=self._tokens),
            "authority": self._authority,
            "facts": FactsWatch(facts=self._facts, impostors=lambda: self._impostors, pools=_hosts(config)),
            "outbox": OutboxWatch(waiting=told.waiting),
            "trends": trends,
            "rivals": RivalWatch(rivals=self.rivals),
            "journal": ChainWatch(verify=self._verified),
        }
        if config.programme is not None and self.programme is not None:
            watches["programme"] = ProgrammeWatch(shown=self.programme, stale_s=config.programme.stale_s)
        return Rounds(watches, alarms.observe, clock, keep)

    def _facts(self) -> Sequence[tuple[InventoryRow, Facts]]:
        known = dict(self._poller.facts.of)
        return [(self._fleet.keeper.seat_of(row).row, facts) for row, facts in known.items()]

    def _impostor(self, link: Link, facts: Facts) -> None:
        row = self._fleet.keeper.seat_of(link.row).row
        self._impostors[row.host] = f"{row.host}: {link.miner_id} is listed, {facts.identity.miner_id} answers"

    def _tokens(self) -> list[tuple[str, int]]:
        try:
            found = read(self._config.store.dir / FILE)
        except FarmError:
            return []
        return [(f"token {token.token_id} of {token.name}", token.expires_ms) for token in found if not token.is_over]

    def _verified(self) -> str:
        """What is wrong with the chain of the journal; beside the writer, page by page."""

        async def walk() -> str:
            reader = await open_reader(self._journal)
            try:
                verdict = await reader.verify()
            finally:
                await reader.close()
            if isinstance(verdict, Intact):
                return ""
            return f"record {verdict.seq}: {verdict.what.value}: expected {verdict.expected}, found {verdict.found}"

        return asyncio.run(walk())


def _certificates(config: FarmConfig) -> tuple[Path, ...]:
    tables = (config.api, *config.signal, *config.notify)
    found = (getattr(table, key, None) for table in tables for key in _CERTIFICATES)
    return tuple(path for path in found if isinstance(path, Path))


def _hosts(config: FarmConfig) -> frozenset[str]:
    return frozenset(host.casefold() for host in config.site.pools)
