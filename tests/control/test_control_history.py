"""`GET /v1/history` and `farmctl history`: the same lines with and without a controller."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farmctl.cli.history import GAP, spark
from farmctl.control.past import lines, moment_ms
from farmctl.control.wire import ApiError
from farmctl.store.memory import MemoryStore
from farmctl.store.sqlite import open_sqlite
from farmctl.store.telemetry.files import TelemetryFiles
from farmctl.store.telemetry.lines import FileHistory
from farmctl.wiring.history import SiteHistory
from tests.cli.shell import Said, Shell
from tests.report.diary import Diary
from tests.scenarios.day import START_MS as DAY_START_MS
from tests.scenarios.day import Day, farm
from tests.store.sweeper import START_MS, TIERS, name, power_w, written

NOW_MS = START_MS + 3_600_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's folder with an hour of telemetry and no controller."""
    folder = tmp_path_factory.mktemp("site")
    files = TelemetryFiles(folder, TIERS)
    written(files, START_MS, 360)
    files.close()

    async def journal() -> None:
        await (await open_sqlite(folder / "journal.db")).close()

    asyncio.run(journal())
    (folder / "farm.toml").write_text(f'[site]\nname = "s"\nrated_kw = 100.0\n[store]\ndir = "{folder}"\n')
    return folder


def farmctl(site: Path, *words: str) -> Said:
    shell = Shell(Path("nobody"))
    stretch = ("--from", "2026-12-01T00:00:00", "--to", "2026-12-01T00:10:00")
    return shell.now("history", *words, *stretch, "--offline", "--config", str(site / "farm.toml"))


async def test_the_answer_has_one_value_per_step_and_null_where_nothing_is_known(site: Path) -> None:
    past = SiteHistory(FileHistory(site, TIERS), MemoryStore(), 10)
    query = {"series": f"{name(3)}.power_w,site.meter_w,nobody.power_w", "from": "1h", "to": "50m", "step": "10s"}
    told = await lines(past, query, NOW_MS)
    assert (told["step_s"], told["source"]) == (10, "telemetry")
    assert told["at_ms"] == [START_MS + n * 10_000 for n in range(60)]
    series = {line["name"]: line["values"] for line in told["series"]}  # type: ignore[attr-defined]
    assert series[f"{name(3)}.power_w"] == [power_w(3, START_MS + n * 10_000) for n in range(60)]
    assert set(series["nobody.power_w"]) == {None}


async def test_the_site_at_one_second_comes_from_the_journal() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), MemoryStore()
    diary = await Diary(day, store).run(30)
    past = SiteHistory(FileHistory(Path("/nowhere"), TIERS), store, 10)
    query = {"series": "site.meter_w,cont:C1.power_w,owner:bravo.power_w", "from": str(DAY_START_MS + 5_000),
             "to": str(DAY_START_MS + 15_000), "step": "1"}  # fmt: skip
    told = await lines(past, query, day.now_ms)
    series = {line["name"]: line["values"] for line in told["series"]}  # type: ignore[attr-defined]
    assert told["source"] == "journal"
    assert series["site.meter_w"] == [w for _, w in diary.metered(DAY_START_MS + 5_000, DAY_START_MS + 14_999)]
    assert any(value for value in series["cont:C1.power_w"])
    with pytest.raises(ApiError, match="single miners are kept every 10 s"):
        await lines(past, {"series": "m1.power_w", "step": "1s"}, day.now_ms)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "series"),
        ({"series": "site.volts"}, "series"),
        ({"series": "site.power_w", "from": "yesterday"}, "from"),
        ({"series": "site.power_w", "from": "1h", "to": "2h"}, "from"),
        ({"series": "site.power_w", "step": "soon"}, "step"),
        ({"series": "site.power_w", "step": "0"}, "step"),
        ({"series": "site.power_w", "from": "300d", "step": "10"}, "series"),
        ({"series": ",".join(f"m{n}.power_w" for n in range(40))}, "series"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(
    site: Path, query: dict[str, str], field: str
) -> None:
    past = SiteHistory(FileHistory(site, TIERS), MemoryStore(), 10)
    with pytest.raises(ApiError) as caught:
        await lines(past, query, NOW_MS)
    assert (caught.value.status, caught.value.field) == (400, field)


def test_moments_are_read_as_people_and_programs_write_them() -> None:
    assert moment_ms("90m", "from", NOW_MS) == NOW_MS - 5_400_000
    assert moment_ms("2026-12-01T00:00:00", "from", NOW_MS) == START_MS
    assert moment_ms("2026-12-01T05:00:00+05:00", "from", NOW_MS) == START_MS
    assert moment_ms(str(START_MS), "from", NOW_MS) == START_MS
    assert datetime.fromtimestamp(moment_ms("9" * 15, "from", NOW_MS) / 1e3, tz=UTC).year == 9999
    with pytest.raises(ApiError, match="expected 2h"):
        moment_ms("9999999999d", "from", NOW_MS)


def test_table_csv_spark_and_parquet_tell_the_same(site: Path, tmp_path: Path) -> None:
    series = f"{name(3)}.power_w"
    told = json.loads(farmctl(site, series, "-o", "json").out)
    values = told["series"][0]["values"]
    assert told["schema"] == "farmctl/v1"
    rows = list(csv.DictReader(farmctl(site, series, "-o", "csv").out.splitlines()))
    assert [float(row[series]) for row in rows] == values
    assert spark(values) in farmctl(site, series, "-o", "spark").out
    assert f"{values[-1]:.1f}" in farmctl(site, series).out
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    target = tmp_path / "lines.parquet"
    assert farmctl(site, series, "-o", "parquet", "-f", str(target)).code == 0
    assert parquet.read_table(target).column(series).to_pylist() == values
    assert farmctl(site, series, "-o", "parquet").code == 2
    assert farmctl(site, "site.volts").code == 2


def test_a_spark_line_is_scaled_and_shows_what_is_missing() -> None:
    assert spark([0.0, None, 7.0]) == "\N{LOWER ONE EIGHTH BLOCK}" + GAP + "\N{FULL BLOCK}"
    assert spark([None, None]) == GAP * 2
    assert len(spark([float(n) for n in range(1000)])) == 72
