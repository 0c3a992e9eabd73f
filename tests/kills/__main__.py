"""`python -m tests.kills --kills 200`: the controller of a running farm is killed at random moments, and judged (N12).

Ends with one JSON object and exit code 1 where something acknowledged was lost or a command changed its meaning.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from tests.kills.run import killed


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--miners", type=click.IntRange(min=4), default=24, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the files here.")
def main(kills: int, seed: int, miners: int, folder: Path | None) -> None:
    """Kill, restart, judge."""
    with tempfile.TemporaryDirectory(prefix="farmctl-kills-") as name:
        place = folder or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(
            killed(place, kills, seed=seed, miners=miners, say=lambda text: click.echo(text, err=True))
        )
    for broken in result.broken:
        click.echo(broken)
    click.echo(json.dumps({**asdict(result), "broken": len(result.broken)}))
    sys.exit(1 if result.broken else 0)


if __name__ == "__main__":
    main()
