"""What the VEN needs to know of its VTN and its site, and what makes a configuration impossible."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from farmctl.errors import ConfigError
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals._intake.rules import IntakeRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """OAuth2 client credentials."""

    client_id: str
    client_secret: str
    token_url: str | None = None
    """None: asked of the VTN at /auth/server, else /auth/token."""
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files: the authority that the VTN is checked against, and the site's own certificate for mTLS."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """A client context.  Raises ConfigError for files that cannot be read."""
        try:
            made = ssl.create_default_context(cafile=self.ca)
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                made.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"OpenADR 3.1: certificates {self.ca}, {self.certificate}, {self.key}: {error}"
            ) from error
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAdr3Config:
    """One VTN as the site uses it."""

    name: str
    url: str
    """Base address, to which /events is added."""
    site: str
    ven_name: str
    issuer: IssuerRule
    rating_w: float
    emergency_w: float
    login: Login | None = None
    """None: the certificate says who we are."""
    certificates: Certificates | None = None
    programmes: frozenset[str] = frozenset()
    """Names or ids of programmes that are ours; empty: every one that the VTN shows us."""
    groups: frozenset[str] = frozenset()
    """Targets besides the site and the VEN by which events may address us."""
    simple_levels_w: tuple[float, ...] | None = None
    subscription_w: float | None = None
    ramp_up_w_per_s: float | None = None
    poll_s: float = 10.0
    deadline_s: float = 8.0
    """Longest wait for one answer."""
    loss_after_s: float = 60.0
    """Without a good poll for this long the link counts as lost."""
    notifications: bool = True
    """Listen to the VTN's MQTT notifier where it offers one."""
    register: bool = True
    """Make our VEN object at the VTN where it has none."""
    resource: str = ""
    """resourceName in reports; empty: the site."""

    def rules(self) -> IntakeRules:
        """The checks of the contract for this VTN: transport is the proof of origin, so nothing is signed."""
        return IntakeRules(
            source=self.name,
            site=self.site,
            issuer=self.issuer,
            signed=False,
            programmes=self.programmes,
            groups=self.groups | {self.ven_name},
            rating_w=self.rating_w,
            emergency_w=self.emergency_w,
            simple_levels_w=self.simple_levels_w,
            subscription_w=self.subscription_w,
            ramp_up_w_per_s=self.ramp_up_w_per_s,
        )


def check(config: OpenAdr3Config) -> None:
    """Raises ConfigError with every fault: an unauthenticated VTN is taken on loopback only."""
    faults = [*_url_faults(config)]
    mutual = config.certificates is not None and config.certificates.certificate is not None
    if config.login is None and not mutual and not is_loopback(URL(config.url)):
        faults.append("expected OAuth2 client credentials or a certificate of the site (mTLS)")
    if not config.poll_s > 0 or not config.deadline_s > 0:
        faults.append(f"poll_s {config.poll_s} and deadline_s {config.deadline_s}: expected more than 0")
    if config.loss_after_s < 2 * config.poll_s:
        faults.append(f"loss_after_s is {config.loss_after_s}, expected at least two polls of {config.poll_s} s")
    if not config.rating_w > 0 or not 0 <= config.emergency_w <= config.rating_w:
        faults.append(
            f"rating_w {config.rating_w}, emergency_w {config.emergency_w}: expected 0 <= emergency <= rating"
        )
    if faults:
        raise ConfigError(f"grid source {config.name!r}: " + "; ".join(faults))


def is_loopback(url: URL) -> bool:
    """True where the address never leaves this machine, whatever the name server says."""
    host = url.host or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_safe(url: URL) -> bool:
    """A secret or a command may travel there: https, or this machine."""
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(url))


def _url_faults(config: OpenAdr3Config) -> list[str]:
    wanted = {"url": config.url}
    if config.login is not None and config.login.token_url is not None:
        wanted["token_url"] = config.login.token_url
    return [
        f"{key} is {text}, expected https:// (http:// on loopback only)"
        for key, text in wanted.items()
        if not is_safe(URL(text))
    ]
