"""The vocabulary of why: one word per reason, used alike by journal, metrics, TUI and acks.

Append-only: a reason is API, it is never renamed and never reused.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something is as it is; `HELP` has one line for each."""

    # a row's place in the allocation
    FULL = "FULL"
    THROTTLED_TO_FIT = "THROTTLED_TO_FIT"
    CURTAILED = "CURTAILED"
    CIRCUIT_LIMIT = "CIRCUIT_LIMIT"
    PROTECTED = "PROTECTED"
    MIN_ON = "MIN_ON"
    MIN_OFF = "MIN_OFF"
    OBSERVE_ONLY = "OBSERVE_ONLY"
    NO_LADDER = "NO_LADDER"
    UNREACHABLE = "UNREACHABLE"
    RAMP_UP = "RAMP_UP"
    WAKE_STAGGER = "WAKE_STAGGER"
    UNCONFIRMED = "UNCONFIRMED"
    GAVE_UP = "GAVE_UP"
    STOP_ALL = "STOP_ALL"
    MAINTENANCE = "MAINTENANCE"
    # a budget
    FOLLOWING = "FOLLOWING"
    LIMITED = "LIMITED"
    STANDING_ALLOCATION = "STANDING_ALLOCATION"
    SITE_RATING = "SITE_RATING"
    BOOT_FAILSAFE = "BOOT_FAILSAFE"
    SIGNAL_STALE = "SIGNAL_STALE"
    HOLDING_SCHEDULE = "HOLDING_SCHEDULE"
    OVERRIDE = "OVERRIDE"
    EMERGENCY = "EMERGENCY"
    METER_LOST_GUARD = "METER_LOST_GUARD"
    LOWER_PRIORITY = "LOWER_PRIORITY"
    ABOVE_LIMIT = "ABOVE_LIMIT"
    SITE_MINIMUM = "SITE_MINIMUM"
    # a command
    SHED = "SHED"
    RESTORE = "RESTORE"
    RETRY = "RETRY"
    LATE_JOINER = "LATE_JOINER"
    DRIFTED = "DRIFTED"
    REFINE = "REFINE"
    # a signal that was refused, or an event that ended
    NOT_JSON = "NOT_JSON"
    BAD_FIELD = "BAD_FIELD"
    UNSUPPORTED = "UNSUPPORTED"
    NOT_FOR_THIS_SITE = "NOT_FOR_THIS_SITE"
    EXPIRED = "EXPIRED"
    OLD_SEQUENCE = "OLD_SEQUENCE"
    DUPLICATE = "DUPLICATE"
    RETAINED_NOT_ALLOWED = "RETAINED_NOT_ALLOWED"
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"
    TOO_LARGE = "TOO_LARGE"
    CLOCK_AHEAD = "CLOCK_AHEAD"
    EMERGENCY_LATCHED = "EMERGENCY_LATCHED"
    SUPERSEDED = "SUPERSEDED"
    CANCELLED = "CANCELLED"
    TARGET_MISSED = "TARGET_MISSED"
    TEST = "TEST"
    # a row, continued
    TOO_HOT = "TOO_HOT"
    FAULTY = "FAULTY"
    # a budget or an event, continued
    GRID_OUTAGE = "GRID_OUTAGE"
    OPTED_OUT = "OPTED_OUT"


HELP: dict[Reason, str] = {
    Reason.FULL: "runs at its highest operating point",
    Reason.THROTTLED_TO_FIT: "runs below full so that the site meets its target exactly",
    Reason.CURTAILED: "sleeps because the budget is spent on more efficient miners",
    Reason.CIRCUIT_LIMIT: "held down by the rating of a circuit above it",
    Reason.PROTECTED: "protected: curtailed only in an EMERGENCY",
    Reason.MIN_ON: "kept on until its minimum on-time is over",
    Reason.MIN_OFF: "kept off until its minimum off-time is over",
    Reason.OBSERVE_ONLY: "farmctl may watch this miner but not command it",
    Reason.NO_LADDER: "no operating points are known for this model; counted at what it draws",
    Reason.UNREACHABLE: "does not answer; counted at its last or worst power",
    Reason.RAMP_UP: "waits for the site's up-ramp",
    Reason.WAKE_STAGGER: "waits for its turn to start; wakes are paced per feeder",
    Reason.UNCONFIRMED: "commanded, telemetry has not confirmed it yet",
    Reason.GAVE_UP: "did not follow after every retry; counted at its worst power",
    Reason.STOP_ALL: "an operator stopped the whole site",
    Reason.MAINTENANCE: "in maintenance: no automatic start",
    Reason.FOLLOWING: "a live set-point decides",
    Reason.LIMITED: "a live import limit decides",
    Reason.STANDING_ALLOCATION: "the standing allocation decides",
    Reason.SITE_RATING: "the electrical rating of the site decides",
    Reason.BOOT_FAILSAFE: "just started; fail-safe until a valid signal arrives",
    Reason.SIGNAL_STALE: "the grid signal is lost; the fail-safe limit decides",
    Reason.HOLDING_SCHEDULE: "the grid signal is lost; the received set-point is held until it expires",
    Reason.OVERRIDE: "an operator's override decides",
    Reason.EMERGENCY: "a latched grid emergency decides",
    Reason.METER_LOST_GUARD: "the site meter is lost; a guard band is kept below every limit",
    Reason.LOWER_PRIORITY: "another set-point has precedence",
    Reason.ABOVE_LIMIT: "asked for more than the effective limit; clamped",
    Reason.SITE_MINIMUM: "asked for less than the site cannot shed",
    Reason.SHED: "lowered to meet the budget",
    Reason.RESTORE: "raised because the budget allows it",
    Reason.RETRY: "commanded again because telemetry did not confirm it",
    Reason.LATE_JOINER: "joined, woke or rebooted during the event and is commanded like the rest",
    Reason.DRIFTED: "left its operating point by itself and is put back",
    Reason.REFINE: "moved to a cheaper point at the same total power",
    Reason.NOT_JSON: "the payload is not a JSON object",
    Reason.BAD_FIELD: "a field is missing, of the wrong type or out of bounds",
    Reason.UNSUPPORTED: "a payload type or version that this site does not support",
    Reason.NOT_FOR_THIS_SITE: "addressed to another site, programme or issuer's range",
    Reason.EXPIRED: "its authority had ended when it arrived, or before it started",
    Reason.OLD_SEQUENCE: "epoch and sequence are not above the last accepted ones",
    Reason.DUPLICATE: "the same message was seen before; the last ack is sent again",
    Reason.RETAINED_NOT_ALLOWED: "a retained copy on a topic that must not be retained",
    Reason.UNKNOWN_ISSUER: "the issuer or its key is not configured here",
    Reason.TOO_LARGE: "the payload is above the size limit",
    Reason.CLOCK_AHEAD: "issued in the future beyond the permitted skew",
    Reason.EMERGENCY_LATCHED: "an EMERGENCY ends only by an explicit release",
    Reason.SUPERSEDED: "a newer set-point of the same or better precedence replaced it",
    Reason.CANCELLED: "withdrawn by its issuer",
    Reason.TARGET_MISSED: "the end came before the target was reached",
    Reason.TOO_HOT: "its chips are too hot; lowered until they have cooled",
    Reason.FAULTY: "reports a fault; not raised before it is well",
    Reason.GRID_OUTAGE: "a grid outage was seen: received orders are discarded until the grid was asked again",
    Reason.OPTED_OUT: "the site does not take part: a local decision with its reason",
    Reason.TEST: "a test event: everything up to the device write was run",
}

ORDER: tuple[Reason, ...] = tuple(Reason)
"""Index of a reason in code columns; append-only like the enum."""
CODE: dict[Reason, int] = {reason: code for code, reason in enumerate(ORDER)}
