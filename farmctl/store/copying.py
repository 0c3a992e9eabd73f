"""From one engine to another, proved by the hash chain: the copy has the source's last hash, or there is no copy."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.errors import RefusedError
from farmctl.store import journal
from farmctl.store.reader import SqlReader
from farmctl.store.sqlstore import SqlStore


class NotACopyError(RefusedError):
    """The target holds another journal, or the source's chain is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy came to."""

    records: int
    """Carried over now; those that were there from an earlier copy are not counted."""
    head: str
    """Hash of the last record, alike in both."""
    states: int
    miners: int


async def copy(source: SqlReader | SqlStore, target: SqlStore) -> Copied:
    """Carry a whole journal, the named states and the inventory over; goes on where an earlier copy was cut off.

    Nobody may write to either meanwhile.  Raises NotACopyError where the target is not the beginning of the source or
    a link of the source is not as it was written: everything before it is in the target then.
    """
    there = await target.head()
    walk, have, carried = journal.Walk(), there.seq if there is not None else 0, 0
    async for page in source.links():
        if (broken := walk.feed(page)) is not None:
            raise NotACopyError(f"record {broken.seq} of the source is broken: {broken.what}")
        if there is not None and any(link.seq == have and link.hash.hex() != there.hash for link in page):
            raise NotACopyError(f"the target's record {have} is not the source's: expected an empty target")
        fresh = [link for link in page if link.seq > have]
        if fresh:
            last = await target.adopt([link.entry for link in fresh])
            if last != fresh[-1]:
                raise NotACopyError(f"record {fresh[-1].seq} is another in the target: somebody else writes there")
            carried += len(fresh)
    verdict = walk.verdict()
    if isinstance(verdict, journal.Broken) or verdict.count < have:
        raise NotACopyError(f"the target has {have} records, the source fewer: expected an empty target")
    states, miners = await source.states(), await source.inventory()
    await target.append([], states)
    await target.put_inventory(miners)
    again = await target.verify()
    if again != verdict:
        raise NotACopyError(f"the target does not verify as the source does: {again}")
    return Copied(records=carried, head=verdict.head, states=len(states), miners=len(miners))
