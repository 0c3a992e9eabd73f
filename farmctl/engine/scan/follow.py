"""Miners that moved are followed by who they are: sightings at the places of others first, then a gentle search."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from farmctl.core.model import MinerId
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.link import Link
from farmctl.engine.poller import Poller
from farmctl.engine.scan.compare import place_key
from farmctl.engine.scan.nouns import Found, ScanRules, ScanStoppedError, Stage
from farmctl.engine.scan.scanner import scan
from farmctl.errors import StoreError
from farmctl.ports.devices import Credentials, Driver, Endpoint, Facts
from farmctl.ports.site import Clock
from farmctl.ports.store import InventoryRow, JournalRecord, RecordKind, Store

log = structlog.get_logger(__name__)

LOOK_S = 2.0
"""How often sightings are acted on: two miners that swapped places are put right within a few polls."""
NEIGHBOURHOOD = 24
"""Prefix of the networks that are searched: a lease changes within its network."""
MOST_ADDRESSES = 4096

Login = Callable[[InventoryRow], Credentials]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRules:
    """When and how gently lost miners are searched for."""

    lost_s: float = 120.0
    """Silent for so long; sightings need no wait."""
    search_s: float = 300.0
    """Between two searches."""
    rate_per_s: float = 50.0


class Follower:
    """Knows where lost miners were seen, and brings their links there; reads only, commands nothing."""

    def __init__(  # noqa: PLR0913 - what it brings together
        self,
        links: Mapping[MinerId, Link],
        keeper: FleetKeeper,
        poller: Poller,
        store: Store,
        clock: Clock,
        *,
        drivers: Mapping[str, Driver],
        login: Login,
        rules: FollowRules | None = None,
    ) -> None:
        """`poller.on_impostor` is taken over."""
        self._links = links
        self._keeper = keeper
        self._poller = poller
        self._store = store
        self._clock = clock
        self._drivers = drivers
        self._login = login
        self._rules = rules or FollowRules()
        self._seen: dict[MinerId, Endpoint] = {}
        self._unkept: set[MinerId] = set()
        """Followed, and not in the store yet: somebody else is still put down at their place."""
        self._searched_s = clock.monotonic_s()
        poller.on_impostor = self.sighted

    def sighted(self, link: Link, facts: Facts) -> None:
        """Somebody else answers at a link's place: whoever that is must prove itself where it was thought to be."""
        who = facts.identity.miner_id
        other = self._links.get(who)
        if other is None or other is link:
            return
        row = self._row(link)
        if place_key(self._row(other)) == place_key(row):
            return  # it has been followed here, and the owner of the place is still to be found
        if who not in self._seen:
            log.warning("miner_at_anothers_place", miner=who, place_of=link.miner_id, host=row.host)
        self._seen[who] = Endpoint(host=row.host, ports=row.ports)
        if other.proved:
            other.proved = False
            self._keeper.allow(other.row, commandable=False)
            self._poller.hasten(other, 0.0)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            await self._follow_seen()
            if self._clock.monotonic_s() - self._searched_s >= self._rules.search_s:
                await self._search()
                self._searched_s = self._clock.monotonic_s()

    async def _follow_seen(self) -> None:
        """Move whoever no longer answers where it was."""
        moved = False
        for miner, place in tuple(self._seen.items()):
            link = self._links[miner]
            if link.proved and not link.failures:
                del self._seen[miner]
            elif link.failures and link.polling is None and not link.commanding:
                del self._seen[miner]
                await self._move(link, place)
                moved = True
        if moved:
            await self._keep()

    async def _move(self, link: Link, place: Endpoint) -> None:
        old = self._row(link)
        row = self._keeper.moved(link.row, host=place.host, ports=place.ports)
        before, link.device = link.device, self._drivers[row.driver].device(place, self._login(row))
        link.proved, link.failures, link.uptime_s, link.facts_due_ms, link.prepare_due_ms = False, 0, 0.0, 0, 0
        self._keeper.allow(link.row, commandable=False)
        log.warning("miner_moved", miner=link.miner_id, was=old.host, now=row.host)
        self._poller.hasten(link, 0.0)
        self._unkept.add(link.miner_id)
        await before.close()

    async def _keep(self) -> None:
        """Write the moves that leave no two miners at one place, which the next start would refuse."""
        at_home = {place_key(self._row(link)) for miner, link in self._links.items() if miner not in self._unkept}
        moved = (self._row(self._links[miner]) for miner in sorted(self._unkept))
        rows = list({place_key(row): row for row in moved if place_key(row) not in at_home}.values())
        body = {"what": "inventory", "verb": "follow", "owner": "farmctl", "changed": [row.miner_id for row in rows]}
        try:
            await self._store.put_inventory(rows)
            if rows:
                at_ms = self._clock.now_ms()
                await self._store.append([JournalRecord(kind=RecordKind.CONFIG, at_ms=at_ms, body=body)])
        except StoreError as error:
            # They are followed all the same; the next start finds them again.
            log.warning("move_not_stored", error=str(error))
        else:
            self._unkept.difference_update(row.miner_id for row in rows)

    def _row(self, link: Link) -> InventoryRow:
        return self._keeper.seat_of(link.row).row

    async def _search(self) -> None:
        """Look for the lost in their own networks, at every address where nobody answers to us."""
        lost = {miner: link for miner, link in self._links.items() if self._is_lost(link)}
        places = list(self._places(lost.values()))[:MOST_ADDRESSES]
        if not places:
            return
        families = {self._row(link).driver for link in lost.values()}
        stage = Stage(drivers=tuple(self._drivers[name] for name in sorted(families)), in_flight=20)
        rules = ScanRules(rate_per_s=self._rules.rate_per_s, in_flight=100)
        try:
            report = await scan(places, len(places), stages=(stage,), rules=rules, login=self._logins(lost.values()))
        except ScanStoppedError as error:
            log.warning("search_stopped", error=str(error))
            return
        log.info("searched_lost_miners", lost=len(lost), addresses=len(places), found=len(report.found))
        for found in report.found:
            self._note(found, lost)

    def _note(self, found: Found, lost: Mapping[MinerId, Link]) -> None:
        miner = found.identity.miner_id
        if miner in lost and found.identity.driver == self._row(lost[miner]).driver:
            self._seen[miner] = found.endpoint

    def _is_lost(self, link: Link) -> bool:
        tried_ms, seen_ms = self._keeper.table.tried_ms[link.row], self._keeper.table.seen_ms[link.row]
        return link.lost and bool(tried_ms - seen_ms >= self._rules.lost_s * 1000)

    def _places(self, lost: Iterable[Link]) -> Iterator[Endpoint]:
        rows = [self._row(link) for link in lost]
        taken = {
            self._keeper.seat_of(link.row).row.host for link in self._links.values() if link.proved and not link.lost
        }
        for network, ports in sorted({(_network(row.host), tuple(sorted(row.ports.items()))) for row in rows}, key=str):
            hosts = (str(host) for host in network.hosts()) if network is not None else ()
            yield from (Endpoint(host=host, ports=dict(ports)) for host in hosts if host not in taken)

    def _logins(self, lost: Iterable[Link]) -> Callable[[str, str], Credentials]:
        """By driver: a miner whose place is not known yet is asked with the login it had."""
        known = {row.driver: self._login(row) for row in map(self._row, lost)}
        return lambda driver, _host: known.get(driver, Credentials())


def _network(host: str) -> ipaddress.IPv4Network | None:
    """The neighbourhood of an IPv4 address; None for names and IPv6, whose networks nobody can walk through."""
    try:
        return ipaddress.IPv4Network(f"{host}/{NEIGHBOURHOOD}", strict=False)
    except ValueError:
        return None
