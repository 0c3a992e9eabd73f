"""Nouns to table rows and back, shared by every engine so that all of them read alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from sys import intern

from farmctl.core.model import MinerId
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow
from farmctl.store.journal import Entry, Link

LinkValues = tuple[int, int, str, str, bytes, bytes, bytes]
"""seq, at_ms, kind, body, blob, prev_hash, hash: the columns of `journal`, as written."""

RawLinkValues = tuple[int, int, bytes, bytes, bytes, bytes, bytes]
"""The same, as read: text comes as bytes, because an altered file may hold no valid UTF-8."""

InventoryValues = tuple[str, str, str, str, str, str, str, str, str, str, str, str, int, int, str, str]
"""The columns of `inventory`, in the order of InventoryRow's fields; ports and tags as JSON."""


def link_values(link: Link) -> LinkValues:
    """A link as the journal table takes it."""
    at = link.entry
    return link.seq, at.at_ms, at.kind, at.body.decode(), at.blob, link.prev_hash, link.hash


def link_from(values: RawLinkValues) -> Link:
    """A link as the journal table gives it, good or not."""
    seq, at_ms, kind, body, blob, prev_hash, digest = values
    entry = Entry(at_ms=at_ms, kind=kind.decode(errors="replace"), body=body, blob=blob)
    return Link(seq=seq, entry=entry, prev_hash=prev_hash, hash=digest)


def inventory_values(row: InventoryRow) -> InventoryValues:
    """A miner as the inventory table takes it; raises StoreError for text that UTF-8 cannot carry."""
    values = (
        row.miner_id,
        row.host,
        json.dumps(dict(row.ports), sort_keys=True),
        row.driver,
        row.model,
        row.firmware,
        row.serial,
        row.circuit,
        row.container,
        row.rack,
        row.slot,
        row.phase,
        row.tier,
        int(row.protected),
        json.dumps(row.tags),
        row.owner,
    )
    try:
        for value in values:
            str(value).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"inventory row {row.miner_id!r}: {error}") from error
    return values


def inventory_row(values: InventoryValues) -> InventoryRow:
    """A miner as the inventory table gives it."""
    (
        miner_id,
        host,
        ports,
        driver,
        model,
        firmware,
        serial,
        circuit,
        container,
        rack,
        slot,
        phase,
        tier,
        protected,
        tags,
        owner,
    ) = values
    try:
        ports_read, tags_read = _ports(ports), tuple(json.loads(tags))
    except ValueError as error:
        raise StoreError(f"inventory row {miner_id!r}: ports and tags must be JSON: {error}") from error
    return InventoryRow(
        miner_id=MinerId(miner_id),
        host=host,
        ports=ports_read,
        driver=intern(driver),
        model=intern(model),
        firmware=intern(firmware),
        serial=serial,
        circuit=intern(circuit),
        container=intern(container),
        rack=intern(rack),
        slot=intern(slot),
        phase=intern(phase),
        tier=tier,
        protected=bool(protected),
        tags=tags_read,
        owner=intern(owner),
    )


@cache
def _ports(text: str) -> Mapping[str, int]:
    """Most of a fleet has the same ones: kept once, like the names of models and racks."""
    return dict(json.loads(text))
