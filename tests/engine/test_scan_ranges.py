"""Address ranges as people type them."""

from __future__ import annotations

import pytest

from farmctl.engine.scan import RangesError, read_ranges


def test_every_way_of_writing_a_range_gives_its_addresses() -> None:
    assert list(read_ranges(["10.1.2.3"])) == ["10.1.2.3"]
    assert list(read_ranges(["10.1.2.3-5"])) == ["10.1.2.3", "10.1.2.4", "10.1.2.5"]
    assert list(read_ranges(["10.1.2.254 - 10.1.3.1"])) == ["10.1.2.254", "10.1.2.255", "10.1.3.0", "10.1.3.1"]
    assert list(read_ranges(["fd00::1-fd00::2"])) == ["fd00::1", "fd00::2"]


def test_a_network_loses_its_own_and_its_broadcast_address_only() -> None:
    assert list(read_ranges(["10.1.2.77/30"])) == ["10.1.2.77", "10.1.2.78"]
    assert list(read_ranges(["10.1.2.0/31"])) == ["10.1.2.0", "10.1.2.1"]
    ranges = read_ranges(["10.1.0.0/20"])
    assert len(ranges) == 4094
    assert "10.1.1.0" in ranges
    assert "10.1.0.255" in ranges
    assert "10.1.0.0" not in ranges
    assert "10.1.15.255" not in ranges


def test_addresses_typed_twice_are_scanned_once() -> None:
    ranges = read_ranges(["10.1.2.5-9", "10.1.2.1-6", "10.1.2.7", "10.1.2.10", "10.1.4.1"])
    assert len(ranges) == 11
    assert sorted(set(ranges)) == sorted(ranges)
    assert len(ranges.spans) == 2


def test_only_addresses_inside_are_inside() -> None:
    ranges = read_ranges(["10.1.2.1-10.1.2.9"])
    assert "10.1.2.9" in ranges
    assert "10.1.2.10" not in ranges
    assert "a-host-name" not in ranges
    assert "::a01:209" not in ranges


@pytest.mark.parametrize(
    "text",
    [
        "",
        "miner7.example",
        "10.1.2",
        "10.1.2.9-10.1.2.1",
        "10.1.2.3/33",
        "10.1.2.1-fd00::1",
        "fe80::1%eth0",
        "10.1.2.3-",
    ],
)
def test_what_is_no_range_is_named(text: str) -> None:
    with pytest.raises(RangesError, match=r"expected 10\.1\.0\.0/16"):
        read_ranges(["10.1.2.3", text])


def test_every_bad_range_is_named_at_once() -> None:
    with pytest.raises(RangesError, match=r"(?s)first.*second"):
        read_ranges(["first", "second"])


@pytest.mark.parametrize("text", ["10.0.0.0/8", "fd00::/64", "0.0.0.0-255.255.255.255", "::/0"])
def test_a_slip_of_the_keyboard_does_not_scan_the_world(text: str) -> None:
    with pytest.raises(RangesError, match="at most 1048576 addresses"):
        read_ranges([text])
