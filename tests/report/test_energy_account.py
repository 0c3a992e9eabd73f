"""Whose joules are they: containers with a meter of their own, the rest shared, all of it adding up to the site."""

from __future__ import annotations

import numpy as np
import pytest

from farmctl.config.build import circuit_tree, site_rules
from farmctl.config.schema import FarmConfig
from farmctl.core.fleet import FleetTable, LadderBook
from farmctl.core.model import MinerId
from farmctl.ports.series import SITE_COLUMNS, UNKNOWN, SeriesPage
from farmctl.ports.store import InventoryRow
from farmctl.report.account import account, told
from farmctl.report.case import SiteFacts
from farmctl.report.series import Page, joined
from farmctl.wiring.settlement import facts_of

SECONDS = 3_601
PARTS = [
    {"container": "C1", "owner": "acme"},
    {"container": "C1", "owner": "bravo"},
    {"container": "C2", "owner": "acme"},
]
REGISTER = {"name": "kw", "address": 0, "type": "f32"}


def an_hour(metered_w: list[int]) -> tuple[Page, SiteFacts]:
    """The site draws 100 kW, its devices say 30, 20 and 40 kW."""
    at_ms = np.arange(SECONDS, dtype=np.int64) * 1_000
    site = np.zeros((len(SITE_COLUMNS), SECONDS), dtype=np.int64)
    site[0], site[1], site[2], site[4], site[8] = at_ms, at_ms, 100_000, 90_000, 4_000_000
    parts = np.zeros((3, 3, SECONDS), dtype=np.int64)
    parts[0] = np.array([[30_000], [20_000], [40_000]])
    parts[1] = np.array([[1_000_000], [1_000_000], [2_000_000]])
    parts[2] = np.array(metered_w)[:, None]
    facts = SiteFacts(seq=1, body={"parts": PARTS}, miners={})
    return Page(facts=1, page=SeriesPage(site=site, parts_at_ms=at_ms, parts=parts)), facts


def rows(metered_w: list[int]) -> tuple[dict[str, float], dict[str, float], dict[str, str], float]:
    page, facts = an_hour(metered_w)
    energy = told(account(joined([page], 0, 3_600_000), [page], [facts], 0, 3_600_000))
    containers = {row["container"]: row["mwh"] * 1e3 for row in energy["containers"]}
    owners = {row["owner"]: row["mwh"] * 1e3 for row in energy["owners"]}
    return containers, owners, {row["container"]: row["source"] for row in energy["containers"]}, energy["rest_mwh"]


def test_without_meters_of_their_own_all_share_the_site_s() -> None:
    containers, owners, source, rest = rows([UNKNOWN] * 3)
    assert containers == pytest.approx({"C1": 100 * 50 / 90, "C2": 100 * 40 / 90})
    assert owners == pytest.approx({"acme": 100 * 70 / 90, "bravo": 100 * 20 / 90})
    assert set(source.values()) == {"SHARED"}
    assert rest == pytest.approx(0.0, abs=1e-9)


def test_a_container_with_a_meter_counts_by_it_and_the_others_share_what_is_left() -> None:
    containers, owners, source, rest = rows([33_000, 22_000, UNKNOWN])
    assert containers == pytest.approx({"C1": 55.0, "C2": 45.0})
    assert owners == pytest.approx({"acme": 78.0, "bravo": 22.0})
    assert source == {"C1": "METER", "C2": "SHARED"}
    assert rest == pytest.approx(0.0, abs=1e-9)


def test_where_all_are_metered_what_they_leave_is_the_rest_of_the_site() -> None:
    containers, _, source, rest = rows([33_000, 22_000, 41_000])
    assert containers == pytest.approx({"C1": 55.0, "C2": 41.0})
    assert set(source.values()) == {"METER"}
    assert rest == pytest.approx(0.004)


def test_a_meter_belongs_to_a_container_where_it_feeds_all_of_it_and_nothing_else() -> None:
    config = FarmConfig.model_validate(
        {
            "site": {"name": "s", "rated_kw": 100.0},
            "circuit": [
                {"name": "root", "meter": "main"},
                {"name": "f1", "parent": "root", "meter": "m1"},
                {"name": "f1a", "parent": "f1"},
                {"name": "f2", "parent": "root", "meter": "m2"},
                {"name": "f3", "parent": "root", "meter": "m3"},
            ],
            "meter": [
                {"name": name, "kind": "modbus", "host": "127.0.0.1", "registers": (REGISTER,)}
                for name in ("main", "m1", "m2", "m3")
            ],
        }
    )
    tree = circuit_tree(config)
    places = [("C1", "f1a"), ("C1", "f1"), ("C2", "f2"), ("C3", "f2"), ("C4", "f3"), ("C4", "root")]
    table = FleetTable.empty(len(places))
    table.node[:] = [tree.names.index(node) for _, node in places]
    inventory = [
        InventoryRow(miner_id=MinerId(f"m{n}"), host="h", ports={}, driver="d", container=container, circuit=node)
        for n, (container, node) in enumerate(places)
    ]
    facts = facts_of(config, inventory, table, LadderBook.of([]), ("g",), tree, site_rules(config))
    told_nodes = [tree.names[node] if node >= 0 else "" for node in facts.meter_node.tolist()]
    assert told_nodes == ["f1", "", "", ""]  # C1 alone: f2 feeds two containers, C4 hangs on two circuits
