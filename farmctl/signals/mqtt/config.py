"""What an MQTT source is told: brokers, names, trust, and the site's numbers; all faults found at once."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from farmctl.errors import ConfigError
from farmctl.signals._intake.keys import Keyring
from farmctl.signals._intake.payloads import SUPPORTED
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals.uplink import Offer

NAME = re.compile(r"[a-z0-9-]{1,40}")
SIGNED = "ed25519"
UNSIGNED = "unsigned-demo"
LOSS_AFTER_S = (10.0, 120.0)
"""SIGNALS section 7: 60 s by default, EEBUS LPC has 120 s."""


class Form(StrEnum):
    """A way of saying it that a source may accept."""

    OPENADR = "openadr"
    SIMPLE = "simple"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Files for TLS 1.2 or newer with a certificate of the site."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """The client context.  Raises ConfigError naming the file that cannot be read."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as fault:
            names = ", ".join(str(f) for f in (self.ca, self.certificate, self.key) if f is not None)
            raise ConfigError(f"TLS files {names}: {fault}") from fault
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSourceConfig:
    """One grid operator over one broker, or over its primary and secondary one."""

    name: str
    brokers: tuple[tuple[str, int], ...]
    """Primary first; the next one is tried when one cannot be reached."""
    op: str
    site: str
    issuer: IssuerRule
    rating_w: float
    emergency_w: float
    auth: str = SIGNED
    """`ed25519`, or `unsigned-demo` on loopback brokers only."""
    keys: Keyring | None = None
    """Pinned keys of the issuer; needed with `ed25519`."""
    forms: frozenset[Form] = frozenset({Form.OPENADR})
    programmes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    simple_levels_w: tuple[float, ...] | None = None
    subscription_w: float | None = None
    ramp_up_w_per_s: float | None = None
    tls: TlsFiles | None = None
    username: str | None = None
    password: str | None = None
    controller_id: str = "farmctl"
    site_seed: bytes | None = None
    """Ed25519 seed that signs acks and state; None leaves them unsigned."""
    protocol: Literal["3.1.1", "5", "auto"] = "3.1.1"
    keepalive_s: int = 15
    loss_after_s: float = 60.0
    downlink_root: str = "grid/v1"
    canonical_root: str = "grid/v1"
    """What signatures cover, where a bridge renames the downlink topics."""
    uplink_root: str = "site/v1"

    @property
    def signed(self) -> bool:
        """Whether signatures are demanded."""
        return self.auth == SIGNED

    def offer(self) -> Offer:
        """What the capability says of it."""
        allowed = SUPPORTED if self.issuer.payload_types is None else SUPPORTED & self.issuer.payload_types
        if self.simple_levels_w is None:
            allowed -= {"SIMPLE"}
        spoken = {Form.OPENADR: "openadr3.1", Form.SIMPLE: "simple"}
        return Offer(
            sources=tuple(sorted(spoken[form] for form in self.forms)),
            signed=self.signed,
            payload_types=tuple(sorted(allowed)),
        )

    def rules(self) -> IntakeRules:
        """What the checks need of it."""
        return IntakeRules(
            source=self.name,
            site=self.site,
            issuer=self.issuer,
            signed=self.signed,
            programmes=self.programmes,
            groups=self.groups,
            rating_w=self.rating_w,
            emergency_w=self.emergency_w,
            simple_levels_w=self.simple_levels_w,
            subscription_w=self.subscription_w,
            ramp_up_w_per_s=self.ramp_up_w_per_s,
            pinned=self.keys or Keyring(),
        )


def check(config: MqttSourceConfig) -> None:
    """Raises ConfigError listing every fault, so that nothing is connected with a half-good configuration."""
    faults = [*_name_faults(config), *_trust_faults(config), *_number_faults(config)]
    if faults:
        raise ConfigError(f"grid source {config.name!r}: " + "; ".join(faults))


def is_loopback(host: str) -> bool:
    """Whether a broker address stays on this machine, without asking a resolver."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name_faults(config: MqttSourceConfig) -> list[str]:
    faults = [
        f"{key} is {value!r}, expected 1 to 40 of a-z, 0-9 and -"
        for key, value in (("op", config.op), ("site", config.site))
        if NAME.fullmatch(value) is None
    ]
    if not config.brokers:
        faults.append("brokers is empty, expected at least one (host, port)")
    faults += [f"broker port {port} is not 1 to 65535" for _, port in config.brokers if not 0 < port < 65_536]  # noqa: PLR2004 - TCP
    for key in ("downlink_root", "canonical_root", "uplink_root"):
        if not re.fullmatch(r"[^#+\x00/]+(/[^#+\x00/]+)*", getattr(config, key)):
            faults.append(f"{key} is {getattr(config, key)!r}, expected topic levels without wildcards")
    if not config.forms:
        faults.append("forms is empty, expected openadr or simple")
    if Form.OPENADR in config.forms and not config.programmes:
        faults.append("programmes is empty, expected at least one programID that is ours")
    return faults


def _trust_faults(config: MqttSourceConfig) -> list[str]:
    if config.auth not in (SIGNED, UNSIGNED):
        return [f"auth is {config.auth!r}, expected {SIGNED} or {UNSIGNED}"]
    if config.auth == SIGNED:
        return [] if config.keys is not None and config.keys.keys else [f"auth {SIGNED} needs at least one pinned key"]
    outside = [host for host, _ in config.brokers if not is_loopback(host)]
    if outside:
        return [f"auth {UNSIGNED} is only for brokers on loopback, not for {', '.join(outside)}"]
    return []


def _number_faults(config: MqttSourceConfig) -> list[str]:
    faults = []
    least, most = LOSS_AFTER_S
    if not least <= config.loss_after_s <= most:
        faults.append(f"loss_after_s is {config.loss_after_s}, expected {least:g} to {most:g}")
    if not config.rating_w > 0:
        faults.append(f"rating_w is {config.rating_w}, expected more than 0")
    if not 0 <= config.emergency_w <= config.rating_w:
        faults.append(f"emergency_w is {config.emergency_w}, expected 0 to the rating")
    levels = config.simple_levels_w
    if levels is not None and (len(levels) not in (3, 4) or any(not w >= 0 for w in levels)):
        faults.append("simple_levels_w: expected 3 or 4 powers of at least 0 W, for the levels 0, 1, 2 and 3")
    return faults
