"""Who sent it, to whom, and when its authority holds: the checks common to all full-form messages."""

from __future__ import annotations

from farmctl.core.reasons import Reason
from farmctl.signals._intake.clocks import MOST_SKEW_MS
from farmctl.signals._intake.duration import DAY_MS
from farmctl.signals._intake.keys import Keyring
from farmctl.signals._intake.notification import Withdrawal
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.signature import is_genuine
from farmctl.signals._intake.verdict import EXPIRED, NOT_APPLICABLE, NOT_SUPPORTED, NotAcceptedError

VERSION = 1
MOST_AUTHORITY_MS = 7 * DAY_MS


class ForgedError(NotAcceptedError):
    """Its origin is not proven: dropped, journalled, and not answered."""


def check_version(header: JsonObject) -> None:
    """Raises NotAcceptedError: 253 without `v`, 251 for another contract than v1."""
    version = header.get("v")
    if isinstance(version, bool) or not isinstance(version, int):
        raise NotAcceptedError(Reason.BAD_FIELD, "v: expected the integer 1")
    if version != VERSION:
        raise NotAcceptedError(
            Reason.UNSUPPORTED, f"v: contract version {version}, only 1 is spoken", code=NOT_SUPPORTED
        )


def check_issuer(header: JsonObject, rules: IntakeRules) -> None:
    """Raises ForgedError for an issuer that is not this source's."""
    issuer = header.get("issuer")
    if issuer != rules.issuer.name:
        told = issuer[:64] if isinstance(issuer, str) else type(issuer).__name__
        raise ForgedError(Reason.UNKNOWN_ISSUER, f"issuer {told!r}, expected {rules.issuer.name!r}")


def check_signature(
    unsigned: JsonObject, *, kid: object, signature: object, topic: str, keyring: Keyring, now_ms: int
) -> None:
    """Raises ForgedError unless a usable key signed the payload for that topic."""
    key = keyring.usable(kid, now_ms)
    if key is None:
        told = kid[:64] if isinstance(kid, str) else type(kid).__name__
        raise ForgedError(Reason.UNKNOWN_ISSUER, f"kid {told!r} is not known, revoked or not valid now")
    if not is_genuine(key.public, signature, topic, unsigned):
        raise ForgedError(Reason.UNKNOWN_ISSUER, f"sig is not by key {kid!r} over topic {topic} and this payload")


def check_issued(issued_ms: int, now_ms: int) -> None:
    """Raises NotAcceptedError for a message from the future; age is not skew and is never refused here."""
    if issued_ms > now_ms + MOST_SKEW_MS:
        raise NotAcceptedError(Reason.CLOCK_AHEAD, f"issuedAt is {issued_ms - now_ms} ms ahead of the site's clock")


def check_authority(issued_ms: int, expires_ms: int, now_ms: int, *, most_ms: int = MOST_AUTHORITY_MS) -> None:
    """Raises NotAcceptedError where expiresAt is before issuedAt, too far off (253) or past (254)."""
    if expires_ms <= issued_ms:
        raise NotAcceptedError(Reason.BAD_FIELD, "expiresAt must be after issuedAt")
    if expires_ms - issued_ms > most_ms:
        raise NotAcceptedError(Reason.BAD_FIELD, f"expiresAt: more than {most_ms // DAY_MS} d after issuedAt")
    if expires_ms <= now_ms:
        raise NotAcceptedError(Reason.EXPIRED, "expiresAt has passed", code=EXPIRED)


def check_addressee(body: Withdrawal, rules: IntakeRules) -> None:
    """Raises NotAcceptedError (252) for a programme or targets that are not this site's."""
    if body.programme not in rules.programmes:
        raise NotAcceptedError(
            Reason.NOT_FOR_THIS_SITE, f"programID {body.programme[:64]!r} is not configured here", code=NOT_APPLICABLE
        )
    if body.targets and not (set(body.targets) & (rules.groups | {rules.site})):
        raise NotAcceptedError(
            Reason.NOT_FOR_THIS_SITE, f"targets name neither {rules.site} nor a group of it", code=NOT_APPLICABLE
        )
