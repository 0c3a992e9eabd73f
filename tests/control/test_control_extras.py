"""What people look at and control does not use: fans, pools, faults, margins; in snapshot, delta and filter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson

from farmctl.control.filter import parse
from farmctl.control.miners import select
from farmctl.control.mirror import first_image, next_image
from farmctl.control.roster import Places, roster
from farmctl.control.sieve import fitting
from farmctl.control.stream.image import Lists, changes, image_of, snapshot
from farmctl.control.strip import state
from farmctl.ports.control import Extras
from tests.control.glasshouse import Glasshouse


def _extras(house: Glasshouse) -> Extras:
    rows = len(house.shown.view.table)
    since_ms = np.full(rows, house.shown.decision.at_ms - 90_000)
    return Extras(
        fan_rpm=np.where(np.arange(rows) == 2, 0.0, 6_000.0),
        limit_c=np.full(rows, 95.0),
        since_ms=since_ms,
        fault=(np.arange(rows) == 2).astype(np.int16),
        faults=("", "fan"),
        pool=np.ones(rows, dtype=np.int16),
        pools=("", "eu1.pool.test"),
    )


def test_a_standing_fan_is_seen_in_snapshot_delta_and_filter_alike(house: Glasshouse) -> None:
    house.run(5)
    told = _extras(house)
    places = Places.of(house.inventory(), house.shown.view.table.miner_id)
    strip = state(house.shown, house.site, house.desk, house.clock.now_ms())
    lists = Lists(strip=strip, alarms=(), events=(), jobs=())
    before = image_of(house.shown, places, told, lists, "one")
    image = first_image(snapshot(before))
    assert image.numbers["fan_rpm"][2] == 0.0
    assert image.words["fault"].array()[2] == "fan"
    for text in ("fault=fan", "fan<100", "since>60 pool~eu1 fan=0", '!fault=""'):
        here = np.flatnonzero(fitting(image, text)).tolist()
        there = np.flatnonzero(select(roster(house.shown, places, told), parse(text))).tolist()
        assert here == there == [2], text

    moved = told.pool.copy()
    moved[0] = 2
    later = replace(told, pool=moved, pools=(*told.pools, "us2.pool.test"))
    after = image_of(house.shown, places, later, lists, "one")
    delta = changes(before, after)
    assert orjson.loads(delta["delta"])["rows"] == [0]
    image = next_image(image, [("delta", delta["delta"])])
    assert image.words["pool"].array()[:2].tolist() == ["us2.pool.test", "eu1.pool.test"]
