"""How long the best allocation takes, how far it is from the LP bound, and how many miners a change of load touches.

The referee is HiGHS on the same instance: the LP relaxation over the hull segments of every miner (miners alike in
circuit, ladder and scale are one variable per segment, which changes nothing), under every rating of the tree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace

import highspy
import numpy as np

from benchmarks._fleet import NOW_MS, at, fleet
from benchmarks._host import StealWatch
from farmctl.core.circuits import ancestors_at, depths
from farmctl.core.fleet import FleetView
from farmctl.core.grid import EventClass, EventPut, GridEvent, Interval
from farmctl.core.hull import hulls
from farmctl.core.ideal import Bounds, Ideal, ideal
from farmctl.core.memory import Memory
from farmctl.core.policies import POLICIES, Policy
from farmctl.core.step import step
from farmctl.core.units import FloatColumn, IntColumn

POLICY = "efficiency_first"
SHARES = (0.95, 0.9, 0.7, 0.4)
"""Targets, as shares of the full load, at which the solver is timed and refereed."""
START_SHARE = 0.9
STEPS = (0.01, 0.10, 0.30)


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object (the only form)")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.miners, arguments.repeat)))


def measure(miners: int, repeat: int) -> dict[str, float | int | str]:
    """All figures of one fleet."""
    steal = StealWatch()
    view = fleet(miners)
    full_w = float(view.table.power_w.sum())
    policy = POLICIES[POLICY]
    solves: list[float] = []
    cpus: list[float] = []
    gaps: list[float] = []
    for share in SHARES:
        best, times, cpu = _timed(view, policy, share * full_w, repeat)
        solves += times
        cpus += cpu
        gaps.append(gap_pct(view, best, share * full_w))
    start = ideal(view, policy, everything(miners), START_SHARE * full_w)
    at(view.table, view.ladders, start.step)
    result: dict[str, float | int | str] = {
        "miners": miners,
        "nodes": len(view.circuits.names),
        "policy": POLICY,
        "solve_ms": round(statistics.median(solves), 2),
        "solve_worst_ms": round(max(solves), 2),
        "solve_cpu_ms": round(statistics.median(cpus), 2),
        "gap_pct": round(max(gaps), 6),
    }
    for share in STEPS:
        result |= _step_figures(view, policy, start, share, full_w)
    result["steal_pct"] = steal.steal_pct()
    return result


def everything(miners: int) -> Bounds:
    """All rows free, none locked."""
    nobody = np.zeros(miners, dtype=np.bool_)
    return Bounds(free=~nobody, awake=nobody, asleep=nobody, fixed_w=np.zeros(miners))


def gap_pct(view: FleetView, best: Ideal, budget_w: float) -> float:
    """How far the hash rate stays below the LP bound, percent."""
    table, book = view.table, view.ladders
    ours = float((book.hash_rate_hs[table.ladder, best.step] * table.power_scale).sum())
    bound = lp_bound_hs(view, budget_w)
    return 100.0 * (bound - ours) / bound


def lp_bound_hs(view: FleetView, budget_w: float) -> float:
    """Most hash rate that any fractional allocation can have, H/s; solved by HiGHS."""
    table, book = view.table, view.ladders
    hull = hulls(book, book.hash_rate_hs)
    keys = np.stack([table.node, table.ladder, np.round(table.power_scale * 1_000).astype(np.int64)])
    kinds, count = np.unique(keys, axis=1, return_counts=True)
    node, ladder, scale = kinds[0], kinds[1], kinds[2] / 1_000
    watts, price, owner = [], [], []
    for position in range(1, hull.price.shape[1]):
        real = np.isfinite(hull.price[ladder, position])
        low = hull.power_w[ladder, position - 1] * (scale if position > 1 else 1.0)
        rise_w = hull.power_w[ladder, position] * scale - low
        nominal_w = hull.power_w[ladder, position] - hull.power_w[ladder, position - 1]
        watts.append((rise_w * count)[real])
        price.append(hull.price[ladder, position][real] * (nominal_w * scale)[real] / rise_w[real])
        owner.append(node[real])
    asleep_w = np.bincount(node, weights=hull.power_w[ladder, 0] * count, minlength=len(view.circuits.names)).astype(
        np.float64
    )
    return _solve(view, np.concatenate(watts), np.concatenate(price), np.concatenate(owner), asleep_w, budget_w)


def _solve(
    view: FleetView, watts: FloatColumn, price: FloatColumn, owner: IntColumn, asleep_w: FloatColumn, budget_w: float
) -> float:
    tree = view.circuits
    limit_w = tree.rating_w.copy()
    limit_w[0] = min(limit_w[0], budget_w)
    base_w = asleep_w.copy()
    for node in range(len(tree.names) - 1, 0, -1):
        base_w[tree.parent[node]] += base_w[node]
    columns, rows = [], []
    for depth in range(int(depths(tree).max()) + 1):
        above = ancestors_at(tree, depth)[owner]
        reached = np.flatnonzero((depths(tree)[above] == depth) & np.isfinite(limit_w[above]))
        columns.append(reached)
        rows.append(above[reached])
    column, row = np.concatenate(columns), np.concatenate(rows)
    order = np.lexsort((row, column))
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(watts), len(tree.names)
    unit_w, unit_hs = 1e3, 1e12  # kW and TH/s keep the numbers near one
    lp.col_cost_ = -price * unit_w / unit_hs
    lp.col_lower_, lp.col_upper_ = np.zeros(len(watts)), watts / unit_w
    lp.row_lower_ = np.full(len(tree.names), -highspy.kHighsInf)
    spare = (limit_w - base_w) / unit_w
    lp.row_upper_ = np.where(np.isfinite(spare), spare, highspy.kHighsInf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=len(watts)))])
    lp.a_matrix_.index_ = row[order]
    lp.a_matrix_.value_ = np.ones(len(order))
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy has no annotations
    solver.setOptionValue("log_to_console", "false")
    solver.setOptionValue("output_flag", "false")
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        message = f"LP bound: HiGHS ended with {solver.modelStatusToString(solver.getModelStatus())}"
        raise RuntimeError(message)
    return -float(solver.getInfo().objective_function_value) * unit_hs


def _timed(view: FleetView, policy: Policy, budget_w: float, repeat: int) -> tuple[Ideal, list[float], list[float]]:
    bounds = everything(len(view.table))
    times: list[float] = []
    cpu: list[float] = []
    best = ideal(view, policy, bounds, budget_w)
    for _ in range(repeat):
        began, began_cpu = time.perf_counter(), time.process_time()
        best = ideal(view, policy, bounds, budget_w)
        times.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.process_time() - began_cpu) * 1e3)
    return best, times, cpu


def _step_figures(
    view: FleetView, policy: Policy, start: Ideal, share: float, full_w: float
) -> dict[str, float | int | str]:
    """Commands of a fall by `share` of the full load: at once, and until nothing could be better."""
    miners = len(view.table)
    target_w = (START_SHARE - share) * full_w
    asked = replace(view, inbox=(EventPut(event=_order(target_w, NOW_MS)),))
    there = replace(
        view,
        inbox=(EventPut(event=_order(float(start.power_w.sum()), NOW_MS - 1_000)),),
        meter=replace(view.meter, power_w=float(start.power_w.sum()), at_ms=NOW_MS - 1_000),
    )
    asked = replace(asked, meter=replace(there.meter, at_ms=NOW_MS))
    memory, _ = step(Memory.at_boot(view.table.miner_id, NOW_MS - 60_000), there, NOW_MS - 1_000, POLICY)
    began, began_cpu = time.perf_counter(), time.process_time()
    _, decision = step(memory, asked, NOW_MS, POLICY)
    cycle_ms, cycle_cpu_ms = (time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3
    best = ideal(view, policy, everything(miners), target_w)
    name = f"step_{share * 100:.0f}"
    return {
        f"{name}_commands_pct": round(100.0 * len(decision.commands) / miners, 3),
        f"{name}_refined_commands_pct": round(100.0 * float((best.step != start.step).mean()), 3),
        f"{name}_cycle_ms": round(cycle_ms, 2),
        f"{name}_cycle_cpu_ms": round(cycle_cpu_ms, 2),
    }


def _order(target_w: float, now_ms: int) -> GridEvent:
    end = now_ms + 600_000
    return GridEvent(
        event_id="e1",
        msg_id="m1",
        source="grid",
        issuer="grid-op",
        epoch=1,
        seq=1,
        event_class=EventClass.TARGET,
        priority=5,
        created_ms=now_ms,
        expires_ms=end,
        intervals=(Interval(start_ms=now_ms, end_ms=end, setpoint_w=target_w),),
        respond_within_s=30.0,
    )


if __name__ == "__main__":
    main()
