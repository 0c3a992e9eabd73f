"""Every claim in a QUALITY.toml points at a test that exists."""

from __future__ import annotations

import re
import tomllib

import pytest

import drivers
from tests.house.matrix import FAMILIES, MARKS, README, ROOT, ROWS, claims, with_matrix


@pytest.mark.parametrize("family", FAMILIES)
def test_a_driver_says_what_is_proved_and_by_which_test(family: str) -> None:
    said = claims(family)
    assert set(ROWS) - set(said) == set()
    for row in ROWS:
        claim = said[row]
        assert claim["status"] in MARKS, row
        assert claim["status"] == "proved" or claim["why"], row
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


def test_the_readme_says_what_is_proved_today() -> None:
    text = README.read_text()
    assert text == with_matrix(text), "python -m tests.house.matrix writes it"
