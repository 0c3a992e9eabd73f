"""`python -m tests.dst --seeds 1000`: histories of the real controller on virtual time, each the same for its seed.

Ends with one JSON object and exit code 1 where a law was broken; `--first SEED --seeds 1` replays one history.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import repeat

import click
import structlog

from tests.dst.mutants import MUTANTS
from tests.dst.run import Outcome, run_history


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--first", type=int, default=1, show_default=True, help="First seed.")
@click.option("--minutes", type=click.FloatRange(min=8.0), default=12.0, show_default=True, help="Length of a history.")
@click.option("--miners", type=click.IntRange(min=4), default=24, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
@click.option("--mutants", is_flag=True, help="Show that the laws can fail: every bug made by hand must be caught.")
def main(seeds: int, first: int, minutes: float, miners: int, workers: int, *, mutants: bool) -> None:
    """Run histories."""
    sys.exit(_mutants(seeds, first) if mutants else _histories(range(first, first + seeds), minutes, miners, workers))


def _histories(seeds: range, minutes: float, miners: int, workers: int) -> int:
    began_s = time.monotonic()
    total = {"seeds": 0, "faults": 0, "orders": 0, "accepted": 0, "commands": 0, "records": 0, "broken": 0}
    for outcome in _outcomes(seeds, minutes, miners, workers):
        total["seeds"] += 1
        total["broken"] += len(outcome.broken)
        for key in ("faults", "orders", "accepted", "commands", "records"):
            total[key] += getattr(outcome, key)
        for broken in outcome.broken:
            click.echo(f"seed {outcome.seed} at {broken.at_s} s: {broken.law}: {broken.what}")
        if total["seeds"] % max(len(seeds) // 10, 1) == 0:
            click.echo(f"{total['seeds']}/{len(seeds)} histories, {total['faults']} faults", err=True)
    click.echo(json.dumps({**total, "minutes": minutes, "wall_s": round(time.monotonic() - began_s, 1)}))
    return 1 if total["broken"] else 0


def _outcomes(seeds: range, minutes: float, miners: int, workers: int) -> Iterator[Outcome]:
    with ProcessPoolExecutor(max_workers=workers, initializer=_hush) as pool:
        yield from pool.map(_one, seeds, repeat(minutes), repeat(miners), chunksize=2)


def _one(seed: int, minutes: float, miners: int) -> Outcome:
    return run_history(seed, minutes=minutes, miners=miners)


def _hush() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def _mutants(seeds: int, first: int) -> int:
    _hush()
    missed = 0
    for mutant in MUTANTS:
        with mutant.alive():
            found = next((o for seed in range(first, first + seeds) if (o := run_history(seed)).broken), None)
        missed += found is None
        caught = "NOT CAUGHT" if found is None else f"seed {found.seed}: {asdict(found.broken[0])['law']}"
        click.echo(f"{mutant.name:<45} {caught}")
    click.echo(json.dumps({"mutants": len(MUTANTS), "missed": missed, "seeds": seeds}))
    return 1 if missed else 0


if __name__ == "__main__":
    main()
