"""How exactly a whole demo follows base points: real processes, real sockets, judged by the simulated meter (N5).

For every mix of firmware and every story (as it is; 7 % more draw in air that gets 30 C warmer; devices that report
10 % less than they draw) one `farmctl demo --headless` is played: base points with the meter in the loop, then more of
them after the meter is gone for good. A referee with a meter line of its own judges. As in the demo, an error counts
once the response window of its order is over.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._host import StealWatch

MIXES = {
    "whatsminer": "m50=2,m60s=1",
    "percent": "s21=1,luxos-s21=1,braiins-s19xp=1",
    "mixed": "m50=3,m60s=2,s21=2,luxos-s19kpro=2,luxos-s21=1",
    "coarse": "m30s++=1,s19pro=1,vnish-s19jpro=1",
}
"""Models of farmsim: Whatsminers alone; stock, LuxOS and Braiins machines that take percent or a profile; the demo's
own fleet; and machines that stop and start, or know a few modes and restart between them."""
STORIES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "ambient_drift_7_pct": ("--warming-c", "30"),
    "device_power_10_pct_wrong": ("--report-error", "0.10"),
}
SHARES = (0.85, 0.72, 0.78, 0.66, 0.82, 0.70)
"""Base points as shares of the site's rating, one after the other and over again."""
FALLING = (0.85, 0.78, 0.72, 0.66)
"""The same for machines that take up to ten minutes to wake: no rise is asked that they cannot follow."""
LOWEST = 0.66
TEACHING = 0.93
"""Where the site stands first, not judged: two settled loads teach how the meter follows the miners."""
LEAD_S = 10
AROUND_S = 17
"""Quiet seconds of the demo before its first order and after its last one."""
MEAN_PCT, END_PCT = 0.5, 1.0
"""N5: mean error, and error at the end of an interval unless one miner's step is more."""
SLACK_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What every run has in common."""

    miners: int
    metered: int
    """Base points with the meter in the loop."""
    lost: int
    """Base points after it is gone; 0: it stays."""
    base_point_s: int
    settling_s: int
    """Response window of every base point."""
    teaching_s: int
    seed: int

    @property
    def base_points(self) -> int:
        """All of them."""
        return self.metered + self.lost

    @property
    def length_s(self) -> int:
        """How long one demo runs."""
        return self.base_points * self.base_point_s + self.teaching_s + LEAD_S + AROUND_S


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--miners", type=int, default=100)
    parser.add_argument("--mixes", default=",".join(MIXES))
    parser.add_argument("--stories", default=",".join(STORIES))
    parser.add_argument("--metered", type=int, default=2, help="base points with the meter in the loop")
    parser.add_argument("--lost", type=int, default=1, help="base points after it is gone")
    parser.add_argument("--base-point-s", type=int, default=300)
    parser.add_argument("--settling-s", type=int, default=60, help="response window of a base point")
    parser.add_argument("--teaching-s", type=int, default=60, help="an order before the first that is judged")
    parser.add_argument("--side-by-side", type=int, default=1, help="demos at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object (the only form)")
    asked = parser.parse_args()
    play = Play(
        miners=asked.miners,
        metered=asked.metered,
        lost=asked.lost,
        base_point_s=asked.base_point_s,
        settling_s=asked.settling_s,
        teaching_s=asked.teaching_s,
        seed=asked.seed,
    )
    print(json.dumps(measure(play, asked.mixes.split(","), asked.stories.split(","), asked.side_by_side)))


def measure(play: Play, mixes: Sequence[str], stories: Sequence[str], side_by_side: int = 1) -> dict[str, object]:
    """Every story of every mix once."""
    steal = StealWatch()
    runs = [(mix, story) for mix in mixes for story in stories]
    with ThreadPoolExecutor(max_workers=side_by_side) as pool:
        told = dict(zip(runs, pool.map(lambda run: run_demo(play, *run), runs), strict=True))
    metered = [figures["metered"] for figures in told.values()]
    return {
        "miners": play.miners,
        "base_point_s": play.base_point_s,
        "settling_s": play.settling_s,
        "base_point_mean_error_pct": _mean(figures["mean_error_pct"] for figures in metered),
        "base_point_p95_error_pct": _worst(figures["p95_error_pct"] for figures in metered),
        "base_point_worst_end_error_pct": _worst(figures["worst_end_error_pct"] for figures in metered),
        "reaches_n5": all(figures["reaches_n5"] for figures in metered),
        "mixes": {mix: {story: told[mix, story] for story in stories} for mix in mixes},
        "steal_pct": steal.steal_pct(),
    }


def run_demo(play: Play, mix: str, story: str) -> dict[str, Any]:
    """Play one demo to its end and take its errors apart; raises RuntimeError with its last words if it failed."""
    with tempfile.TemporaryDirectory(prefix="farmctl-follow-") as name:
        trace = Path(name) / "base_points.csv"
        trace.write_text(base_points(play, FALLING if mix == "coarse" else SHARES), encoding="utf-8")
        words = ["--miners", str(play.miners), "--seed", str(play.seed), "--no-faults", "--mix", MIXES[mix]]
        words += ["--trace", str(trace), "--for", f"{play.length_s}s", *STORIES[story]]
        if play.lost:
            words += ["--meter-lost-after", f"{LEAD_S + play.teaching_s + play.metered * play.base_point_s}s"]
        command = [sys.executable, "-m", "farmctl", "demo", "--headless", *words, "-o", "json"]
        done = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, check=False, timeout=play.length_s + SLACK_S
        )
    try:
        summary = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-800:]}") from None
    return figures_of(play, summary)


def base_points(play: Play, shares: Sequence[float]) -> str:
    """The dispatcher's orders, as farmsim's grid reads them."""
    rows = ["t_s,kind,name,target_pu,duration_s,lead_s,class,respond_within_s"]
    rows += [f"0,create,teaching,{TEACHING},{play.teaching_s},{LEAD_S},TARGET,{play.settling_s}"]
    rest = f"{play.base_point_s},{LEAD_S},TARGET,{play.settling_s}"
    starts = [play.teaching_s + n * play.base_point_s for n in range(play.base_points)]
    rows += [f"{at},create,bp-{n},{shares[n % len(shares)]},{rest}" for n, at in enumerate(starts)]
    return "\n".join(rows) + "\n"


def figures_of(play: Play, summary: dict[str, Any]) -> dict[str, Any]:
    """Errors with the meter and without it, and whether the first reach N5."""
    events = [event for event in summary["events"] if event["id"].startswith("bp-")][: play.base_points]
    one_step_pct = round(100.0 / (LOWEST * play.miners), 3)
    # One average miner's full draw in percent of the lowest base point.
    told: dict[str, Any] = {"one_miner_pct": one_step_pct, "commands": summary["commands"]["sent"]}
    for name, part in (("metered", events[: play.metered]), ("meter_lost", events[play.metered :])):
        if part:
            told[name] = {
                "mean_error_pct": _mean(event["mean_error_pct"] for event in part),
                "p95_error_pct": _worst(event["p95_error_pct"] for event in part),
                "worst_end_error_pct": _worst(event["end_error_pct"] for event in part),
                "states": [event["state"] for event in part],
            }
    metered = told["metered"]
    metered["reaches_n5"] = bool(
        len(events) == play.base_points
        and metered["mean_error_pct"] <= MEAN_PCT
        and metered["worst_end_error_pct"] <= max(END_PCT, one_step_pct)
    )
    told["limit_violations"], told["alarms"] = summary["limit_violations"], summary["alarms"]
    return told


def _mean(values: Iterable[float | None]) -> float:
    known = [math.inf if value is None else value for value in values]
    return round(sum(known) / len(known), 3) if known else math.nan


def _worst(values: Iterable[float | None]) -> float:
    return round(max((math.inf if value is None else value for value in values), default=math.nan), 3)


if __name__ == "__main__":
    main()
