"""What an issuer may send: classes, payload types, power range; outside is code 252."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.core.grid import EventClass
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
