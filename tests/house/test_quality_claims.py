"""Every claim in a QUALITY.toml points at a test that exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import drivers

ROOT = Path(__file__).parents[2]
ROWS = (
    "read",
    "sleep",
    "wake",
    "percent",
    "watts",
    "confirm",
    "pools_untouched",
    "silent_peer",
    "malformed_reply",
    "expired_session",
)
FAMILIES = sorted(place.split(":")[0].split(".")[1] for place in drivers.BUILTIN.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_driver_says_what_is_proved_and_by_which_test(family: str) -> None:
    claims = tomllib.loads((ROOT / "drivers" / family / "QUALITY.toml").read_text())
    assert set(ROWS) - set(claims) == set()
    for row in ROWS:
        claim = claims[row]
        assert claim["status"] in {"proved", "absent"}, row
        if claim["status"] == "proved":
            file, _, test = claim["test"].partition("::")
            source = (ROOT / file).read_text()
            assert re.search(rf"def {re.escape(test.split('[')[0])}\(", source), claim["test"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_driver_is_an_entry_point_too(family: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    places = project["entry-points"]["farmctl.drivers"]
    builtin = {name: place for name, place in drivers.BUILTIN.items() if f".{family}." in place}
    assert builtin.items() <= places.items()
