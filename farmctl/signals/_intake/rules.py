"""What the checks need to know of the site and its issuer."""

from __future__ import annotations

from dataclasses import dataclass, field

from farmctl.signals._intake.keys import Keyring
from farmctl.signals._intake.permissions import IssuerRule


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRules:
    """One source's rules; a source has exactly one issuer, so that nobody withdraws another's events."""

    source: str
    site: str
    issuer: IssuerRule
    signed: bool
    """False only in unsigned-demo: signatures and keys are not looked at, everything else is."""
    programmes: frozenset[str]
    groups: frozenset[str] = frozenset()
    """Names besides the site's own that `targets` may use."""
    rating_w: float
    """A limit above it is clamped to it."""
    emergency_w: float
    """What an alert without a number leaves to the site."""
    simple_levels_w: tuple[float, ...] | None = None
    """Limits for SIMPLE 0, 1, 2 and optionally 3; None: SIMPLE is not supported here."""
    subscription_w: float | None = None
    """Standing allocation, to which a granted reservation is added."""
    ramp_up_w_per_s: float | None = None
    """Site default; an event may ask for less, never for more."""
    pinned: Keyring = field(default_factory=Keyring)
