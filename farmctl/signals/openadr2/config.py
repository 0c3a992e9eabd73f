"""What the 2.0b VEN needs to know of its VTN and its site, and what makes a configuration impossible."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from farmctl.errors import ConfigError
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals._intake.rules import IntakeRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files: the VTN's authority, and the site's certificate, which also signs each message (XML-DSig)."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """A client context.  Raises ConfigError for files that cannot be read."""
        try:
            made = ssl.create_default_context(cafile=self.ca)
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            made.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"OpenADR 2.0b: certificates {self.ca}, {self.certificate}: {error}") from error
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAdr2Config:
    """One 2.0b VTN as the site uses it."""

    name: str
    url: str
    """Address to which /EiEvent and the other services are added, such as https://vtn.example/OpenADR2/Simple/2.0b."""
    site: str
    ven_name: str
    issuer: IssuerRule
    rating_w: float
    emergency_w: float
    ven_id: str | None = None
    """As the VTN assigned it; None: it tells at registration."""
    certificates: Certificates | None = None
    vtn_fingerprint: str | None = None
    """Fingerprint of the certificate that must sign the VTN's messages; None: TLS alone is trusted."""
    market_contexts: frozenset[str] = frozenset()
    """Programmes that are ours; empty: every one that the VTN sends."""
    groups: frozenset[str] = frozenset()
    simple_levels_w: tuple[float, ...] | None = None
    ramp_up_w_per_s: float | None = None
    poll_s: float | None = None
    """None: as the VTN asks at registration."""
    deadline_s: float = 10.0
    loss_after_s: float = 60.0

    def rules(self) -> IntakeRules:
        """The checks of the contract for this VTN; targets were checked by the VTN, which sends to one VEN."""
        return IntakeRules(
            source=self.name,
            site=self.site,
            issuer=self.issuer,
            signed=False,
            programmes=self.market_contexts,
            groups=self.groups | {self.ven_name},
            rating_w=self.rating_w,
            emergency_w=self.emergency_w,
            simple_levels_w=self.simple_levels_w,
            ramp_up_w_per_s=self.ramp_up_w_per_s,
        )


def check(config: OpenAdr2Config) -> None:
    """Raises ConfigError with every fault: only a VTN on loopback is taken without the site's certificate."""
    faults = []
    address = urlsplit(config.url)
    local = _is_loopback(address.hostname or "")
    if address.scheme not in ("https", "http") or (address.scheme == "http" and not local):
        faults.append(f"url is {config.url}, expected https:// (http:// on loopback only)")
    if config.certificates is None and not local:
        faults.append("expected the site's certificate: OpenADR 2.0b identifies a VEN by it")
    if config.deadline_s <= 0 or (config.poll_s is not None and config.poll_s <= 0):
        faults.append("poll_s and deadline_s: expected more than 0")
    if not config.rating_w > 0 or not 0 <= config.emergency_w <= config.rating_w:
        faults.append(
            f"rating_w {config.rating_w}, emergency_w {config.emergency_w}: expected 0 <= emergency_w <= rating_w"
        )
    if faults:
        raise ConfigError(f"grid source {config.name!r}: " + "; ".join(faults))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
