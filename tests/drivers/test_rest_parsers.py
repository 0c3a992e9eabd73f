"""Whatever JSON a stranger sends, the parsers of the web families answer or say None: they never break."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.auradine import wire as auradine
from drivers.bitaxe import wire as bitaxe
from drivers.braiins import wire as braiins
from drivers.vnish import wire as vnish
from tests.drivers.fixtures.rest.served import CASES

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
PARSERS: dict[Callable[[Any], object], tuple[str, str, str]] = {
    vnish.parse_info: ("vnish_s21pro_1.2.7", "http", "GET /api/v1/info"),
    vnish.parse_summary: ("vnish_s21pro_1.2.7", "http", "GET /api/v1/summary"),
    vnish.parse_presets: ("vnish_s21pro_1.2.7", "http", "GET /api/v1/autotune/presets"),
    vnish.parse_current_preset: ("vnish_s21pro_1.2.7", "http", "GET /api/v1/perf-summary"),
    braiins.parse_stats: ("braiins_25.11", "asic_rs", "miner_stats"),
    braiins.parse_details: ("braiins_25.11", "asic_rs", "miner_details"),
    braiins.parse_cooling: ("braiins_25.11", "asic_rs", "cooling_state"),
    braiins.parse_boards: ("braiins_25.11", "asic_rs", "miner_hw_hashboards"),
    braiins.parse_pools: ("braiins_25.11", "asic_rs", "pools"),
    bitaxe.parse_info: ("bitaxe_supra_bm1368", "http", "GET /api/system/info"),
    auradine.parse_summary: ("auradine_v1", "http8080", "GET /summary"),
    auradine.parse_mode: ("auradine_v1", "http8080", "GET /mode"),
    auradine.parse_power_w: ("auradine_v1", "http8080", "GET /psu"),
    auradine.parse_heat: ("auradine_v1", "http8080", "GET /temperature"),
    auradine.parse_fans: ("auradine_v1", "http8080", "GET /fan"),
    auradine.parse_report: ("auradine_v1", "http8080", "GET /ipreport"),
    auradine.parse_pools: ("auradine_v1", "http8080", "GET /pools"),
}
BY_NAME = {f"{parse.__module__.split('.')[1]}.{parse.__name__}": parse for parse in PARSERS}


@settings(max_examples=60, deadline=None)
@given(ANYTHING)
def test_no_json_breaks_a_parser(reply: Any) -> None:
    for parse in (*PARSERS, braiins.parse_limits, braiins.parse_profiles, bitaxe.parse_clocks, auradine.is_expired):
        parse(reply)
    braiins.parse_target(reply, reply)


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_broken_field_of_a_recorded_reply_breaks_its_parser(name: str, data: st.DataObject) -> None:
    case, door, call = PARSERS[BY_NAME[name]]
    path = CASES / f"{case}.json"
    if not path.exists():
        pytest.skip(f"recording {case} is missing")
    reply = json.loads(path.read_text())["raw"][door][call]
    for _ in range(data.draw(st.integers(1, 3))):
        reply = _broken(reply, data)
    BY_NAME[name](reply)


def _broken(value: Any, data: st.DataObject) -> Any:
    """The value with one thing in it, at any depth, replaced, removed or kept."""
    if not isinstance(value, (dict, list)) or not value or data.draw(st.integers(0, 5)) == 0:
        return data.draw(ANYTHING)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = data.draw(st.sampled_from(keys))
    if data.draw(st.booleans()) and isinstance(value, dict):
        return {name: each for name, each in value.items() if name != key}
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = _broken(value[key], data)
    return changed
