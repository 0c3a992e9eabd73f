"""What was swept comes back: from pages, from tiles, from roll-ups, across days, re-indexing and restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.errors import StoreError
from farmctl.store.telemetry.codec import one_of_page, one_of_tile, pack, unpack_page
from farmctl.store.telemetry.files import TelemetryFiles
from farmctl.store.telemetry.layout import Tier
from farmctl.store.telemetry.lines import FileHistory, chosen_step_s
from farmctl.store.telemetry.reading import NoSuchSeriesError, SeriesName, samples
from tests.store.sweeper import DAY_MS, START_MS, TIERS, name, power_w, sweep, written

FINE, MINUTE, QUARTER = TIERS
SHORT = st.integers(-(2**15), 2**15 - 1)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.data())
def test_pages_and_tiles_come_back_bit_for_bit(columns: int, miners: int, moments: int, data: st.DataObject) -> None:
    size = columns * miners * moments
    tile = np.array(data.draw(st.lists(SHORT, min_size=size, max_size=size)), dtype=np.int16)
    tile = tile.reshape(columns, miners, moments)
    row = data.draw(st.integers(0, miners - 1))
    assert (one_of_tile(pack(tile), columns, moments, row) == tile[:, row]).all()
    page = tile[:, :, 0]
    assert (unpack_page(pack(page), columns) == page).all()
    assert (one_of_page(pack(page), columns, row) == page[:, row]).all()


@pytest.mark.parametrize("bad", [b"", b"junk", pack(np.zeros((3, 5), dtype=np.int16))])
def test_a_damaged_page_is_an_error_of_the_store(bad: bytes) -> None:
    with pytest.raises(StoreError, match="unreadable"):
        unpack_page(bad, 8)
    with pytest.raises(StoreError, match="unreadable"):
        one_of_tile(bad, 8, 360, 0)


def test_an_hour_is_packed_once_it_is_over_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    files = TelemetryFiles(tmp_path, TIERS)
    written(files, START_MS, 400)
    for index in (0, 49, 50, 59):
        found = samples(tmp_path, FINE, name(index), START_MS, START_MS + DAY_MS)
        assert found.at_ms.tolist() == [START_MS + n * 10_000 for n in range(400)]
        assert found.columns["power_w"].tolist() == [power_w(index, at) for at in found.at_ms.tolist()]
    part = samples(tmp_path, FINE, name(7), START_MS + 3_590_000, START_MS + 3_620_000)
    assert len(part.at_ms) == 3
    files.close()
    assert len(samples(tmp_path, FINE, name(7), START_MS, START_MS + DAY_MS).at_ms) == 400


def test_a_fleet_that_is_indexed_anew_keeps_every_miner_s_line_whole(tmp_path: Path) -> None:
    files = TelemetryFiles(tmp_path, TIERS)
    for number in range(6):
        files.take(sweep(START_MS + number * 10_000, miners=60, first=0 if number < 3 else 40))
    files.close()
    found = samples(tmp_path, FINE, name(45), START_MS, START_MS + DAY_MS)
    assert found.columns["power_w"].tolist() == [power_w(45, START_MS + n * 10_000) for n in range(6)]
    assert len(samples(tmp_path, FINE, name(99), START_MS, START_MS + DAY_MS).at_ms) == 3
    assert len(samples(tmp_path, FINE, "nobody", START_MS, START_MS + DAY_MS).at_ms) == 0


def test_roll_ups_are_means_and_keep_the_lowest_and_highest(tmp_path: Path) -> None:
    files = TelemetryFiles(tmp_path, TIERS)
    written(files, START_MS, 200)
    files.close()
    minutes = samples(tmp_path, MINUTE, name(3), START_MS, START_MS + DAY_MS)
    first = [power_w(3, START_MS + n * 10_000) for n in range(6)]
    assert minutes.columns["power_w"][0] == pytest.approx(np.mean(first), abs=0.5)
    assert minutes.columns["state"][0] == 5 % 4
    assert len(minutes.at_ms) == 33
    quarters = samples(tmp_path, QUARTER, name(3), START_MS, START_MS + DAY_MS)
    whole = [power_w(3, START_MS + n * 10_000) for n in range(90)]
    assert [quarters.columns[key][0] for key in ("power_w_min", "power_w_max")] == [min(whole), max(whole)]
    site = samples(tmp_path, MINUTE, "site", START_MS, START_MS + DAY_MS)
    assert site.columns["meter_w"][0] == pytest.approx(1.02 * site.columns["power_w"][0])
    assert np.isnan(samples(tmp_path, MINUTE, "cont:C1", START_MS, START_MS + DAY_MS).columns["meter_w"]).all()


def test_old_days_are_unlinked_and_a_day_that_is_over_is_packed_to_its_end(tmp_path: Path) -> None:
    files = TelemetryFiles(tmp_path, TIERS)
    for day in range(5):
        written(files, START_MS + day * DAY_MS + DAY_MS - 50_000, 5)
    written(files, START_MS + 5 * DAY_MS, 5)
    names = [path.name for path in FINE.files(tmp_path)]
    assert names == ["telemetry-20261204.db", "telemetry-20261205.db", "telemetry-20261206.db"]
    assert len(MINUTE.files(tmp_path)) >= 5
    files.close()
    leftovers = [path.name for path in tmp_path.iterdir() if "20261201" in path.name and path.name.startswith("tele")]
    assert leftovers == []
    found = samples(tmp_path, FINE, name(1), START_MS + 3 * DAY_MS, START_MS + 6 * DAY_MS)
    assert len(found.at_ms) == 15


def test_months_count_back_over_the_turn_of_the_year(tmp_path: Path) -> None:
    tier = Tier(name="quarter", step_s=900, columns=("power_w",), monthly=True, keep=13)
    for month in ("202510", "202511", "202612"):
        (tmp_path / f"quarter-{month}.db").touch()
    assert [path.stem for path in tier.too_old(tmp_path, START_MS)] == ["quarter-202510"]


def test_lines_come_in_the_step_that_is_asked_for_from_the_tier_that_fits(tmp_path: Path) -> None:
    files = TelemetryFiles(tmp_path, TIERS)
    written(files, START_MS, 200)
    past = FileHistory(tmp_path, TIERS)
    fine = past.read([f"{name(3)}.power_w", "site.meter_w"], START_MS, START_MS + 60_000, 10)
    assert (fine.source, fine.step_s) == ("telemetry", 10)
    assert fine.values[f"{name(3)}.power_w"].tolist() == [power_w(3, START_MS + n * 10_000) for n in range(6)]
    coarse = past.read([f"{name(3)}.power_w"], START_MS, START_MS + 1_800_000, 60)
    assert coarse.source == "minute"
    assert np.isfinite(coarse.values[f"{name(3)}.power_w"]).all()
    assert past.read([f"{name(3)}.power_w_max"], START_MS, START_MS + DAY_MS, None).source == "quarter"
    empty = past.read(["site.power_w"], START_MS + DAY_MS, START_MS + 2 * DAY_MS, None)
    assert np.isnan(empty.values["site.power_w"]).all()
    files.close()


@pytest.mark.parametrize("text", ["site", "site.volts", "cont:.nothing", ".power_w", "m1.watts", ""])
def test_a_series_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(NoSuchSeriesError, match="expected site"):
        SeriesName.of(text)


def test_a_step_is_chosen_that_gives_some_hundred_points() -> None:
    assert [chosen_step_s(0, hours * 3_600_000) for hours in (1, 6, 24, 24 * 30)] == [10, 60, 300, 14_400]
