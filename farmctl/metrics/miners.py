"""The per-miner block, opt-in and in shards: text from the columns, label strings made once per fleet index."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from farmctl.core.units import FloatColumn, IdColumn, IntColumn
from farmctl.errors import RefusedError
from farmctl.metrics.snapshot import Identity, MetricsSnapshot, Topology
from farmctl.metrics.sums import fresh_rows, states_now
from farmctl.metrics.text import Dialect, Kind, header, label_block, samples

MAX_SHARDS = 1_000
"""570,000 miners in shards of 2,000 are 285."""
MINER_COLUMNS = (
    ("farmctl_miner_up", "", "1 while the miner answers its polls, else 0."),
    ("farmctl_miner_hashrate_hashes_per_second", "hashes_per_second", "Hash rate of the miner, hashes per second."),
    ("farmctl_miner_power_watts", "watts", "Power of the miner, watts at its plug."),
    ("farmctl_miner_chip_temperature_max_celsius", "celsius", "Hottest chip of the miner, degrees Celsius."),
    (
        "farmctl_miner_state",
        "",
        "State of the miner: 0 unknown, 1 hashing, 2 throttled, 3 curtailed, 4 booting, 5 fault, 6 offline.",
    ),
)
MINER_INFO = "farmctl_miner_info"
MINER_INFO_LABELS = ("site", "miner", "container", "mac", "ip", "model", "firmware", "serial")


class ShardError(RefusedError):
    """There is no such shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Part `number` of `count`, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`3/25`; raises ShardError."""
        number, slash, count = text.partition("/")
        if not (slash and number.isascii() and number.isdecimal() and count.isascii() and count.isdecimal()):
            raise ShardError(f"shard {text[:40]!r}: expected NUMBER/COUNT, for instance 3/25")
        # Ten digits bound what int() is given; more would be refused by the range anyway.
        shard = cls(number=int(number[:10]), count=int(count[:10]))
        if not 1 <= shard.number <= shard.count <= MAX_SHARDS:
            raise ShardError(f"shard {text[:40]!r}: expected 1/{MAX_SHARDS} at most, numbers from 1 to the count")
        return shard


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Labels:
    """Rows of one shard and their label strings, good for one fleet index."""

    miner_id: IdColumn
    topology: Topology
    rows: IntColumn
    prefixes: tuple[tuple[str, ...], ...]
    """One column of strings per metric of `MINER_COLUMNS`."""


class MinerExporter:
    """Writes one shard at a time; a miner stays in its shard as the fleet grows, for it is chosen by its id."""

    def __init__(self) -> None:
        self._labels: dict[Shard, _Labels] = {}
        self._info: dict[Shard, tuple[_Labels, Identity, str]] = {}

    def render(self, snapshot: MetricsSnapshot, shard: Shard, dialect: Dialect) -> str:
        """Five metrics and the info of every miner in the shard; unknown values are absent."""
        labels = self._labels_of(snapshot, shard)
        parts: list[str] = []
        columns = zip(MINER_COLUMNS, labels.prefixes, _columns(snapshot, labels.rows), strict=True)
        for (name, unit, text), prefixes, values in columns:
            parts.append(header(name, Kind.GAUGE, unit, text, dialect))
            parts.extend(samples(prefixes, values))
        if snapshot.identity is not None:
            parts.append(header(MINER_INFO, Kind.INFO, "", "What the miner is and where it is reached.", dialect))
            parts.append(self._info_text(snapshot, snapshot.identity, shard, labels))
        return "".join(parts)

    def _info_text(self, snapshot: MetricsSnapshot, identity: Identity, shard: Shard, labels: _Labels) -> str:
        """Written anew when an address moved, which makes a new identity, or with a new fleet index."""
        known = self._info.get(shard)
        if known is not None and known[0] is labels and known[1] is identity:
            return known[2]
        text = "".join(_info_lines(snapshot, identity, labels.rows))
        self._info[shard] = (labels, identity, text)
        return text

    def _labels_of(self, snapshot: MetricsSnapshot, shard: Shard) -> _Labels:
        known, miner_id = self._labels.get(shard), snapshot.view.table.miner_id
        if known is not None and known.topology is snapshot.topology and _same(known.miner_id, miner_id):
            return known
        # One fleet index and one count of shards at a time: whoever asks for others must not fill the memory.
        if any(old.topology is not snapshot.topology or s.count != shard.count for s, old in self._labels.items()):
            self._labels.clear()
            self._info.clear()
        labels = _make_labels(snapshot, shard)
        self._labels[shard] = labels
        return labels


def _same(left: IdColumn, right: IdColumn) -> bool:
    return left is right or np.array_equal(left, right)


def _make_labels(snapshot: MetricsSnapshot, shard: Shard) -> _Labels:
    topology, miner_id = snapshot.topology, snapshot.view.table.miner_id
    ids: list[str] = miner_id.tolist()
    members = [row for row, miner in enumerate(ids) if zlib.crc32(miner.encode()) % shard.count == shard.number - 1]
    names = ("site", "rack", "miner")
    blocks = [
        label_block(names, (topology.site, _place(topology.racks, int(topology.rack_of[row])), ids[row]))
        for row in members
    ]
    return _Labels(
        miner_id=miner_id,
        topology=topology,
        rows=np.array(members, dtype=np.int64),
        prefixes=tuple(tuple(f"{name}{block} " for block in blocks) for name, _, _ in MINER_COLUMNS),
    )


def _columns(snapshot: MetricsSnapshot, rows: IntColumn) -> tuple[FloatColumn, ...]:
    table, fresh = snapshot.view.table, fresh_rows(snapshot)[rows]
    return (
        fresh.astype(np.float64),
        np.where(fresh, table.hash_rate_hs[rows], np.nan),
        np.where(fresh, table.power_w[rows], np.nan),
        np.where(fresh, table.temperature_c[rows], np.nan),
        states_now(snapshot)[rows].astype(np.float64),
    )


def _info_lines(snapshot: MetricsSnapshot, identity: Identity, rows: IntColumn) -> list[str]:
    topology, table = snapshot.topology, snapshot.view.table
    lines = []
    for row in rows.tolist():
        group = int(table.group[row])
        values = (
            topology.site,
            str(table.miner_id[row]),
            _place(topology.containers, int(topology.container_of[row])),
            identity.mac[row],
            identity.ip[row],
            topology.models[group],
            topology.firmwares[group],
            identity.serial[row],
        )
        lines.append(f"{MINER_INFO}{label_block(MINER_INFO_LABELS, values)} 1\n")
    return lines


def _place(names: tuple[str, ...], index: int) -> str:
    return names[index] if index >= 0 else ""
