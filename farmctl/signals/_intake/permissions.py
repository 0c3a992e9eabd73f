"""What an issuer may send: classes, payload types, power range; outside is code 252."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.core.grid import EventClass, GridEvent
from farmctl.core.reasons import Reason
from farmctl.core.units import to_kw
from farmctl.signals._intake.verdict import NOT_APPLICABLE, NotAcceptedError


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRule:
    """One grid operator as the site trusts it."""

    name: str
    classes: frozenset[EventClass] = frozenset(EventClass)
    payload_types: frozenset[str] | None = None
    """None: all that farmctl supports."""
    min_w: float = 0.0
    """Lowest power it may name; an alert without a number is not bound by it."""
    max_w: float | None = None
    """Highest power it may name; None: any."""
    max_step_w: float | None = None
    """Largest change from one set-point to the next; None: any."""
    default_kid: str = ""
    """Key of a simple message that names none."""


def check_class(rule: IssuerRule, event_class: EventClass) -> None:
    """Raises NotAcceptedError for a class that the issuer may not send."""
    if event_class not in rule.classes:
        allowed = ", ".join(sorted(rule.classes))
        raise NotAcceptedError(
            Reason.NOT_FOR_THIS_SITE,
            f"issuer {rule.name} may not send class {event_class}, only {allowed}",
            code=NOT_APPLICABLE,
        )


def check_step(rule: IssuerRule, event: GridEvent, last_w: float | None) -> None:
    """Raises NotAcceptedError where a set-point is further from the one before it than the issuer may go.

    `last_w` is the last accepted set-point, None where there is none: the first of all may be anywhere in the range.
    """
    if rule.max_step_w is None or event.event_class is EventClass.EMERGENCY:
        return
    for setpoint_w in (i.setpoint_w for i in event.intervals if i.setpoint_w is not None):
        if last_w is not None and abs(setpoint_w - last_w) > rule.max_step_w:
            raise NotAcceptedError(
                Reason.NOT_FOR_THIS_SITE,
                f"issuer {rule.name} may change a set-point by at most {to_kw(rule.max_step_w)} kW, "
                f"{to_kw(last_w)} kW to {to_kw(setpoint_w)} kW is more",
                code=NOT_APPLICABLE,
            )
        last_w = setpoint_w


def last_setpoint_w(event: GridEvent, before_w: float | None) -> float | None:
    """The set-point from which the next step is counted: the last that the event states, else the one before it.

    Neither a rehearsal nor an EMERGENCY, after which the site returns to where it was, is a step.
    """
    stated = [i.setpoint_w for i in event.intervals if i.setpoint_w is not None]
    counts = stated and event.event_class not in (EventClass.TEST, EventClass.EMERGENCY)
    return stated[-1] if counts else before_w


def check_payload(rule: IssuerRule, payload_type: str, power_w: float | None) -> None:
    """Raises NotAcceptedError for a payload type or a power that the issuer may not send."""
    if rule.payload_types is not None and payload_type not in rule.payload_types:
        raise NotAcceptedError(
            Reason.NOT_FOR_THIS_SITE, f"issuer {rule.name} may not send {payload_type}", code=NOT_APPLICABLE
        )
    if power_w is not None and power_w < rule.min_w:
        raise NotAcceptedError(
            Reason.NOT_FOR_THIS_SITE,
            f"issuer {rule.name} may name at least {to_kw(rule.min_w)} kW, {payload_type} says {to_kw(power_w)} kW",
            code=NOT_APPLICABLE,
        )
    if power_w is not None and rule.max_w is not None and power_w > rule.max_w:
        raise NotAcceptedError(
            Reason.NOT_FOR_THIS_SITE,
            f"issuer {rule.name} may name at most {to_kw(rule.max_w)} kW, {payload_type} says {to_kw(power_w)} kW",
            code=NOT_APPLICABLE,
        )
