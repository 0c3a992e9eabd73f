"""Sites of a programme as their capability curves: physics for virtual time, and a process that answers figures."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from farmctl.core.programme.governor import Manners, ProgrammeMemory, Wanted, govern
from farmctl.core.programme.sites import MOST_POINTS, Curve, Site

FULL_W = 3_500.0
SLEEP_W = 15.0
UP_SHARE_PER_S = 0.01
DOWN_SHARE_PER_S = 0.1


def programme(sites: int, miners: int) -> tuple[Site, ...]:
    """Sites of unlike size and unlike machines, all at full load; the same every time."""
    weight = 1.0 + np.arange(sites) % 5
    counts = miners * weight / weight.sum()
    return tuple(_site(number, float(count)) for number, count in enumerate(counts))


def _site(number: int, miners: float) -> Site:
    full_w = miners * FULL_W
    power_w = np.linspace(miners * SLEEP_W, full_w, MOST_POINTS)
    best = 1e12 / (15.0 + number % 17)  # 15 to 31 J/TH
    return Site(
        name=f"site-{number:02}",
        curve=Curve(power_w=power_w, marginal_hs_per_w=best * np.linspace(1.2, 0.7, MOST_POINTS)),
        confirmed_w=full_w,
        age_s=1.0,
        granted_w=full_w,
        up_w_per_s=UP_SHARE_PER_S * full_w,
        down_w_per_s=DOWN_SHARE_PER_S * full_w,
    )


def moved(site: Site, share_w: float, dt_s: float) -> Site:
    """The site after `dt_s` on its new figure: as far as its ramps carry it."""
    low_w = site.confirmed_w - site.down_w_per_s * dt_s
    high_w = site.confirmed_w + site.up_w_per_s * dt_s
    return replace(site, confirmed_w=min(max(share_w, low_w), high_w), granted_w=share_w)


def day(sites: tuple[Site, ...], manners: Manners, figures: Iterable[Wanted]) -> Iterator[tuple[float, float]]:
    """One second per figure: granted and drawn in all, W."""
    memory = ProgrammeMemory()
    for now_s, wanted in enumerate(figures):
        memory, told = govern(memory, sites, wanted, manners, float(now_s))
        sites = tuple(moved(site, share.share_w, 1.0) for site, share in zip(sites, told.shares, strict=True))
        yield told.total_w, sum(site.confirmed_w for site in sites)


async def _serve(sites: int, miners: int) -> None:
    """Listen once per site, print the ports, acknowledge each figure with what the site makes of it."""
    servers = [await asyncio.start_server(_Answer(site), "127.0.0.1", 0) for site in programme(sites, miners)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


class _Answer:
    """One site: keeps the highest revision, refuses lower ones."""

    def __init__(self, site: Site) -> None:
        self._site, self._rev = site, 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            asked = json.loads(line)
            fresh = asked["rev"] > self._rev
            if fresh:
                self._rev = asked["rev"]
                self._site = moved(self._site, asked["share_w"], 1.0)
            answer = {"rev": asked["rev"], "accepted": fresh, "confirmed_w": self._site.confirmed_w}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, required=True)
    parser.add_argument("--miners", type=int, required=True)
    told = parser.parse_args()
    asyncio.run(_serve(told.sites, told.miners))
