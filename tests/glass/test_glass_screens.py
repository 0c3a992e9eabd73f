"""Every screen at every width as a person reads it: first what it must say, then the whole of it as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from benchmarks._glass import SyntheticFeed
from farmctl.ports.feed import LeaseView, LinkState, ReachView
from farmctl.tui.keys import PAGES
from farmctl.tui.widgets.strip import strip_lines


class Sit(Protocol):
    def __call__(self, *size: int, **how: object) -> AbstractAsyncContextManager[Any]: ...


MUST = {
    "overview": ("Alarms 4, unacknowledged first", "shed that node; check phases", "Containers 2, worst first"),
    "map": ("C000", "curtailed", "left right = racks"),
    "miners": ("all miners", "000000000000", "Fault", "Since", "offline"),
    "alarms": ("[Open 4]", "Shelved 1", "Suppressed 1", "circuit_overload", "the breaker trips"),
    "power": ("within", "give v", "meter OK", "ev-0042", "F3", "stage 1", "price 0.0810", "0.200 MW firm"),
    "events": ("Events 1", "nobody has ordered anything"),
    "system": ("revision", "p99", "3 due, 112/400", "operator1 (operator)", "whatsminer 2026", "LimitNOFILE"),
}


@pytest.mark.parametrize(
    ("width", "height", "no_color"), [(100, 30, ""), (120, 36, ""), (160, 45, ""), (120, 36, "-without-colour")]
)
async def test_every_screen_says_what_it_is_for(
    sit: Sit, width: int, height: int, no_color: str, drawn: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    async with sit(width, height) as seat:
        seat.feed.reach = tuple(
            ReachView(within_s=s, down_kw=100.0 * n, up_kw=50.0 * n, confidence=0.97)
            for n, s in enumerate((5.0, 30.0, 300.0, 1_800.0), start=1)
        )
        await seat.hear()
        for number, page in enumerate(PAGES, start=1):
            await seat.strike(str(number))
            await seat.settle()
            text = seat.text()
            assert seat.app.glass.page == page
            for word in MUST[page]:
                assert word in text, (page, word)
            assert max(len(line) for line in text.splitlines()) <= width
            assert text == drawn(name=f"{width}-{page}{no_color}")


async def test_below_a_hundred_columns_there_is_one_column(sit: Sit) -> None:
    async with sit(80, 24) as seat:
        text = seat.text()
        assert "Containers" not in text
        assert "Alarms 4" in text
        for words in ("FOLLOWING", "POWER", "target", "dev", "EVENT", "▲1:1", "◆2:2", "live 0s"):
            assert words in text, words


@pytest.mark.parametrize("read_only", [True, False])
def test_the_strip_drops_its_parts_in_the_order_of_the_book_and_never_the_vital_ones(*, read_only: bool) -> None:
    kept = {width: _strip_at(width, read_only=read_only) for width in (80, 100, 120, 156, 200)}
    for text in kept.values():
        for vital in ("FOLLOWING", "POWER ", "target ", "dev ", "EVENT ACTIVE", "▲1:1", "◆2:2", "live 0s"):
            assert vital in text
        assert ("READ-ONLY" in text) is read_only
    assert all(word in kept[200] for word in ("America/Asuncion", "J/TH", "avail v", "grid: FOLLOWING", "lease"))
    gone = [word for word in ("America/Asuncion", "J/TH", "avail v", "grid: FOLLOWING") if word not in kept[80]]
    assert gone == ["America/Asuncion", "J/TH", "avail v", "grid: FOLLOWING"][: len(gone)]
    order = _dropped()
    assert [word for word in order if word in ("J/TH", "avail v")] == ["J/TH", "avail v"]
    assert order.index("America/Asuncion") < order.index("grid: FOLLOWING")


async def test_a_lost_link_and_a_frozen_picture_are_seen_on_every_screen(sit: Sit, drawn: SnapshotAssertion) -> None:
    async with sit(120, 36) as seat:
        await seat.press("Z")
        for number in "1234567":
            await seat.strike(number)
            assert "PICTURE FROZEN" in seat.text()
        await seat.press("Z", "1")
        seat.feed.link(LinkState(up=False, age_s=14.0, attempt=3, why="no byte for 3 s"))
        for number in "1234567":
            await seat.strike(number)
            assert "STALE 14s - reconnecting (3)" in seat.text()
        await seat.strike("1")
        assert seat.text() == drawn(name="120-overview-stale")


async def test_without_colour_nothing_is_painted_in_one(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with sit(120, 36) as seat:
        for number in "1234567":
            await seat.strike(number)
            assert not list(_hues(seat.app)), number
        assert "▲1:1" in seat.text()


def _hues(app: Any) -> Iterator[tuple[int, int, int]]:
    """Colours on the screen that are no shade of grey."""
    for strip in app.screen._compositor.render_strips():
        for segment in strip.apply_filter(app._filters[0], app.screen.background_colors[1]) if app._filters else strip:
            for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                if colour is not None and colour.triplet is not None and len(set(colour.triplet)) > 1:
                    yield tuple(colour.triplet)


def _strip_at(width: int, *, read_only: bool) -> str:
    from farmctl.tui.palette import PLAIN  # noqa: PLC0415 - beside its only use

    return "\n".join("".join(segment.text for segment in line) for line in strip_lines(_sight(read_only), PLAIN, width))


def _dropped() -> list[str]:
    """Parts in the order in which a shrinking strip loses them."""
    words = ("America/Asuncion", "J/TH", "avail v", "grid: FOLLOWING", "shelved")
    order: list[str] = []
    for width in range(200, 70, -1):
        text = _strip_at(width, read_only=False)
        order += [word for word in words if word not in text and word not in order]
    return order


def _sight(read_only: bool) -> Any:  # noqa: FBT001 - of this file alone
    from farmctl.tui.sight import UP, Sight  # noqa: PLC0415 - beside its only use
    from farmctl.tui.trace import Trace  # noqa: PLC0415 - see above

    feed = SyntheticFeed(300)
    feed.reach = (ReachView(within_s=30.0, down_kw=812.0, up_kw=41.0, confidence=1.0),)
    feed.lease = LeaseView(owner="operator1", reason="works", taken_at=None, expires_at="2026-11-24T10:00:00Z")
    return Sight(
        image=feed.image(np.zeros(0, dtype=np.int64)), changed=None, trace=Trace(), link=UP, age_s=0.0, zone="UTC",
        read_only=read_only, filter_text="", faults_only=False, frozen="",
    )  # fmt: skip


def test_no_line_of_the_strip_is_ever_longer_than_the_screen() -> None:
    for width in range(80, 220, 7):
        for line in _strip_at(width, read_only=True).splitlines():
            assert len(line) <= width, (width, line)
            assert not re.search(r"\S…", line)
