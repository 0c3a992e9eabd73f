"""Headquarters at the glass: its sites with what is wrong first, each with its share, its reason and what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmarks._glass_sites import PROGRAMME, site_row
from farmctl.control.sites import SiteRow, Sites
from farmctl.tui.sited import in_order, trouble


class Sit(Protocol):
    def __call__(self, *size: int, **how: object) -> AbstractAsyncContextManager[Any]: ...


@pytest.fixture
def seated(sit: Sit) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """At headquarters."""
    return lambda *size, **how: sit(*size, miners=0, **{"programme": PROGRAMME, **how})


def test_the_synthetic_answer_has_every_field_of_the_api_and_no_other() -> None:
    assert set(PROGRAMME) == set(Sites.model_fields) - {"schema_"}
    for row in PROGRAMME["rows"]:
        assert set(row) == set(SiteRow.model_fields)


@pytest.mark.parametrize(
    ("width", "height", "no_color"), [(100, 30, ""), (120, 36, ""), (160, 45, ""), (120, 36, "-without-colour")]
)
async def test_headquarters_opens_on_its_sites(
    seated: Any, width: int, height: int, no_color: str, drawn: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    async with seated(width, height) as seat:
        assert seat.app.glass.page == "programme"
        text = seat.text()
        for words in (
            "FIGURE 102.00 MW",
            "0.800 MW placed nowhere yet",
            "7 heard  2 silent  1 refusing",
            "8 Programme",
        ):
            assert words in text, words
        assert "2 Map" not in text
        assert max(len(line) for line in text.splitlines()) <= width
        assert text == drawn(name=f"{width}-programme{no_color}")


def test_what_wants_somebody_is_on_top() -> None:
    names = [row["name"] for row in in_order(PROGRAMME["rows"])]
    assert names == [
        *("coast-07", "coast-08", "dam-06", "river-04", "dam-05"),
        *("hill-09", "north-01", "north-02", "river-03"),
    ]
    assert all(trouble(row).do for row in PROGRAMME["rows"] if trouble(row).rank)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"link_age_s": None, "connected": False}, "Its broker does not take us"),
        ({"connected": False}, "out of reach"),
        ({"mode": "EMERGENCY"}, "only a release ends it"),
        ({"mode": "LOCAL_OVERRIDE"}, "somebody there holds it"),
        ({"mode": "INIT_FAILSAFE"}, "our key among its issuers"),
        ({"deviation_kw": 500.0}, "above its share"),
        ({"deviation_kw": -9_000.0}, ""),
    ],
)
def test_each_trouble_says_what_it_is_and_what_to_look_at(changes: dict[str, Any], words: str) -> None:
    found = trouble(site_row("north-01", **changes))
    assert bool(found.rank) is bool(words)
    assert words in f"{found.what} {found.do}"


async def test_the_site_under_the_cursor_explains_itself_below_and_in_full_on_enter(seated: Any) -> None:
    async with seated(120, 36) as seat:
        assert "do     It falls to its fail-safe level by itself. Is its controller up?" in seat.text()
        await seat.press("down", "down")
        assert "dam-06  FOLLOWING  REFUSED NOT_FOR_THIS_SITE" in seat.text()
        await seat.press("enter")
        assert "$ farmctl why dam-06" in seat.text()
        await seat.press("escape", "colon")
        await seat.type("why north-01")
        await seat.press("enter")
        assert "it hashes most with the next watt (cost)" in seat.text()


async def test_a_picture_that_moves_is_followed_and_one_that_is_frozen_is_not(
    seated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.tui.screens.programme.EVERY_S", 0.0)
    async with seated(120, 36) as seat:
        after = copy.deepcopy(PROGRAMME)
        after["figure_kw"] = 55_000.0
        seat.feed.programme = after
        await seat.hear()
        assert "FIGURE 55.00 MW" in seat.text()
        await seat.press("Z")
        seat.feed.programme = PROGRAMME
        await seat.hear()
        assert "FIGURE 55.00 MW" in seat.text()


async def test_each_controller_has_the_screens_of_what_it_is(seated: Any, sit: Sit) -> None:
    async with seated(120, 36) as seat:
        await seat.press("3")
        assert seat.app.glass.page == "programme"
        await seat.press("4", "minus")
        assert seat.app.glass.page == "programme"
    async with sit(120, 36) as seat:
        await seat.press("8")
        assert seat.app.glass.page == "overview"
        await seat.press("colon")
        await seat.type("sites list")
        await seat.press("enter")
        assert any("a site with miners of its own" in told.message for told in seat.app._notifications)
