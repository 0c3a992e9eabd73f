"""The sites of a synthetic headquarters: one that follows, and one of everything that can be wrong."""

from __future__ import annotations

from typing import Any


def site_row(name: str, **changes: Any) -> dict[str, Any]:
    """A site where its share wants it, changed as stated."""
    row = {
        "name": name, "mode": "FOLLOWING", "power_kw": 17_940.0, "share_kw": 18_000.0, "deviation_kw": -60.0,
        "why": "cost", "help": "it hashes most with the next watt", "asked_kw": 18_000.0, "acked_kw": 18_000.0,
        "refused": "", "link_age_s": 1.4, "connected": True, "min_kw": 310.0, "max_kw": 24_800.0,
        "own_limit_kw": None, "rated_kw": 25_000.0, "hash_rate_ths": 912_400.0, "marginal_jth": 19.4,
    }  # fmt: skip
    return {**row, **changes}


STALE = {"why": "stale", "help": "nothing was heard of it: it counts at its worst"}
PROGRAMME: dict[str, Any] = {
    "rev": 1_001, "figure_kw": 102_000.0, "event": "ev-0042", "emergency": False, "rule": "cost",
    "shared_kw": 101_200.0, "power_kw": 98_410.0, "short_kw": 800.0, "over_kw": 0.0,
    "rows": [
        site_row("north-01"),
        site_row("north-02", share_kw=24_800.0, power_kw=24_650.0, deviation_kw=-150.0, why="full", asked_kw=24_800.0,
                 acked_kw=24_800.0, help="it can take no more", marginal_jth=None),
        site_row("river-03", share_kw=9_500.0, power_kw=9_480.0, deviation_kw=-20.0, why="veto", own_limit_kw=9_500.0,
                 asked_kw=9_500.0, acked_kw=9_500.0, help="the site's own limit, which always wins"),
        site_row("river-04", share_kw=12_000.0, power_kw=13_100.0, deviation_kw=1_100.0, why="ramp_down",
                 asked_kw=12_000.0, acked_kw=12_000.0, help="as fast as it can fall"),
        site_row("dam-05", mode="FAILSAFE", share_kw=5_000.0, power_kw=3_990.0, deviation_kw=-1_010.0,
                 asked_kw=5_000.0, acked_kw=4_000.0, why="restore_wait", help="it waits its own while after a release"),
        site_row("dam-06", share_kw=14_000.0, power_kw=13_950.0, deviation_kw=-50.0, asked_kw=14_000.0,
                 acked_kw=9_000.0, refused="NOT_FOR_THIS_SITE: class TARGET is not permitted"),
        site_row("coast-07", link_age_s=94.0, share_kw=17_900.0, power_kw=15_300.0, deviation_kw=-2_600.0, **STALE),
        site_row("coast-08", mode="UNKNOWN", link_age_s=None, connected=False, power_kw=None, deviation_kw=None,
                 asked_kw=None, acked_kw=None, hash_rate_ths=None, marginal_jth=None, share_kw=5_000.0, **STALE),
        site_row("hill-09", share_kw=6_000.0, power_kw=5_990.0, deviation_kw=-10.0, asked_kw=6_000.0, acked_kw=5_500.0),
    ],
}  # fmt: skip
"""What `GET /v1/sites` answers there."""
