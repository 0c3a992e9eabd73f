"""The slow facts of a whole fleet, kept small: what miners of a kind say alike is kept once."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import nan

from farmctl.core.model import MinerId
from farmctl.ports.devices import Facts, Identity, Pool

SPARE = 100


class SlowFacts:
    """Remembers what was told, without the shares of the pools: whoever counts those hears them as they come.

    Of 50,000 miners these were 2 KiB each, most of it the same three addresses.
    """

    def __init__(self) -> None:
        self._pools: dict[tuple[Pool, ...], tuple[Pool, ...]] = {}
        self.of: dict[int, Facts] = {}
        """By row."""

    def keep(self, row: int, miner_id: MinerId, facts: Facts) -> None:
        """What the miner of this row said last."""
        pools = tuple(replace(pool, accepted=nan, rejected=nan, stale=nan) for pool in facts.pools)
        if len(self._pools) > 2 * len(self.of) + SPARE:  # pools come and go: what nobody says any more is forgotten
            self._pools = {kept.pools: kept.pools for kept in self.of.values()}
        self.of[row] = replace(
            facts, identity=_lean(facts.identity, miner_id), pools=self._pools.setdefault(pools, pools)
        )


def _lean(identity: Identity, miner_id: MinerId) -> Identity:
    return replace(
        identity,
        miner_id=miner_id,
        mac=miner_id if identity.mac == miner_id else identity.mac,
        driver=sys.intern(identity.driver),
        model=sys.intern(identity.model),
        firmware=sys.intern(identity.firmware),
    )
