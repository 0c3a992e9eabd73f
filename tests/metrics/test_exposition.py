from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample
from syrupy.assertion import SnapshotAssertion

from benchmarks.metrics import farm
from farmctl.core.reasons import Reason
from farmctl.metrics.controller import ControllerMetrics
from farmctl.metrics.exporter import Exporter
from farmctl.metrics.families import CONTROLLER, FAMILIES
from farmctl.metrics.families.row import Family, Instrument
from farmctl.metrics.miners import MINER_COLUMNS, MinerExporter, Shard, ShardError
from farmctl.metrics.sidelines import MOST_FAULTS, MOST_POOLS
from farmctl.metrics.snapshot import (
    ActiveAlarm,
    AlarmCount,
    Available,
    FaultCount,
    MetricsSnapshot,
    PoolStatus,
)
from farmctl.metrics.text import Dialect, label_block

MAX_SERIES = 25_000
PROMTOOL = shutil.which("promtool")


def series(text: str) -> list[Sample]:
    return [sample for family in parse_text(text) for sample in family.samples]


def strict_series(text: str) -> list[Sample]:
    families = parse_open_metrics(text)  # type: ignore[no-untyped-call]  # untyped there
    return [sample for family in families for sample in family.samples]


def value_of(text: str, name: str, **labels: str) -> float | None:
    found = [s.value for s in series(text) if s.name == name and labels.items() <= s.labels.items()]
    assert len(found) <= 1, f"{name} {labels}: {found}"
    return found[0] if found else None


def rendered(snapshot: MetricsSnapshot) -> str:
    return Exporter().render(snapshot, Dialect.TEXT)


def used_controller() -> ControllerMetrics:
    metrics = ControllerMetrics("north", "0.1.0")
    metrics.count_command("sleep", "luxos", "confirmed")
    metrics.count_command("sleep", "luxos", "confirmed")
    metrics.observe_command("luxos", 0.2)
    metrics.observe_response(0.04)
    metrics.observe_event(12.0)
    metrics.count_refused("mqtt", Reason.EXPIRED.value)
    metrics.observe_poll(0.03)
    metrics.count_overrun()
    metrics.set_in_flight(12)
    metrics.observe_lag(0.002)
    metrics.observe_cycle(0.015)
    metrics.count_journal(3)
    metrics.set_store_free(1e9)
    metrics.set_api_clients(2)
    metrics.count_alarm("1")
    return metrics


def test_a_small_farm_reads_like_this(small_farm: MetricsSnapshot, snapshot: SnapshotAssertion) -> None:
    assert rendered(small_farm) == snapshot


def test_the_miners_of_a_small_farm_read_like_this(small_farm: MetricsSnapshot, snapshot: SnapshotAssertion) -> None:
    text = MinerExporter().render(small_farm, Shard(number=1, count=1), Dialect.TEXT)
    assert text == snapshot
    serials = {s.labels["serial"] for s in series(text) if s.name == "farmctl_miner_info"}
    assert serials == {'SN"1\\', "SN"}


def test_every_family_is_in_use_and_carries_its_labels(small_farm: MetricsSnapshot) -> None:
    full = dataclasses.replace(small_farm, limit_w=8_000.0, baseline_w=21_000.0)
    parsed = {family.name: family for family in parse_text(rendered(full))}
    for family in FAMILIES:
        found = parsed[family.name.removesuffix("_total")]
        wanted = {"site", *family.labels}
        assert {frozenset(s.labels) for s in found.samples} <= {frozenset(wanted), frozenset(wanted - {"le"})}
        assert all(s.labels["site"] == "north" for s in found.samples)


def test_names_and_label_sets_are_unique() -> None:
    rows: tuple[Family | Instrument, ...] = (*FAMILIES, *CONTROLLER)
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert all(name.startswith("farmctl_") for name in names)
    for row in rows:
        assert row.name.removesuffix("_total").endswith(row.unit)
        assert row.name.endswith("_total") == (row.kind.value == "counter")


def test_the_guide_lists_every_series_with_its_words() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows: tuple[Family | Instrument, ...] = (*FAMILIES, *CONTROLLER)
    listed = [(row.name, row.help) for row in rows] + [(name, text) for name, _, text in MINER_COLUMNS]
    assert [name for name, text in listed if f"| `{name}` |" not in guide or f"| {text} |" not in guide] == []


def test_no_series_appears_twice(small_farm: MetricsSnapshot) -> None:
    twins = dataclasses.replace(small_farm.topology, models=("S21", "S21"), firmwares=("stock", "stock"))
    for topology in (small_farm.topology, twins):
        found = series(rendered(dataclasses.replace(small_farm, topology=topology)))
        keys = [(s.name, frozenset(s.labels.items())) for s in found]
        assert len(keys) == len(set(keys))


def test_groups_of_the_same_model_and_firmware_are_added_up(small_farm: MetricsSnapshot) -> None:
    twins = dataclasses.replace(small_farm.topology, models=("S21", "S21"), firmwares=("stock", "stock"))
    text = rendered(dataclasses.replace(small_farm, topology=twins))
    assert value_of(text, "farmctl_miners", model="S21", state="hashing") == 2
    assert value_of(text, "farmctl_miners", model="S21", state="offline") == 1


def test_open_metrics_says_the_same(small_farm: MetricsSnapshot) -> None:
    controller = used_controller()
    text = Exporter().render(small_farm, Dialect.OPEN_METRICS) + controller.render(Dialect.OPEN_METRICS)
    miners = MinerExporter().render(small_farm, Shard(number=1, count=1), Dialect.OPEN_METRICS)
    strict = strict_series(f"{text}{miners}# EOF\n")
    plain = series(
        rendered(small_farm)
        + controller.render(Dialect.TEXT)
        + MinerExporter().render(small_farm, Shard(number=1, count=1), Dialect.TEXT)
    )

    # An empty label is no label in Prometheus; one parser keeps it, so compare without.
    def bag(found: list[Sample]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        return {(s.name, frozenset((k, v) for k, v in s.labels.items() if v), s.value) for s in found}

    assert bag(strict) == bag(plain)


def test_the_silent_and_the_unseen_are_offline_and_unknown(small_farm: MetricsSnapshot) -> None:
    text = rendered(small_farm)
    assert value_of(text, "farmctl_container_miners", container="c2", state="offline") == 1
    assert value_of(text, "farmctl_container_miners", container="c2", state="unknown") == 1
    assert value_of(text, "farmctl_container_miners", container="c2", state="hashing") == 0
    assert value_of(text, "farmctl_container_power_watts", container="c2") == 40  # not the silent one's last 3,600 W
    assert value_of(text, "farmctl_container_miners_inventory", container="c2") == 3


def test_the_unknown_and_the_unlimited_are_absent(small_farm: MetricsSnapshot) -> None:
    text = rendered(small_farm)
    assert value_of(text, "farmctl_site_power_limit_watts") is None
    assert value_of(text, "farmctl_site_power_baseline_watts") is None
    assert value_of(text, "farmctl_site_meter_power_watts", meter="b") is None
    assert value_of(text, "farmctl_circuit_rating_watts", circuit="feeder-b") is None
    silent = rendered(dataclasses.replace(small_farm, ambient_c=None))
    assert value_of(silent, "farmctl_container_inlet_temperature_celsius", container="c2") is None
    assert value_of(text, "farmctl_signal_last_update_timestamp_seconds", source="price") is None
    dark = dataclasses.replace(
        small_farm.view, table=dataclasses.replace(small_farm.view.table, seen_ms=np.full(6, -1, dtype=np.int64))
    )
    text = rendered(dataclasses.replace(small_farm, view=dark, power_w=math.nan))
    for name in ("site_power", "site_miners_power", "container_power", "rack_power"):
        assert not [s for s in series(text) if s.name == f"farmctl_{name}_watts"]
    assert not [s for s in series(text) if not math.isfinite(s.value)]


def test_a_rack_tells_its_lowest_mean_and_highest(small_farm: MetricsSnapshot) -> None:
    text = rendered(small_farm)
    stats = [value_of(text, "farmctl_rack_power_watts", rack="c1-r1", stat=stat) for stat in ("min", "avg", "max")]
    assert stats == [18.0, pytest.approx(2_306.0), 3_500.0]


def test_a_container_without_a_sensor_breathes_what_its_miners_breathe(small_farm: MetricsSnapshot) -> None:
    name = "farmctl_container_inlet_temperature_celsius"
    bare = dataclasses.replace(small_farm, climate=None)
    assert value_of(rendered(small_farm), name, container="c1") == 24.5  # its sensor
    assert value_of(rendered(bare), name, container="c1") == 23.0  # the median of 22, 23 and 26
    assert value_of(rendered(bare), name, container="c2") == 28.5  # the only one that is heard: 27 is a minute old


def test_a_removed_miner_leaves_no_ghost(small_farm: MetricsSnapshot) -> None:
    exporter, miners, everything = Exporter(), MinerExporter(), Shard(number=1, count=1)
    exporter.render(small_farm, Dialect.TEXT)
    before = miners.render(small_farm, everything, Dialect.TEXT)
    assert "02:00:00:00:00:00" in before
    kept = slice(2, None)  # both miners of the first model go
    table = small_farm.view.table
    columns = {f.name: getattr(table, f.name)[kept] for f in dataclasses.fields(table)}
    topology = dataclasses.replace(
        small_farm.topology,
        container_of=small_farm.topology.container_of[kept],
        rack_of=small_farm.topology.rack_of[kept],
    )
    after = dataclasses.replace(
        small_farm,
        view=dataclasses.replace(small_farm.view, table=dataclasses.replace(table, **columns)),
        topology=topology,
        wanted_hash_rate_hs=small_farm.wanted_hash_rate_hs[kept],
        ambient_c=None,
        identity=None,
    )
    text = exporter.render(after, Dialect.TEXT)
    assert not [s for s in series(text) if s.name == "farmctl_miners" and s.labels["model"] == "Antminer S21"]
    assert value_of(text, "farmctl_container_miners_inventory", container="c1") == 1
    shard = miners.render(after, everything, Dialect.TEXT)
    assert {s.labels["miner"] for s in series(shard)} == set(table.miner_id[kept].tolist())


def _crowded(big: MetricsSnapshot) -> MetricsSnapshot:
    """As many pools, faults and alarms as can ever have a series of their own."""
    states = ("unack", "ack", "rtn_unack", "shelved", "suppressed", "out_of_service")
    return dataclasses.replace(
        big,
        available=tuple(
            Available(direction=direction, within=within, power_w=1.0)
            for direction in ("down", "up")
            for within in ("5s", "30s", "5m", "30m")
        ),
        pools=tuple(
            PoolStatus(name=f"p{n}.example", up=True, accepted=1.0, rejected=0.0, stale=0.0) for n in range(MOST_POOLS)
        ),
        faults=tuple(FaultCount(code=str(n), model="M50", count=1) for n in range(MOST_FAULTS)),
        alarms=tuple(AlarmCount(priority=str(p), state=state, count=1) for p in range(1, 5) for state in states),
        active_alarms=tuple(ActiveAlarm(alarm="a", container=f"c{n:03d}", priority="2") for n in range(250)),
    )


def test_fifty_thousand_miners_are_at_most_twenty_five_thousand_series() -> None:
    big = _crowded(farm(50_000))
    text = rendered(big) + used_controller().render(Dialect.TEXT)
    assert 10_000 < sum(not line.startswith("#") for line in text.splitlines()) <= MAX_SERIES


def test_shards_part_the_fleet_and_keep_their_miners_when_it_grows() -> None:
    exporter = MinerExporter()

    def members(snapshot: MetricsSnapshot, number: int) -> set[str]:
        text = exporter.render(
            dataclasses.replace(snapshot, identity=None), Shard(number=number, count=4), Dialect.TEXT
        )
        return {s.labels["miner"] for s in series(text)}

    small, large = farm(400, 4, 8), farm(500, 4, 8)
    shards = [members(small, number) for number in range(1, 5)]
    assert sum(map(len, shards)) == len(set.union(*shards)) == 400
    assert all(old <= members(large, number) for number, old in enumerate(shards, start=1))


@pytest.mark.parametrize(
    "text", ["", "3", "0/4", "5/4", "1/1001", "a/b", "1/2/3", "-1/4", "\u0661/\u0662", "1/" + "9" * 5_000]
)
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ShardError, match="expected"):
        Shard.parse(text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_any_label_value_survives_the_parser(values: list[str]) -> None:
    names = [f"l{index}" for index in range(len(values))]
    (sample,) = strict_series(f"# TYPE m gauge\nm{label_block(names, values)} 1\n# EOF\n")
    assert sample.labels == dict(zip(names, values, strict=True))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n")))
def test_any_site_and_container_name_survives_the_text_format(name: str) -> None:
    (family,) = parse_text(f"# TYPE m gauge\nm{label_block(('site',), (name,))} 1\n")
    assert family.samples[0].labels == {"site": name}


def test_the_controller_counts_what_it_is_told() -> None:
    text = used_controller().render(Dialect.TEXT)
    assert value_of(text, "farmctl_commands_total", verb="sleep", firmware="luxos", result="confirmed") == 2
    assert value_of(text, "farmctl_signals_refused_total", source="mqtt", reason="EXPIRED") == 1
    assert value_of(text, "farmctl_journal_records_total") == 3
    assert value_of(text, "farmctl_poll_duration_seconds_count") == 1
    assert value_of(text, "farmctl_build_info", version="0.1.0") == 1
    assert all(s.labels["site"] == "north" for s in series(text))
    assert {row.name for row in CONTROLLER} == {
        f.name + ("_total" if f.type == "counter" else "") for f in parse_text(text)
    }


def test_what_the_controller_was_never_told_is_absent() -> None:
    text = ControllerMetrics("north", "0.1.0").render(Dialect.TEXT)
    assert value_of(text, "farmctl_store_free_bytes") is None
    assert value_of(text, "farmctl_poll_in_flight") is None


@pytest.mark.peer
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("block", ["metrics", "miners"])
def test_promtool_has_no_complaint(small_farm: MetricsSnapshot, block: str) -> None:
    assert PROMTOOL is not None
    text = rendered(small_farm) + used_controller().render(Dialect.TEXT)
    if block == "miners":
        text = MinerExporter().render(small_farm, Shard(number=1, count=1), Dialect.TEXT)
    check = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
