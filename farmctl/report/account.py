"""Energy by site, container and owner: the meter's joules, shared out by what the devices drew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from farmctl.ports.series import UNKNOWN, SitePart
from farmctl.report.canonical import MS_PER_S, S_PER_H, Json, mwh, rounded, whole
from farmctl.report.case import SiteFacts
from farmctl.report.series import MAX_GAP_MS, Line, Page, SiteSeries, wh

MAX_PART_GAP_MS = 25_000
"""Parts are sampled every ten seconds between events; two samples may be missing."""
J_PER_WH = 3_600.0
COMPLETE = 0.99
"""A container's own meter counts where it covers so much of the stretch."""
PartKey = tuple[str, str]
"""Container and owner."""


@dataclass(slots=True)
class _Sum:
    """Energy and hashes of one part."""

    device_wh: float = 0.0
    terahashes: float = 0.0
    metered_wh: float = 0.0
    """By the container's own meter."""
    metered_s: float = 0.0
    seconds: float = 0.0

    @property
    def metered(self) -> bool:
        """Its own meter vouches for the whole stretch."""
        return self.seconds > 0 and self.metered_s >= COMPLETE * self.seconds


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Account:
    """The site's energy in a stretch, and how its parts share it."""

    metered_wh: float
    device_wh: float
    """Sum of the devices over the same seconds as the meter."""
    covered_s: float
    span_s: float
    terahashes: float
    source: str
    parts: dict[PartKey, _Sum] = field(default_factory=dict)


def account(series: SiteSeries, pages: Sequence[Page], facts: Sequence[SiteFacts], from_ms: int, to_ms: int) -> Account:
    """Integrate a stretch; a part's energy is the meter's, in proportion to what its devices drew."""
    power, source = series.power()
    metered = power.clipped(from_ms, to_ms)
    devices = series.line("device_w")
    beside = _at(devices, metered)
    hashes = series.line("hash_ghs", scale=1e-3).clipped(from_ms, to_ms)
    return Account(
        metered_wh=wh(metered),
        device_wh=wh(beside),
        covered_s=metered.covered_s(),
        span_s=(to_ms - from_ms) / MS_PER_S,
        terahashes=hashes.integral(),
        source=source,
        parts=_parts(pages, facts, from_ms, to_ms),
    )


def told(found: Account) -> Json:
    """The account as a report states it; containers, owners and the rest add up to the site's meter."""
    parts = found.parts
    own_wh = sum(part.metered_wh for part in parts.values() if part.metered)
    shared = [part for part in parts.values() if not part.metered]
    shared_wh = sum(part.device_wh for part in shared)
    left_wh = found.metered_wh - own_wh
    scale = max(left_wh, 0.0) / shared_wh if shared_wh > 0 else 0.0
    part_th = sum(part.terahashes for part in parts.values())
    th_scale = found.terahashes / part_th if part_th > 0 else 0.0
    energy = {key: part.metered_wh if part.metered else part.device_wh * scale for key, part in parts.items()}
    return {
        "source": found.source,
        "metered_mwh": mwh(found.metered_wh),
        "metered_j": whole(found.metered_wh * J_PER_WH),
        "device_mwh": mwh(found.device_wh),
        "meter_over_devices": rounded(found.metered_wh / found.device_wh, 5) if found.device_wh > 0 else None,
        "unmetered_s": rounded(max(found.span_s - found.covered_s, 0.0), 1),
        "coverage_pct": rounded(100.0 * found.covered_s / found.span_s, 3) if found.span_s > 0 else None,
        "j_per_th": _j_per_th(found.metered_wh, found.terahashes),
        "containers": _rows(parts, energy, th_scale, "container"),
        "owners": _rows(parts, energy, th_scale, "owner"),
        "rest_mwh": mwh(found.metered_wh - sum(energy.values())),
        "shared_by": "containers with a meter of their own by it; the rest of the site's meter by device power",
    }


def _rows(parts: Mapping[PartKey, _Sum], energy: Mapping[PartKey, float], th_scale: float, kind: str) -> list[Json]:
    """One row per container or owner."""
    rows: list[Json] = []
    place = ("container", "owner").index(kind)
    for name in sorted({key[place] for key in parts}):
        mine = [key for key in parts if key[place] == name]
        energy_wh, terahashes = sum(energy[key] for key in mine), sum(parts[key].terahashes for key in mine) * th_scale
        own = {parts[key].metered for key in mine}
        rows.append(
            {
                kind: name,
                "mwh": mwh(energy_wh),
                "j": whole(energy_wh * J_PER_WH),
                "device_mwh": mwh(sum(parts[key].device_wh for key in mine)),
                "j_per_th": _j_per_th(energy_wh, terahashes),
                "source": "METER" if own == {True} else "SHARED" if own == {False} else "METER, SHARED",
            }
        )
    return rows


def _j_per_th(energy_wh: float, terahashes: float) -> float | None:
    return rounded(energy_wh * J_PER_WH / terahashes, 3) if terahashes > 0 else None


def _at(line: Line, other: Line) -> Line:
    """A line at another's moments, so that both cover the same seconds."""
    if not len(line.at_ms):
        return Line(at_ms=other.at_ms[:0], value=other.value[:0])
    return Line(at_ms=other.at_ms, value=np.interp(other.at_ms, line.at_ms, line.value))


def _parts(pages: Sequence[Page], facts: Sequence[SiteFacts], from_ms: int, to_ms: int) -> dict[PartKey, _Sum]:
    """Device energy of every part; each run has its own list of parts."""
    sums: defaultdict[PartKey, _Sum] = defaultdict(_Sum)
    for known in facts:
        mine = [each.page for each in pages if each.facts == known.seq and len(each.page.parts_at_ms)]
        if not mine:
            continue
        at_ms = np.concatenate([page.parts_at_ms for page in mine])
        figures = np.concatenate([page.parts for page in mine], axis=2)
        order = np.argsort(at_ms, kind="stable")
        at_ms, figures = at_ms[order], figures[:, :, order].astype(np.float64)
        step_s = _inside_s(at_ms[:-1], at_ms[1:], from_ms, to_ms)
        figures[figures == UNKNOWN] = np.nan
        means = (figures[:, :, 1:] + figures[:, :, :-1]) / 2.0
        totals = np.nansum(means * step_s, axis=2)
        metered_s = (np.isfinite(means[SitePart.METER_W]) * step_s).sum(axis=1)
        for index, part in enumerate(known.body["parts"]):
            pot = sums[part["container"], part["owner"]]
            pot.device_wh += float(totals[SitePart.POWER_W, index]) / S_PER_H
            pot.terahashes += float(totals[SitePart.HASH_GHS, index]) / 1e3
            pot.metered_wh += float(totals[SitePart.METER_W, index]) / S_PER_H
            pot.metered_s += float(metered_s[index])
            pot.seconds += float(step_s.sum())
    return dict(sums)


def _inside_s(
    begin_ms: np.ndarray[tuple[int], np.dtype[np.int64]],
    end_ms: np.ndarray[tuple[int], np.dtype[np.int64]],
    from_ms: int,
    to_ms: int,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds of each step that lie in [from, to]; 0 for a step that is a gap."""
    inside_ms = np.clip(np.minimum(end_ms, to_ms) - np.maximum(begin_ms, from_ms), 0, None)
    seconds: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        np.where(end_ms - begin_ms <= max(MAX_PART_GAP_MS, MAX_GAP_MS), inside_ms, 0) / MS_PER_S
    )
    return seconds
