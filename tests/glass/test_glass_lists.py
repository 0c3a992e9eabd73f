"""The lists: the cursor stays with its miner, marks survive, the order rests, only what is seen is painted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import numpy as np
from textual.strip import Strip

from benchmarks._glass import SyntheticFeed
from farmctl.tui.filtering import Filter
from farmctl.tui.roster import Roster
from farmctl.tui.screens.map import HeatMap


class Sit(Protocol):
    def __call__(self, *size: int, **how: object) -> AbstractAsyncContextManager[Any]: ...


def test_the_cursor_follows_its_miner_through_a_thousand_shuffles() -> None:
    feed, roster = SyntheticFeed(500), Roster()
    roster.take(feed.image(None))
    roster.sort_key = "power_w"
    roster.reorder(None)
    roster.move_to(40)
    chosen = roster.cursor_id
    for _ in range(1_000):
        feed.change(400)
        roster.take(feed.image(None))
        roster.reorder(None)
        assert roster.id_at(roster.place) == chosen == roster.cursor_id


def test_marks_survive_a_filter_and_all_that_match_can_be_marked() -> None:
    feed, roster = SyntheticFeed(500), Roster()
    image = feed.image(None)
    roster.take(image)
    roster.reorder(None)
    roster.move_to(3)
    roster.toggle_mark()
    roster.reorder(image.words["container"].where("C001"))
    roster.mark_all()
    assert len(roster.marks) == 251
    roster.mark_all()
    assert roster.marks == {image.ids[3]}


def test_unknown_numbers_come_last_in_both_directions() -> None:
    feed, roster = SyntheticFeed(300), Roster()
    image = feed.image(None)
    roster.take(image)
    roster.sort_key = "power_w"
    for descending in (False, True):
        roster.descending = descending
        roster.reorder(None)
        power = image.numbers["power_w"][roster.rows]
        known = power[np.isfinite(power)]
        assert np.isnan(power[len(known) :]).all()
        assert (np.diff(known) <= 0 if descending else np.diff(known) >= 0).all()


def test_a_big_fleet_shows_its_faults_first_and_says_what_it_hides() -> None:
    feed = SyntheticFeed(2_000)
    image = feed.image(None)
    mask = Filter().mask(image, feed)
    assert mask is not None
    assert set(image.words["state"].array()[mask].tolist()) == {"fault", "offline"}
    assert Filter().mask(SyntheticFeed(300).image(None), feed) is None
    assert Filter(chosen=False).mask(image, feed) is None


async def test_only_visible_rows_that_changed_are_painted(sit: Sit) -> None:
    async with sit(miners=5_000) as seat:
        await seat.press("3", "f")
        table = seat.app.glass.miners.table
        painted: list[int] = []
        paint: Callable[[int], Strip] = table._row

        def recorded(place: int) -> Strip:
            painted.append(place)
            return paint(place)

        table._row = recorded
        await seat.wait(0.0)
        painted.clear()
        changed = np.array([2, 7, 4_000, 4_999])
        seat.feed.push(changed)
        seat.app.glass.flush()
        await seat.settle()
        assert sorted(set(painted)) == [2, 7]


async def test_the_order_rests_after_a_key_and_can_be_frozen(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("3", "greater_than_sign")
        roster = seat.app.glass.miners.table.roster
        roster.sort_key = "power_w"
        seat.app.glass.reorder()
        before = roster.rows.copy()
        await seat.press("down")
        seat.feed.change(300)
        await seat.hear()
        assert (roster.rows == before).all()
        await seat.press("z")
        assert "ORDER FROZEN" in seat.text()
        await seat.wait(10.0)
        seat.feed.change(300)
        await seat.hear()
        assert (roster.rows == before).all()
        await seat.press("z")
        await seat.wait(10.0)
        seat.feed.change(300)
        await seat.hear()
        assert (roster.rows != before).any()


async def test_a_filter_is_shown_stays_and_says_what_is_wrong_with_it(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("slash")
        await seat.type("state=fault")
        await seat.press("enter")
        assert seat.app.glass.page == "miners"
        rows = seat.app.glass.miners.table.roster.rows
        assert len(rows) == int((seat.feed.image(None).words["state"].array() == "fault").sum())
        assert "/state=fault" in seat.text()
        await seat.press("1", "3")
        assert "/state=fault" in seat.text()
        await seat.press("slash")
        await seat.type(" nonsense")
        await seat.press("enter")
        assert seat.app.glass.filter.text == "state=fault"


async def test_enter_goes_down_to_the_miners_of_a_container_and_escape_comes_back(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("2", "down", "enter")
        assert (seat.app.glass.page, seat.app.glass.filter.text) == ("miners", "cont=C001")
        assert len(seat.app.glass.miners.table.roster.rows) == 50
        await seat.press("enter")
        assert "shed by price" in seat.text()
        await seat.press("escape", "escape")
        assert (seat.app.glass.page, seat.app.glass.filter.text) == ("map", "")


async def test_what_is_listed_can_be_taken_along(sit: Sit, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    async with sit() as seat:
        await seat.press("3", "e", "down", "enter")
        (file,) = tmp_path.iterdir()
        lines = file.read_text().splitlines()
        assert len(lines) == 301
        assert lines[0].startswith("id,container,rack")
        await seat.press("y")
        assert seat.app.clipboard == seat.app.glass.miners.table.roster.cursor_id


async def test_a_screen_goes_along_as_json_and_as_a_picture(sit: Sit, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    async with sit() as seat:
        await seat.press("4", "e", "down", "enter")
        await seat.press("e", "down", "down", "enter")
        await seat.press("3", "e", "down", "down", "enter")
        told = {path.name.partition("-")[0] + path.suffix: path.read_text() for path in tmp_path.iterdir()}
        alarms = json.loads(told["alarms.json"])
        assert (alarms["schema"], alarms["site"], alarms["n"]) == ("farmctl/v1", "site-07", len(alarms["rows"]))
        assert alarms["rows"][0]["alarm"] == "circuit_overload"
        miners = json.loads(told["miners.json"])
        assert miners["n"] == 300
        assert None in {row["power_w"] for row in miners["rows"]}
        assert told["alarms.svg"].startswith("<svg")


async def test_the_map_goes_from_container_to_rack_and_shows_every_miner(sit: Sit) -> None:
    async with sit(80, 30) as seat:
        await seat.press("2", "right", "right")
        assert "C000 > R01  n 25" in seat.text()
        await seat.press("enter")
        assert seat.app.glass.filter.text == "cont=C000 rack=R01"
        assert len(seat.app.glass.miners.table.roster.rows) == 25
        assert "site-07 > C000 > R01" in seat.text()
        cells = seat.app.glass.query_one(HeatMap)
        shown = sum(stop - start for _, pieces in cells._lines for _, start, stop in pieces)
        assert shown == 300


async def test_the_column_chooser_tells_without_colours_what_is_chosen(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("3", "w")
        text = seat.text()
        assert re.search(r"X▌ ID", text)
        assert re.search(r"▐ ▌ Slot", text)


async def test_a_menu_outlives_a_terminal_of_a_few_cells(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("x")
        for size in ((3, 2), (1, 1), (120, 36)):
            await seat.pilot.resize_terminal(*size)
        await seat.settle()
        assert "Actions: each one shows a preview first" in seat.text()
