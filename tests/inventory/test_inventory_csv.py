from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.core.fleet import CircuitTree
from farmctl.core.model import MinerId
from farmctl.errors import ConfigError
from farmctl.inventory.cells import read_miner_id, read_ports, write_ports
from farmctl.inventory.check import check_nameplates, check_rows
from farmctl.inventory.csv import COLUMNS, merge, read_miners, write_miners
from farmctl.inventory.fault import InventoryFaultsError, Severity
from farmctl.ports.store import InventoryRow

DRIVERS = frozenset({"whatsminer", "antminer"})
CIRCUITS = frozenset({"site", "C01"})

BAD = """\
miner_id,host,ports,driver,circuit,tier,protected
c4:11:e0:00:00:01,10.0.0.1,api=4028;http=80,whatsminer,C01,2,yes
C4-11-E0-00-00-01,10.0.0.2,,whatsminer,C01,,
c4:11:e0:00:00,10.0.0.3,,whatsminer,C01,,
c4:11:e0:00:00:04,,,watsminer,C01,,
c4:11:e0:00:00:05,10.0.0.5,api:4028,antminer,C1,-1,maybe
00:00:00:00:00:00,10.0.0.300,,antminer,C01,,

c4:11:e0:00:00:07,10.0.0.7,,antminer
"""


def row(number: int, **more: object) -> InventoryRow:
    given: dict[str, object] = {"host": f"10.0.0.{number}", "ports": {}, "driver": "whatsminer", "circuit": "C01"}
    return InventoryRow(miner_id=MinerId(f"c4:11:e0:00:00:{number:02x}"), **{**given, **more})  # type: ignore[arg-type]


def tree(rating_w: float) -> CircuitTree:
    return CircuitTree(
        names=("site", "C01"),
        parent=np.array([-1, 0]),
        rating_w=np.array([np.inf, rating_w]),
        meter_w=np.full(2, np.nan),
    )


def test_every_fault_of_a_bad_file_is_listed_at_once_with_its_line() -> None:
    with pytest.raises(InventoryFaultsError) as caught:
        read_miners(BAD, drivers=DRIVERS, circuits=CIRCUITS)
    assert [str(fault) for fault in caught.value.faults] == [
        "miners.csv:3: miner_id: c4:11:e0:00:00:01 is also on line 2",
        (
            "miners.csv:4: miner_id: expected a MAC such as c4:11:e0:01:23:45 or a serial number of 4 to 32,"
            ' got "c4:11:e0:00:00"'
        ),
        'miners.csv:5: driver: expected a known driver, got "watsminer"; did you mean whatsminer?',
        "miners.csv:5: host: missing",
        'miners.csv:6: circuit: expected a known circuit, got "C1"; did you mean C01?',
        'miners.csv:6: ports: expected ports such as api=4028;http=80, each once, got "api:4028"',
        'miners.csv:6: protected: expected true or false, got "maybe"',
        'miners.csv:6: tier: expected a whole number from 0 to 99, got "-1"',
        'miners.csv:7: host: expected an address or a host name, got "10.0.0.300"',
        'miners.csv:7: miner_id: expected the MAC of a machine, got "00:00:00:00:00:00"',
        "miners.csv:9: expected 7 cells, got 4",
    ]
    assert str(caught.value).startswith("11 faults in the inventory\n")


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("miner_id,host,driver,rak", "rak: unknown column; did you mean rack?"),
        ("miner_id,host", "driver: missing column"),
        ("miner_id,host,driver,host", "host: expected each column once"),
        ("", "miner_id: missing column"),
        ('"miner_id', "expected CSV: unexpected end of data"),
    ],
)
def test_a_bad_header_is_a_fault(header: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault.replace("?", r"\?")):
        read_miners(header)


@pytest.mark.parametrize("text", ["C4:11:E0:01:23:45", "c4-11-e0-01-23-45", "c411.e001.2345", "c411e0012345"])
def test_a_mac_has_one_spelling_inside(text: str) -> None:
    assert read_miner_id(text) == "c4:11:e0:01:23:45"


def test_a_serial_number_serves_where_there_is_no_mac() -> None:
    assert read_miner_id("HTM33X39JE0602180") == "HTM33X39JE0602180"
    for bad in ("abc", "a" * 33, "ff:ff:ff:ff:ff:ff", "c4:11-e0:01:23:45", "ä" * 8):
        with pytest.raises(ValueError, match="expected"):
            read_miner_id(bad)


WORD = st.text("abcXYZ019 ,\"'é", max_size=6).map(str.strip)
TAG = st.text('abc,é"', min_size=1, max_size=4)
ROWS = st.lists(
    st.builds(
        InventoryRow,
        miner_id=st.integers(1, 2**48 - 2).map(lambda n: read_miner_id(f"{n:012x}")),
        host=st.ip_addresses().map(str),
        ports=st.dictionaries(st.sampled_from(["api", "api3", "http"]), st.integers(1, 65535)),
        driver=st.sampled_from(sorted(DRIVERS)),
        tier=st.integers(0, 99),
        protected=st.booleans(),
        tags=st.lists(TAG, max_size=3).map(tuple),
        **dict.fromkeys(("model", "firmware", "serial", "circuit", "container", "rack", "slot", "owner"), WORD),
    ),
    unique_by=lambda made: made.miner_id,
    max_size=5,
)


@given(ROWS)
def test_what_is_written_is_read_back(rows: list[InventoryRow]) -> None:
    assert sorted(rows, key=lambda made: made.miner_id) == list(read_miners(write_miners(rows)).rows)


@given(st.one_of(st.text(), st.text().map(lambda text: ",".join(COLUMNS) + "\n" + text)))
def test_garbage_never_raises_anything_but_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        read_miners(text)


def test_ports_are_written_as_they_are_read() -> None:
    assert write_ports(read_ports(" http=80 ; api=4028;")) == "api=4028;http=80"


def test_a_scan_moves_a_miner_and_keeps_what_only_people_know() -> None:
    known = [row(1, rack="R1", tier=3, owner="hosted"), row(2)]
    seen = [row(1, host="10.0.9.9", model="M50_VH50", circuit=""), row(2), row(3)]
    merged = merge(known, seen)
    assert (merged.added, merged.changed, merged.moved) == ((row(3).miner_id,), (row(1).miner_id,), (row(1).miner_id,))
    assert merged.rows[0] == row(1, host="10.0.9.9", model="M50_VH50", rack="R1", tier=3, owner="hosted")
    assert merge(known, known).changed == ()


def test_a_file_replaces_the_columns_that_it_has_also_with_nothing() -> None:
    file = read_miners("miner_id,host,driver,tier\nc4:11:e0:00:00:01,10.0.0.1,whatsminer,0\n")
    merged = merge([row(1, tier=3, rack="R1")], file.rows, file.columns)
    assert merged.rows == (row(1, tier=0, rack="R1"),)
    assert merged.moved == ()


def test_rows_that_cannot_be_placed_or_polled_are_faults() -> None:
    rows = [row(1), row(2, host="10.0.0.1"), row(3, circuit=""), row(4, driver="luxos"), row(5), row(5)]
    faults = check_rows(rows, tree=tree(1e6), drivers=DRIVERS, file="m.csv", lines={row(3).miner_id: 4})
    assert [str(fault) for fault in faults] == [
        "m.csv: c4:11:e0:00:00:02: host: expected an endpoint of its own, 10.0.0.1 is also that of c4:11:e0:00:00:01",
        "m.csv: c4:11:e0:00:00:05: miner_id: expected each miner once",
        'm.csv: c4:11:e0:00:00:04: driver: expected a known driver, got "luxos"; known: antminer, whatsminer',
        "m.csv:4: c4:11:e0:00:00:03: circuit: expected a known circuit, it has none; known: C01, site",
    ]
    assert check_rows([row(1), row(2, host="10.0.0.1", ports={"api": 5000})], tree=tree(1e6), drivers=DRIVERS) == []


def test_more_nameplate_than_rating_is_a_warning_and_so_is_a_miner_without_ladder() -> None:
    rows = [row(1), row(2), row(3, driver="odd", model="X1")]
    full_w = {"whatsminer": 3000.0}
    warnings = check_nameplates(rows, tree=tree(5000.0), full_w=lambda miner: full_w.get(miner.driver))
    assert [(str(warning), warning.severity) for warning in warnings] == [
        ("inventory: C01: miners draw up to 6.0 kW, rated 5.0 kW", Severity.WARNING),
        ("inventory: odd X1: no ladder for this model: watched, never commanded", Severity.WARNING),
    ]
    assert check_nameplates(rows[:2], tree=tree(6000.0), full_w=lambda _: 3000.0) == []
    assert check_nameplates([], tree=tree(1.0), full_w=lambda _: None) == []
