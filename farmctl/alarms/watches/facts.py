"""Slow facts of the miners against the inventory and each other: firmware, addresses, pools, hash boards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition, Truth
from farmctl.ports.devices import Facts, Pool
from farmctl.ports.store import InventoryRow

SITE = "site"
NAMED = 3
GROUP_LEAST = 5
BOARDS_LEAST = 10
BOARDS_LOST = 0.01
BOARDS_NEAR = 0.008

Known = Sequence[tuple[InventoryRow, Facts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsWatch:
    """O(miners) once a minute, off the loop."""

    facts: Callable[[], Known]
    impostors: Callable[[], Mapping[str, str]]
    """Address -> who is listed there and who answers."""
    pools: frozenset[str] = frozenset()
    """Hosts that miners may hash for; empty: not checked."""

    def look(self, now_ms: int) -> Sequence[Condition]:
        """firmware_drift, address_conflict, pools_down, foreign_pool, hashboards_missing."""
        del now_ms
        known = self.facts()
        return (
            *_firmware(known),
            *_addresses(self.impostors()),
            *_pools(known),
            *_foreign(known, self.pools),
            *_boards(known),
        )


def _firmware(known: Known) -> Iterator[Condition]:
    drifted = [
        (row.miner_id, f"{row.miner_id} runs {facts.identity.firmware}, listed is {row.firmware}")
        for row, facts in known
        if row.firmware and facts.identity.firmware and facts.identity.firmware != row.firmware
    ]
    if drifted:
        text = _some([told for _, told in drifted])
        yield Condition(alarm="firmware_drift", priority=3, where=SITE, detail=text, n=len(drifted))


def _addresses(impostors: Mapping[str, str]) -> Iterator[Condition]:
    for address, told in sorted(impostors.items()):
        yield Condition(alarm="address_conflict", priority=3, where=address, detail=told)


def _pools(known: Known) -> Iterator[Condition]:
    """Every pool of at least half of a group's miners is told to be dead."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for row, facts in known:
        told = [pool.alive for pool in facts.pools if pool.alive is not None]
        if told:
            groups[row.model or "unknown"].append(not any(told))
    for model, dead in sorted(groups.items()):
        if len(dead) >= GROUP_LEAST and 2 * sum(dead) >= len(dead):
            text = f"no pool answers {sum(dead)} of {len(dead)} miners"
            yield Condition(alarm="pools_down", priority=2, where=_place(model), detail=text, n=sum(dead))


def _foreign(known: Known, allowed: frozenset[str]) -> Iterator[Condition]:
    if not allowed:
        return
    found = [
        f"{row.miner_id} at {host}"
        for row, facts in known
        for host in sorted({_host(pool) for pool in facts.pools} - allowed - {""})
    ]
    if found:
        yield Condition(alarm="foreign_pool", priority=2, where=SITE, detail=_some(found), n=len(found))


def _boards(known: Known) -> Iterator[Condition]:
    """Fewer boards than most of the same model have."""
    models: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row, facts in known:
        if facts.boards is not None:
            models[row.model or "unknown"].append((row.miner_id, facts.boards))
    for model, counts in sorted(models.items()):
        normal = Counter(boards for _, boards in counts).most_common(1)[0][0]
        short = [miner for miner, boards in counts if boards < normal]
        if len(counts) >= BOARDS_LEAST and len(short) > BOARDS_NEAR * len(counts):
            truth = Truth.TRUE if len(short) > BOARDS_LOST * len(counts) else Truth.NEAR
            text = f"{len(short)} of {len(counts)} have fewer than {normal} boards: {_some(short)}"
            yield Condition(
                alarm="hashboards_missing", priority=3, where=_place(model), detail=text, n=len(short), truth=truth
            )


def _host(pool: Pool) -> str:
    """Host of a pool's address, without scheme and port."""
    rest = pool.url.rpartition("://")[2].partition("/")[0]
    return rest.rpartition(":")[0].casefold() if ":" in rest else rest.casefold()


def _place(model: str) -> str:
    """A model as the place of an alarm."""
    return model.replace("@", " ").replace(" ", "_")


def _some(told: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    every = list(told)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
