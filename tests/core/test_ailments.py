from __future__ import annotations

import pytest

from farmctl.core.ailments import HELP, Cause, ailment


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("110", Cause.FAN), ("206", Cause.MAINS), ("233", Cause.SUPPLY), ("350", Cause.HOT), ("301", Cause.SENSOR),
        ("412", Cause.MEMORY), ("531", Cause.BOARD), ("551", Cause.CHIPS), ("600", Cause.AMBIENT),
        ("701", Cause.CONTROL_BOARD), ("2010", Cause.POOL), ("2310", Cause.HASH_RATE), ("5071", Cause.COOLANT),
        ("5110", Cause.TUNING), ("8410", Cause.FIRMWARE), ("100001", Cause.INTRUSION), ("52012", Cause.CHIPS),
        ("FanErr:3", Cause.FAN), ("POWS:1", Cause.SUPPLY), ("overheat_mode", Cause.HOT), ("ECHU0:2", Cause.BOARD),
        ("ShutdownTempReached", Cause.HOT), ("NoSolutions", Cause.HASH_RATE), ("chain 2: failure", Cause.BOARD),
        ('Failed to resolve ("mine.example", 3334)', Cause.NETWORK), ("7", Cause.UNKNOWN), ("", Cause.UNKNOWN),
        ("something new", Cause.UNKNOWN),
    ],
)  # fmt: skip
def test_codes_of_every_make_have_a_cause_in_one_vocabulary(code: str, cause: Cause) -> None:
    found = ailment(code)
    assert (found.code, found.cause) == (code, cause)


def test_every_cause_says_what_it_is_and_what_to_do() -> None:
    assert set(HELP) == set(Cause)
    assert all(means and action for means, action in HELP.values())
