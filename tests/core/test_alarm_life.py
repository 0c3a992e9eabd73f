"""The life of an alarm as a table: raised after its delay, acknowledged, shelved, suppressed, damped, flooded."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from farmctl.core.alarms import (
    EMPTY_BOARD,
    AlarmBoard,
    AlarmChange,
    AlarmKind,
    AlarmRefusedError,
    Condition,
    NoSuchAlarmError,
    Suppress,
    Truth,
    acknowledge,
    advance,
    kpis,
    shelve,
    unshelve,
)

START_MS = 1_795_510_800_000
MAIN = "pools@site"


@dataclass
class Panel:
    """A board and its clock."""

    kinds: dict[str, AlarmKind]
    board: AlarmBoard = EMPTY_BOARD
    now_ms: int = START_MS
    suppressing: frozenset[Suppress] = frozenset()
    changes: list[AlarmChange] = field(default_factory=list)

    def run(self, seconds: float, *found: Condition) -> Panel:
        for _ in range(round(seconds)):
            self.now_ms += 1000
            self.board, changed = advance(self.board, found, self.kinds, self.suppressing, self.now_ms)
            self.changes += changed
        return self

    @property
    def state(self) -> str:
        alarm = self.board.get(MAIN)
        return "NORMAL" if alarm is None else alarm.state.value

    def ack(self, note: str = "") -> None:
        self.board, change = acknowledge(self.board, MAIN, self.kinds["pools"], "kim", note, self.now_ms)
        self.changes.append(change)

    def shelve(self, for_s: float | None, key: str = MAIN) -> None:
        until_ms = None if for_s is None else self.now_ms + round(for_s * 1000)
        self.board, _ = shelve(self.board, key, "kim", "known, on order", until_ms, self.now_ms)


def kind(name: str = "pools", priority: int = 2, on_s: float = 5.0, off_s: float = 3.0) -> AlarmKind:
    return AlarmKind(
        alarm=name, priority=priority, cause="c", consequence="c", response="r", on_delay_s=on_s, off_delay_s=off_s,
        suppressed_by=frozenset({Suppress.CURTAILED, Suppress.MAINTENANCE}),
    )  # fmt: skip


def panel(on_s: float = 5.0, off_s: float = 3.0) -> Panel:
    return Panel(kinds={"pools": kind(on_s=on_s, off_s=off_s), "other": kind("other", 1)})


def bad(truth: Truth = Truth.TRUE, name: str = "pools", priority: int = 2, where: str = "site") -> Condition:
    return Condition(alarm=name, priority=priority, where=where, detail="all down", truth=truth)


def test_an_alarm_is_raised_after_its_on_delay_and_not_for_a_blip() -> None:
    assert panel().run(4, bad()).run(1).run(4, bad()).state == "NORMAL"
    assert panel().run(5, bad()).state == "NORMAL"
    assert panel().run(6, bad()).state == "UNACK"


def test_what_the_condition_measured_itself_counts_for_the_delay() -> None:
    measured = AlarmKind(
        alarm="pools", priority=2, cause="c", consequence="c", response="r", on_delay_s=30.0, measured_s=30.0
    )
    assert Panel(kinds={"pools": measured}).run(1, bad()).state == "UNACK"


def test_it_goes_back_latched_until_somebody_has_seen_it() -> None:
    site = panel().run(6, bad()).run(3)
    assert site.state == "UNACK"
    assert site.run(1).state == "RTN_UNACK"
    assert site.run(6, bad()).state == "UNACK"
    site.ack()
    assert site.state == "ACK"
    assert site.run(4).state == "NORMAL"
    assert [(c.before.value, c.after.value, c.owner) for c in site.changes][:4] == [
        ("NORMAL", "UNACK", ""),
        ("UNACK", "RTN_UNACK", ""),
        ("RTN_UNACK", "UNACK", ""),
        ("UNACK", "ACK", "kim"),
    ]


def test_a_returned_alarm_is_normal_when_acknowledged_and_not_twice() -> None:
    site = panel().run(6, bad()).run(4)
    site.ack()
    assert site.run(1).state == "NORMAL"
    with pytest.raises(NoSuchAlarmError, match=MAIN):
        site.ack()


def test_an_acknowledged_alarm_that_comes_back_within_its_delay_stays_and_counts() -> None:
    site = panel().run(6, bad())
    site.ack()
    site.run(2).run(1, bad()).run(1)
    alarm = site.board.get(MAIN)
    assert alarm is not None
    assert (alarm.state.value, alarm.count) == ("ACK", 1)


@pytest.mark.parametrize("truth", [Truth.NEAR, Truth.UNKNOWN])
def test_near_and_unknown_neither_raise_nor_clear(truth: Truth) -> None:
    assert panel().run(20, bad(truth)).state == "NORMAL"
    site = panel().run(6, bad()).run(60, bad(truth))
    assert site.state == "UNACK"
    alarm = site.board.get(MAIN)
    assert alarm is not None
    assert alarm.valid is (truth is Truth.NEAR)


def test_a_shelf_ends_by_itself_in_the_state_that_the_condition_has() -> None:
    site = panel().run(6, bad())
    site.shelve(60)
    assert site.run(50, bad()).state == "SHELVED"
    assert site.run(11, bad()).state == "UNACK"
    site.shelve(60)
    assert site.run(61).state == "NORMAL"


def test_a_one_shot_shelf_ends_with_the_condition() -> None:
    site = panel().run(6, bad())
    site.shelve(None)
    assert site.run(3_600, bad()).state == "SHELVED"
    assert site.run(4).state == "NORMAL"
    assert site.run(6, bad()).state == "UNACK"


def test_a_p1_cannot_be_shelved() -> None:
    site = panel().run(6, bad(name="other", priority=1))
    with pytest.raises(AlarmRefusedError, match="P1"):
        site.shelve(60, "other@site")


def test_a_shelf_needs_a_reason_and_an_end_within_a_shift() -> None:
    site = panel().run(6, bad())
    with pytest.raises(AlarmRefusedError, match="12 hours"):
        site.shelve(13 * 3600)
    with pytest.raises(AlarmRefusedError, match="reason"):
        shelve(site.board, MAIN, "kim", " ", None, site.now_ms)
    with pytest.raises(AlarmRefusedError, match="on the shelf"):
        unshelve(site.board, MAIN, "kim", "", site.now_ms)


def test_some_alarms_want_a_note_with_the_acknowledgement() -> None:
    noted = AlarmKind(alarm="pools", priority=2, cause="c", consequence="c", response="r", note_to_ack=True)
    site = Panel(kinds={"pools": noted}).run(1, bad())
    with pytest.raises(AlarmRefusedError, match="note"):
        site.ack()
    site.ack("breaker was open")
    assert site.state == "ACK"


def test_suppression_hides_and_its_end_starts_the_delay_anew() -> None:
    site = panel()
    site.suppressing = frozenset({Suppress.CURTAILED})
    assert site.run(60, bad()).state == "SUPPRESSED"
    assert not site.board.active
    site.suppressing = frozenset()
    assert site.run(5, bad()).state == "NORMAL"
    assert site.run(2, bad()).state == "UNACK"
    site.suppressing = frozenset({Suppress.MAINTENANCE})
    assert site.run(1, bad()).state == "OUT_OF_SERVICE"
    assert site.run(1).state == "NORMAL"


def test_chattering_is_damped_up_to_ten_minutes_and_is_a_bad_actor() -> None:
    site = panel(on_s=0.0, off_s=0.0)
    for _ in range(60):
        site.run(5, bad()).run(5)
    raised = len(site.board.raised)
    assert raised <= 4
    assert kpis(site.board, site.now_ms).chattering == 1
    assert kpis(site.board, site.now_ms).bad_actors[0][0] == MAIN
    alarm = site.board.get(MAIN)
    assert alarm is not None
    assert 60.0 <= alarm.damped_s <= 600.0
    assert site.run(601).state == "RTN_UNACK"


def test_a_flood_collapses_what_is_not_urgent_and_says_so() -> None:
    kinds = {"minor": kind("minor", 3, 0.0), "major": kind("major", 2, 0.0)}
    site = Panel(kinds=kinds)
    storm = [bad(name="minor", priority=3, where=f"C{n:03d}") for n in range(10)]
    site.run(1, *storm)
    flooded = [site.board.flooded]
    assert len(site.board.single) == 10
    site.run(1, *storm, bad(name="major", where="C099"))
    flooded.append(site.board.flooded)
    assert [alarm.alarm for alarm in site.board.single] == ["major"]
    assert [change.key for change in site.changes].count("flood@site") == 1
    site.run(600)
    flooded.append(site.board.flooded)
    assert flooded == [False, True, False]
    assert len(site.board.single) == 11
    assert kpis(site.board, site.now_ms).flood_share > 0


def test_the_figures_count_what_was_raised_and_how_long_it_waited() -> None:
    site = panel().run(6, bad()).run(30, bad())
    site.ack()
    found = kpis(site.board, site.now_ms)
    assert (found.raised, found.raised_in_10_min, found.ack_median_s) == (1, 1, {2: 30.0})
    site.run(24 * 3600 + 60, bad())
    assert kpis(site.board, site.now_ms).stale == 1
    assert kpis(site.board, site.now_ms).raised == 0


@pytest.mark.parametrize("back_s", [10, 3_600, 86_400])
def test_a_clock_that_is_put_back_delays_no_alarm_and_lengthens_no_shelf(back_s: int) -> None:
    site = panel().run(3, bad())
    site.now_ms -= back_s * 1000
    assert site.run(6, bad()).state == "UNACK"
    site.shelve(60)
    site.now_ms -= back_s * 1000
    site.run(55, bad())
    assert site.state == "SHELVED"
    assert site.run(10, bad()).state == "UNACK"
    site.now_ms -= back_s * 1000
    assert site.run(6).state == "RTN_UNACK"
    alarm = site.board.get(MAIN)
    assert alarm is not None
    assert max(alarm.edge_ms, alarm.raised_ms, *(raised.at_ms for raised in site.board.raised)) <= site.now_ms
