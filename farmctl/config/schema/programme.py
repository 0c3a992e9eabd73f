"""[programme]: headquarters; many sites under the one figure that [site] and [[signal]] bring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from farmctl.config.schema.kinds import AtLeastZero, Endpoint, Positive, SiteName, SitePath, Switch, Table, Text
from farmctl.config.schema.signals import KeyTable, Topic


class UnitTable(Table):
    """One site of the programme, reached as its grid operator would reach it."""

    name: SiteName
    """Site id, as in its topics."""
    broker: Endpoint
    """The broker that the site listens to, host:port."""
    op: SiteName
    """Who we are to that site: operator id in its topics, and issuer of its messages."""
    rated_kw: Positive
    """The most that it may ever be told."""
    floor_kw: AtLeastZero = 0.0
    """Contract: not less than this while the figure allows."""
    firm_kw: AtLeastZero | None = None
    """What it may draw while nobody has told it anything; left out: rated_kw."""
    signing_key_file: SitePath | None = None
    """Ed25519 private key (PEM) that signs what it is told, mode 0600, or credential:NAME. Left out: unsigned."""
    user: Text | None = None
    """User at the broker; left out where the certificate says who we are."""
    password_file: SitePath | None = None
    """File with the broker password, mode 0600, or credential:NAME."""
    ca_file: SitePath | None = None
    """Certificate authority of the broker; naming it switches TLS on."""
    cert_file: SitePath | None = None
    """Our certificate (mTLS)."""
    key_file: SitePath | None = None
    """Private key of cert_file, mode 0600, or credential:NAME."""
    down_root: Topic = "grid/v1"
    """First levels of the topics to the site."""
    up_root: Topic = "site/v1"
    """First levels of the topics from the site."""
    canonical_root: Topic | None = None
    """up_root as the site signed it, where a bridge renames topics; left out: up_root."""
    signs_telemetry: Switch = True
    """False: a site of another make that signs acks, reports and state, and its telemetry not."""
    keys: tuple[KeyTable, ...] = ()
    """Public halves of the site's signing_key_file; without one it is believed unsigned, on a loopback broker only."""


class ProgrammeTable(Table):
    """How one figure is split over the sites, and how fast the whole may move."""

    name: Text = "surplus-dispatch"
    """programID of what the sites are told."""
    rule: Literal["cost", "pro_rata", "rotation"] = "cost"
    """Who has the next watt: the site that hashes most with it, all alike, or one after the other by the day."""
    step_kw: Positive
    """The whole programme never moves more than this within step_window_s, up or down; an emergency may fall faster."""
    step_window_s: Positive = 60.0
    """Window of step_kw."""
    spread_s: AtLeastZero = 300.0
    """After a release each site waits between nothing and this before it is raised."""
    holds_s: Annotated[int, Field(strict=True, ge=60, le=86_400)] = 900
    """Validity of a share; a site that hears nothing more falls to its own fail-safe level."""
    stale_s: Annotated[float, Field(strict=True, ge=5, le=600)] = 30.0
    """Telemetry older than this fixes a site at its worst power."""
    ahead_s: Positive = 10.0
    """Ramps are granted this far ahead: about the time until a site has confirmed."""
    site: tuple[UnitTable, ...] = Field(min_length=1)
    """The sites."""

    @model_validator(mode="after")
    def _names_differ(self) -> ProgrammeTable:
        names = [unit.name for unit in self.site]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"site: expected each name once, got {', '.join(twice)} again")
        return self
