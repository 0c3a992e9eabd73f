"""Parts of the site summed up: containers, racks, circuits, meters."""

from __future__ import annotations

import numpy as np

from farmctl.control.filter import Columns
from farmctl.control.roster import state_codes
from farmctl.control.strip import finite
from farmctl.control.wire import Json
from farmctl.core.circuits import node_load_w
from farmctl.core.model import MinerState
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, IdColumn, to_kw
from farmctl.ports.control import SitePicture


def containers(picture: SitePicture, columns: Columns) -> list[Json]:
    """Every container, by name."""
    return _summed(picture, columns.words["cont"])


def racks(picture: SitePicture, columns: Columns) -> list[Json]:
    """Every rack, as CONTAINER/RACK."""
    cont, rack = columns.words["cont"], columns.words["rack"]
    placed = (cont != "") & (rack != "")
    return _summed(picture, np.where(placed, np.char.add(np.char.add(cont, "/"), rack), ""))


def circuits(picture: SitePicture) -> list[Json]:
    """Every node of the limit tree, the root first."""
    view, decision = picture.view, picture.decision
    tree, node = view.circuits, view.table.node
    load_w = node_load_w(tree, node, decision.seen.power_now_w)
    planned_w = node_load_w(tree, node, decision.allocation.plan_w)
    miners = node_load_w(tree, node, np.ones(len(view.table)))
    return [
        {
            "name": name,
            "parent": tree.names[tree.parent[n]] if tree.parent[n] >= 0 else "",
            "rating_kw": _kw(tree.rating_w[n]),
            "load_kw": to_kw(float(load_w[n])),
            "planned_kw": to_kw(float(planned_w[n])),
            "meter_kw": _kw(tree.meter_w[n]),
            "miners": int(miners[n]),
        }
        for n, name in enumerate(tree.names)
    ]


def meters(picture: SitePicture) -> list[Json]:
    """The site's meter, and every circuit that has one."""
    view, site = picture.view, picture.decision.site
    sample = view.meter
    age_s = None if sample.at_ms < 0 else (picture.decision.at_ms - sample.at_ms) / MS_PER_S
    rows: list[Json] = [
        {
            "name": "site", "power_kw": _kw(sample.power_w), "quality": sample.quality.value, "age_s": age_s,
            "used_kw": to_kw(site.power_w), "used": "meter" if site.metered else "sum of the miners",
        }
    ]  # fmt: skip
    tree = view.circuits
    rows += [
        {
            "name": name, "power_kw": _kw(tree.meter_w[n]), "quality": "OK", "age_s": None,
            "used_kw": _kw(tree.meter_w[n]), "used": "meter",
        }
        for n, name in enumerate(tree.names)
        if np.isfinite(tree.meter_w[n])
    ]  # fmt: skip
    return rows


def _summed(picture: SitePicture, places: IdColumn) -> list[Json]:
    """O(rows), no Python loop over them."""
    table, decision = picture.view.table, picture.decision
    names, group = np.unique(places, return_inverse=True)
    kinds = len(MinerState)
    counts = np.bincount(group * kinds + state_codes(picture), minlength=len(names) * kinds).reshape(-1, kinds)
    power_w = np.bincount(group, weights=np.nan_to_num(decision.seen.power_now_w), minlength=len(names))
    planned_w = np.bincount(group, weights=decision.allocation.plan_w, minlength=len(names))
    rate_hs = np.bincount(group, weights=np.nan_to_num(table.hash_rate_hs), minlength=len(names))
    maintained = np.bincount(group, weights=table.maintained, minlength=len(names))
    hottest_c = np.full(len(names), -np.inf)
    np.maximum.at(hottest_c, group, np.nan_to_num(table.temperature_c, nan=-np.inf))
    return [
        {
            "name": str(name),
            "miners": int(counts[n].sum()),
            **{kind.name.lower(): int(counts[n, kind]) for kind in MinerState},
            "power_kw": to_kw(float(power_w[n])),
            "planned_kw": to_kw(float(planned_w[n])),
            "hash_rate_ths": round(float(rate_hs[n]) / HASHES_PER_TERAHASH, 2),
            "hottest_c": finite(float(hottest_c[n])),
            "maintenance": bool(maintained[n]),
        }
        for n, name in enumerate(names)
        if name
    ]


def _kw(watts: float) -> float | None:
    return to_kw(float(watts)) if np.isfinite(watts) else None
