"""What the grid says that it holds: the site lets go of that and of nothing else; the grid keeps each thing once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from farmctl.errors import StoreError
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.verdict import Held, Refused
from farmctl.signals.kit.heard import Said
from farmctl.signals.kit.holding import Holding, Keeper, Letter, Spans
from farmctl.signals.kit.shelf import Shelf
from farmctl.signals.mqtt import Mark, Outbox, Parcel
from tests.signals.test_mqtt_outbox import HandClock, parcel, sent, written
from tests.signals.words import KID, Desk, JsonObject, Ledger, signed

HOUR_MS = 3_600_000


def held(box: str, *spans: list[int], **changes: object) -> JsonObject:
    body = {"v": 1, "issuer": "grid-op", "kid": KID, "issuedAt": "2026-11-23T10:03:50Z", "outbox": box}
    return {**body, "held": list(spans), **changes}


async def opened(ledger: Ledger, clock: HandClock, slots: int = 8) -> tuple[Outbox, str]:
    """An outbox with three parcels in it, and its name."""
    box, marks = Outbox("grid", clock, slots=slots), list[Mark]()
    await box.open(ledger)
    for number in range(3):

        def write(mark: Mark, number: int = number) -> Parcel:
            marks.append(mark)
            return parcel(number)

        await box.put(write)
    assert [mark.number for mark in marks] == [0, 1, 2]
    return box, marks[0].box


async def test_what_the_grid_holds_is_let_go_and_the_rest_outlasts_any_cut() -> None:
    ledger, clock = Ledger(), HandClock()
    box, name = await opened(ledger, clock)
    assert len(sent(box)) == 3
    box.settle("of-another-store", [(0, 2)])
    assert box.unsettled == 3
    box.settle(name, [(0, 0), (2, 2)])
    await box.keep()
    clock.at_ms += HOUR_MS
    box.rewind()
    assert sent(box) == [parcel(1)]
    again = Outbox("grid", clock, slots=8)
    await again.open(ledger)
    assert again.acknowledged
    assert sent(again)[-2:] == [parcel(1), parcel(2)]  # a restart may say once more what was held: it carries its mark
    again.settle(name, [(0, 2)])
    again.rewind()
    assert (sent(again), again.unsettled, again.dropped) == ([], 0, 0)


async def test_a_living_grid_that_does_not_acknowledge_in_time_is_told_again_ever_more_patiently() -> None:
    clock = HandClock()
    box, name = await opened(Ledger(), clock)
    sent(box)
    clock.at_ms += 30_000
    assert not box.remind()  # one that has never acknowledged anything
    box.settle(name, [(0, 0)])
    assert box.remind()
    assert sent(box) == [parcel(1), parcel(2)]
    clock.at_ms += 30_000
    assert not box.remind()
    clock.at_ms += 30_000
    assert box.remind()


async def test_a_full_ring_counts_what_was_never_acknowledged() -> None:
    box, name = await opened(Ledger(), HandClock(), slots=3)
    sent(box)
    box.settle(name, [(0, 0)])
    for number in (3, 4):
        await box.put(written(number))
    assert (box.dropped, box.unsettled) == (1, 3)


async def test_what_an_older_farmctl_left_carries_no_mark_and_is_not_waited_for() -> None:
    ledger, clock = Ledger(), HandClock()
    await opened(ledger, clock)
    ledger.states["signals.grid.outbox"] = b"[0, 3]"
    box = Outbox("grid", clock, slots=8)
    await box.open(ledger)
    assert len(sent(box)) == 3
    marks: list[Mark] = []

    def write(mark: Mark) -> Parcel:
        marks.append(mark)
        return parcel(3)

    await box.put(write)
    assert marks[0].number == 3
    sent(box)
    box.settle(marks[0].box, [(3, 3)])
    clock.at_ms += 600_000
    box.rewind()
    assert box.unsettled == 0


@pytest.mark.parametrize(
    "body",
    [
        held("b", [2, 1]),
        held("b", [-1, 1]),
        held("b", [0]),
        held("", [0, 1]),
        held("b", [0, 1], v=2),
        {**held("b"), "held": "all"},
    ],
)
def test_a_malformed_acknowledgement_is_refused_and_never_answered(body: JsonObject) -> None:
    verdict = Desk(signed=True).hears(Route.HELD, signed(Route.HELD, body))
    assert isinstance(verdict, Refused), verdict
    assert verdict.ack is None


def test_an_acknowledgement_needs_the_signature_of_the_grid_and_is_never_read_from_a_retained_copy() -> None:
    desk = Desk(signed=True)
    good = signed(Route.HELD, held("b", [0, 4], [6, 6]))
    assert desk.hears(Route.HELD, good) == Held(outbox="b", spans=((0, 4), (6, 6)))
    forged = signed(Route.HELD, held("b", [0, 9]), seed=bytes(32))
    for verdict in (desk.hears(Route.HELD, forged), desk.hears(Route.HELD, good, retained=True)):
        assert isinstance(verdict, Refused), verdict


@given(st.lists(st.integers(0, 60), max_size=80))
def test_runs_hold_exactly_what_was_put_in(numbers: list[int]) -> None:
    spans = Spans()
    for number in numbers:
        spans.add(number)
    listed = spans.listed(1_000)
    assert {n for first, last in listed for n in range(first, last + 1)} == set(numbers)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(listed))


def said(number: int, box: str = "b") -> Said:
    return Said(at_ms=number, channel="ack", body={"outbox": {"id": box, "no": number}, "n": number}, retained=False)


def lines(shelf: Shelf) -> list[int]:
    text = shelf.file.read_text(encoding="utf-8").split()
    return [each["no"] for line in text if line.endswith("}") for each in json.loads(line)["said"]]


async def test_a_console_keeps_each_thing_once_over_its_own_restarts_and_a_line_that_was_cut_off(
    tmp_path: Path,
) -> None:
    shelf = Shelf(file=tmp_path / "grid" / "site-07.said.jsonl")
    holding = Holding("site-07", shelf)
    for number in (0, 1, 1, 3):
        holding.take(said(number))
    assert {box: spans.listed(9) for box, spans in (await holding.told()).items()} == {"b": [(0, 1), (3, 3)]}
    with shelf.file.open("a", encoding="utf-8") as torn:
        torn.write('{"said":[{"no":2')
    again = Holding("site-07", shelf)
    for number in (1, 2, 3):
        again.take(said(number))
    assert {box: spans.listed(9) for box, spans in (await again.told()).items()} == {"b": [(0, 3)]}
    assert (lines(shelf), again.repeats) == ([0, 1, 3, 2], 2)


async def test_what_could_not_be_stored_is_not_acknowledged_and_is_taken_when_it_comes_again() -> None:
    class Full(Keeper):
        def __init__(self) -> None:
            self.is_full, self.kept = True, list[Letter]()

        @override
        async def state(self) -> bytes | None:
            return None

        @override
        async def keep(self, letters: Sequence[Letter], state: bytes) -> None:
            del state
            if self.is_full:
                raise StoreError("disk full")
            self.kept += letters

    keeper = Full()
    holding = Holding("site-07", keeper)
    holding.take(said(0))
    assert await holding.told() == {}
    keeper.is_full = False
    holding.take(said(0))
    assert set(await holding.told()) == {"b"}
    assert [letter.number for letter in keeper.kept] == [0]


def test_what_carries_no_mark_waits_for_nothing() -> None:
    holding = Holding("site-07", Shelf(file=Path("unused")))
    for body in ({}, {"outbox": {"id": 5, "no": 1}}, {"outbox": {"id": "b", "no": True}}, {"x-farmctl": 3}):
        for channel in ("ack", "report", "telemetry"):
            holding.take(Said(at_ms=0, channel=channel, body=body, retained=False))
    assert not holding._waiting
