"""Conditions of the fleet: silent miners and what explains them, deaf ones, slow ones, circuits near their rating."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from farmctl.core.alarms.nouns import Condition, Truth
from farmctl.core.alarms.scene import WARM_MS, Scene
from farmctl.core.alarms.site import SITE
from farmctl.core.alarms.yard import common_causes, containers
from farmctl.core.circuits import node_load_w
from farmctl.core.confirm import Seen
from farmctl.core.fleet import NO_LADDER
from farmctl.core.memory import Standing
from farmctl.core.model import MinerState
from farmctl.core.units import MS_PER_S, NEVER_MS, WATTS_PER_KW, FloatColumn, IntColumn, MaskColumn

DEAF_FRACTION = 0.02
SILENT_FRACTION = 0.10
SILENT_NEAR = 0.08
OVERLOAD = 1.01
OVERLOAD_NEAR = 0.98
NEAR_LIMIT = 0.90
NEAR_LIMIT_NEAR = 0.87
ASTRAY_FRACTION = 0.002
"""Share of the rating that may run where sleep is wanted before anybody is called: one miner of 500."""
HASH_LOW = 0.95
HASH_NEAR = 0.97
KNOWN_LEAST = 0.9
ROWS_LEAST = 5
SLOW_SHARE = 0.7
LIMIT_C = 90.0
"""Where nothing is stated: stock firmware of air-cooled models throttles or stops at 90-95 C at the chip [K]."""
MARGIN_K = 5.0
MARGIN_NEAR_K = 6.0
FAILED_SHARE = 0.05
FAILED_NEAR = 0.04
COMMANDS_LEAST = 20
HOT_FRACTION = 0.01
OVERRUN_MS = 1_800_000
OVERRUN_FRACTION = 0.01
SETTLING_MS = 900_000
MISSING_FRACTION = 0.01
NAMED = 3
SLOW_FRACTION = 0.01
MISMATCH = 0.05
MISMATCH_NEAR = 0.04


def row_conditions(scene: Scene) -> Iterator[Condition]:
    """Everything that looks at rows; O(rows), no Python loop over them."""
    if not len(scene.view.table):
        return
    lost, maintained = _lost(scene), scene.view.table.maintained
    explained = maintained.copy()
    if scene.yard is not None and lost.any():
        for cause in common_causes(scene.yard, lost, _lost_ms(scene), scene.known):
            explained[cause.lost] = True
            n = len(cause.lost)
            yield Condition(
                alarm="container_offline",
                priority=2,
                where=cause.where,
                detail=f"unreachable: {n} of {cause.members} offline",
                n=n,
                truth=Truth.TRUE if cause.standing else Truth.NEAR,
                permits=bool(maintained[cause.lost].all()),
            )
    yield from _polls(lost & ~explained)
    yield from _never(scene, lost & ~explained)
    yield from _deaf(scene, explained)
    yield from _starting(scene)
    yield from _hot(scene)
    if scene.seen is not None:
        yield from _circuits(scene, scene.seen)
        yield from _astray(scene, scene.seen)
        yield from _hash_rate(scene, scene.seen)
        yield from _mismatch(scene, scene.seen)


def _lost(scene: Scene) -> MaskColumn:
    """Rows that were tried and do not answer."""
    table = scene.view.table
    stale = ~(scene.now_ms - table.seen_ms <= scene.view.rules.seen_stale_s * MS_PER_S) | (table.seen_ms < 0)
    return (table.tried_ms >= 0) & stale


def _lost_ms(scene: Scene) -> IntColumn:
    """When each row was last heard; the start of the controller for those that it never heard."""
    seen_ms = scene.view.table.seen_ms
    return np.where(seen_ms == NEVER_MS, scene.memory.booted_ms, seen_ms)


def _polls(lost: MaskColumn) -> Iterator[Condition]:
    rows, n = len(lost), int(lost.sum())
    if n > SILENT_NEAR * rows:
        truth = Truth.TRUE if n > SILENT_FRACTION * rows else Truth.NEAR
        detail = f"{n} of {rows} miners do not answer"
        yield Condition(alarm="poll_failures", priority=2, where=SITE, detail=detail, truth=truth)


def _never(scene: Scene, lost: MaskColumn) -> Iterator[Condition]:
    """Rows that have not answered once since the start."""
    if scene.now_ms - scene.memory.booted_ms < SETTLING_MS:
        return
    never = lost & (scene.view.table.seen_ms == NEVER_MS)
    n = int(never.sum())
    if n > max(MISSING_FRACTION * len(never), 0):
        detail = f"{n} of {len(never)} miners of the inventory have never answered: {_names(scene, never)}"
        yield Condition(alarm="inventory_missing", priority=3, where=SITE, detail=detail, n=n)


def _starting(scene: Scene) -> Iterator[Condition]:
    """Rows that start and start."""
    table, rows = scene.view.table, scene.memory.rows
    late = (table.state == MinerState.BOOTING) & (rows.wanted > 0) & ~table.maintained
    late &= (rows.on_since_ms >= 0) & (scene.now_ms - rows.on_since_ms > OVERRUN_MS)
    n = int(late.sum())
    if n > max(ROWS_LEAST, OVERRUN_FRACTION * len(late)):
        detail = f"{n} miners have been starting for more than 30 min: {_names(scene, late)}"
        yield Condition(alarm="warmup_overrun", priority=3, where=SITE, detail=detail, n=n)


def _hot(scene: Scene) -> Iterator[Condition]:
    """Running rows close to the heat at which they protect themselves, container by container."""
    table = scene.view.table
    runs = ((table.state == MinerState.HASHING) | (table.state == MinerState.THROTTLED)) & ~table.maintained
    limit_c = np.full(len(table), LIMIT_C)
    if scene.limit_c is not None:
        limit_c = np.where(np.isfinite(scene.limit_c), scene.limit_c, LIMIT_C)
    margin_k = limit_c - table.temperature_c
    if not (runs & (margin_k < MARGIN_NEAR_K)).any():
        return
    names, place = containers(scene.yard, len(table))
    running, near, hot = (
        np.bincount(place[rows], minlength=len(names))
        for rows in (runs, runs & (margin_k < MARGIN_NEAR_K), runs & (margin_k < MARGIN_K))
    )
    least = np.maximum(HOT_FRACTION * running, ROWS_LEAST)
    worst_by_place_k = np.full(len(names), np.inf)
    np.fmin.at(worst_by_place_k, place[runs], margin_k[runs])
    for number in np.flatnonzero(near > least):
        n, worst_k = int(hot[number]), float(worst_by_place_k[number])
        truth = Truth.TRUE if n > least[number] else Truth.NEAR
        detail = f"{n} of {int(running[number])} running miners within {MARGIN_K:.0f} K of their limit"
        yield Condition(
            alarm="temp_margin_low", priority=3, where=names[number] or SITE,
            detail=f"{detail}, the hottest at {worst_k:.0f} K", n=n, truth=truth,
        )  # fmt: skip


def _names(scene: Scene, which: MaskColumn) -> str:
    """The first few of them."""
    shown = scene.view.table.miner_id[np.flatnonzero(which)[:NAMED]]
    return ", ".join(str(miner) for miner in shown)


def _deaf(scene: Scene, explained: MaskColumn) -> Iterator[Condition]:
    """Commands of the last minutes that were not followed, or miners that were given up after every retry."""
    gave_up = int(((scene.memory.rows.standing == Standing.GAVE_UP) & ~explained).sum())
    if gave_up > DEAF_FRACTION * len(explained):
        detail = f"{gave_up} miners did not follow after every retry"
        yield Condition(alarm="command_failures", priority=2, where=SITE, detail=detail, n=gave_up)
        return
    total, failed = scene.commands, scene.commands_failed
    if total >= COMMANDS_LEAST and failed > FAILED_NEAR * total:
        truth = Truth.TRUE if failed > FAILED_SHARE * total else Truth.NEAR
        worst = f", {scene.commands_worst}" if scene.commands_worst else ""
        detail = f"{failed} of {total} commands in 5 min were not followed ({failed / total:.0%}){worst}"
        yield Condition(alarm="command_failures", priority=2, where=SITE, detail=detail, n=failed, truth=truth)


def _circuits(scene: Scene, seen: Seen) -> Iterator[Condition]:
    """Nodes below the root: the root is the site, whose limit has an alarm of its own."""
    tree = scene.view.circuits
    summed_w = node_load_w(tree, scene.view.table.node, seen.power_now_w)
    load_w = np.where(np.isfinite(tree.meter_w), tree.meter_w, summed_w)
    rated = np.isfinite(tree.rating_w) & (tree.rating_w > 0)
    rated[0] = False
    share = np.divide(load_w, tree.rating_w, out=np.zeros(len(load_w)), where=rated)
    for node in np.flatnonzero(share > NEAR_LIMIT_NEAR):
        where, part = tree.names[node], float(share[node])
        told = f"{load_w[node] / WATTS_PER_KW:.0f} of {tree.rating_w[node] / WATTS_PER_KW:.0f} kW ({part:.0%})"
        if part > OVERLOAD_NEAR:
            truth = Truth.TRUE if part > OVERLOAD else Truth.NEAR
            yield Condition(alarm="circuit_overload", priority=1, where=where, detail=told, truth=truth)
        truth = Truth.TRUE if part > NEAR_LIMIT else Truth.NEAR
        yield Condition(alarm="circuit_near_limit", priority=2, where=where, detail=told, truth=truth)


def _astray(scene: Scene, seen: Seen) -> Iterator[Condition]:
    rows, table = seen.rows, scene.view.table
    runs = (table.state == MinerState.HASHING) | (table.state == MinerState.THROTTLED)
    astray = seen.fresh & runs & (rows.wanted == 0) & (rows.standing != Standing.PENDING)
    power_w = float(seen.power_now_w[astray].sum())
    if power_w > ASTRAY_FRACTION * scene.view.rules.rated_w:
        n = int(astray.sum())
        detail = f"{n} miners draw {power_w / WATTS_PER_KW:.0f} kW where sleep is wanted"
        yield Condition(alarm="running_while_off", priority=2, where=SITE, detail=detail, n=n)


def _hash_rate(scene: Scene, seen: Seen) -> Iterator[Condition]:
    """Hash rate against what the wanted points promise, of rows that have been there long enough."""
    table, rows = scene.view.table, scene.memory.rows
    settled = seen.fresh & (rows.standing == Standing.SETTLED) & (rows.wanted > 0) & (table.ladder != NO_LADDER)
    settled &= ~table.maintained
    warm = settled & (scene.now_ms - rows.commanded_ms > WARM_MS) & (scene.now_ms - rows.on_since_ms > WARM_MS)
    known = warm & np.isfinite(table.hash_rate_hs)
    n = int(warm.sum())
    if n < ROWS_LEAST or known.sum() < KNOWN_LEAST * n:
        detail = f"{int(known.sum())} of {n} settled miners tell a hash rate"
        yield Condition(alarm="hashrate_low", priority=2, where=SITE, detail=detail, truth=Truth.UNKNOWN)
        return
    promised_hs: FloatColumn = scene.view.ladders.hash_rate_hs[table.ladder[known], rows.wanted[known]]
    share = float(table.hash_rate_hs[known].sum() / max(promised_hs.sum(), 1.0))
    if share < HASH_NEAR:
        truth = Truth.TRUE if share < HASH_LOW else Truth.NEAR
        detail = f"{share:.1%} of what {n} settled miners should do"
        yield Condition(alarm="hashrate_low", priority=2, where=SITE, detail=detail, truth=truth)
    slow = int((table.hash_rate_hs[known] < SLOW_SHARE * promised_hs).sum())
    if slow > max(ROWS_LEAST, SLOW_FRACTION * n):
        detail = f"{slow} miners below {SLOW_SHARE:.0%} of their hash rate"
        yield Condition(alarm="low_hash", priority=4, where=SITE, detail=detail, n=slow)


def _mismatch(scene: Scene, seen: Seen) -> Iterator[Condition]:
    if not scene.site.metered or scene.site.power_w <= 0:
        return
    summed_w = float(seen.power_now_w.sum())
    off = (summed_w - scene.site.power_w) / scene.site.power_w
    if abs(off) > MISMATCH_NEAR:
        truth = Truth.TRUE if abs(off) > MISMATCH else Truth.NEAR
        detail = (
            f"the miners say {summed_w / WATTS_PER_KW:.0f} kW, the meter {scene.site.power_w / WATTS_PER_KW:.0f} kW"
        )
        yield Condition(alarm="meter_mismatch", priority=2, where=SITE, detail=f"{detail} ({off:+.1%})", truth=truth)
