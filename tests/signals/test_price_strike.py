from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.errors import MalformedReplyError
from farmctl.signals._intake.duration import time_ms_of
from farmctl.signals.price import CsvFeed, HttpFeed, ModelGroup, StrikeRule
from farmctl.signals.price.quotes import from_csv, from_json, value_at
from farmctl.signals.price.strike import Gate, after_window, strike_price, tripped, wanted_w

RULE = StrikeRule(hash_price=0.05, other_load_w=100e3)
OLD = ModelGroup(name="old", j_per_th=34.0, power_w=4e6)
NEW = ModelGroup(name="new", j_per_th=17.0, power_w=10e6)
GROUPS = (OLD, NEW)


def test_the_strike_is_the_price_at_which_a_hash_earns_nothing() -> None:
    assert strike_price(OLD, RULE) == pytest.approx(0.05 / 0.816)
    assert strike_price(NEW, RULE) == pytest.approx(2 * strike_price(OLD, RULE))
    assert strike_price(OLD, StrikeRule(hash_price=0.05, margin=0.8)) == pytest.approx(0.8 * 0.05 / 0.816)


def windows(gates: dict[str, Gate], *prices: float) -> dict[str, Gate]:
    for price in prices:
        gates = after_window(gates, GROUPS, price, RULE)
    return gates


@pytest.mark.parametrize(
    ("prices", "curtailed"),
    [
        ([0.07], set()),
        ([0.07, 0.07], {"old"}),
        ([0.07, 0.05, 0.07], set()),
        ([0.07, 0.07, 0.05, 0.05, 0.05], {"old"}),
        ([0.07, 0.07, 0.05, 0.05, 0.05, 0.05], set()),
        ([0.07, 0.07, 0.05, 0.05, 0.05, 0.07, 0.05, 0.05, 0.05], {"old"}),
        ([0.13, 0.13], {"old", "new"}),
        ([0.13, 0.13, 0.07, 0.07, 0.07, 0.07], {"old"}),
        ([-0.02, -0.02], set()),
    ],
)
def test_two_windows_above_curtail_and_four_below_resume(prices: list[float], curtailed: set[str]) -> None:
    gates = windows({}, *prices)
    assert {name for name, gate in gates.items() if gate.curtailed} == curtailed


def test_the_second_strike_trips_at_once_and_a_price_between_the_two_does_not() -> None:
    between = tripped({}, GROUPS, strike_price(OLD, RULE) * 1.4, RULE)
    above = tripped({}, GROUPS, strike_price(OLD, RULE) * 1.6, RULE)
    assert [gate.curtailed for gate in between.values()] == [False, False]
    assert [gate.curtailed for gate in above.values()] == [True, False]


def test_a_tripped_group_also_needs_four_windows_below() -> None:
    gates = tripped({}, GROUPS, 0.2, RULE)
    assert windows(gates, 0.01, 0.01, 0.01)["old"].curtailed
    assert not windows(gates, 0.01, 0.01, 0.01, 0.01)["old"].curtailed


def test_what_is_wanted_is_the_power_of_those_that_may_run() -> None:
    assert wanted_w({}, GROUPS, RULE) is None
    assert wanted_w({"old": Gate(curtailed=True)}, GROUPS, RULE) == pytest.approx(10.1e6)
    assert wanted_w({name: Gate(curtailed=True) for name in ("old", "new")}, GROUPS, RULE) == pytest.approx(100e3)


def test_a_table_with_local_times_and_another_unit_is_read() -> None:
    feed = CsvFeed(path=Path("day.csv"), start="hour", value="eur_mwh", timezone="Europe/Helsinki", scale=0.001)
    raw = b"hour,eur_mwh\n2026-11-24 00:00,40\n2026-11-24 01:00,-5.5\n"
    quotes = from_csv(raw, feed)
    first = time_ms_of("2026-11-23T22:00:00Z")
    assert value_at(quotes, first) == pytest.approx(0.04)
    assert value_at(quotes, first + 3_600_000) == pytest.approx(-0.0055)
    assert value_at(quotes, first - 1) is None
    assert value_at(quotes, first + 7_200_000) is None


def test_a_document_is_read_by_its_mapping() -> None:
    feed = HttpFeed(url="https://market.example", items="data.rows", start="t", end="until", value="p.0", scale=0.001)
    document = {"data": {"rows": [{"t": 1_764_000_000, "until": 1_764_000_300_000, "p": ["31.5"]}]}}
    [quote] = from_json(document, feed)
    assert (quote.start_ms, quote.end_ms) == (1_764_000_000_000, 1_764_000_300_000)
    assert quote.value == pytest.approx(0.0315)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"start,price\nlate,1\n", "line 2: start"),
        (b"start,price\n2026-11-24T00:00:00Z,cheap\n", "line 2: price"),
        (b"start,price\n2026-11-24T00:00:00Z,nan\n", "line 2: price"),
        (b"start,cost\n2026-11-24T00:00:00Z,1\n", "line 2: price"),
        (b"", "expected rows"),
        (b"\xff\xff", "UTF-8"),
    ],
)
def test_a_bad_table_is_named_with_its_line(raw: bytes, told: str) -> None:
    with pytest.raises(MalformedReplyError, match=rf"day.csv.*{told}"):
        from_csv(raw, CsvFeed(path=Path("day.csv")))
