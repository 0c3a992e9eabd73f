"""[[signal]]: where the grid's wishes come from, who may send them, and what they may ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from farmctl.config.schema.kinds import AtLeastZero, Endpoint, Label, Positive, SiteName, SitePath, Table, Text
from farmctl.config.schema.publickey import check_ed25519
from farmctl.config.schema.sources import OpenAdr2Table, OpenAdr3Table, PriceTable, ScheduleTable

ClassName = Literal["EMERGENCY", "LIMIT", "TARGET", "ECONOMIC", "TEST"]
EVERY_CLASS: tuple[ClassName, ...] = ("EMERGENCY", "LIMIT", "TARGET", "ECONOMIC", "TEST")
Topic = Annotated[str, Field(pattern=r"^[^#+\s/]+(/[^#+\s/]+)*$", max_length=200)]
Seconds10To120 = Annotated[float, Field(strict=True, ge=10, le=120)]


class KeyTable(Table):
    """One public key of an issuer, or of a site of a programme; two may be valid during a rotation."""

    kid: Label
    """Key id as it stands in signed messages; those of a site name none."""
    public_key: Annotated[str, AfterValidator(check_ed25519)]
    """Ed25519 public key, 32 bytes in base64; it is no secret."""
    valid_from: AwareDatetime | None = None
    """Not valid before this time (with a zone); left out: always was."""
    valid_until: AwareDatetime | None = None
    """Not valid from this time on; left out: until it is revoked."""

    def valid_at(self, now: datetime) -> bool:
        """True while the key may sign."""
        started = self.valid_from is None or self.valid_from <= now
        return started and (self.valid_until is None or now < self.valid_until)


class IssuerTable(Table):
    """One party that may send signals, and what it may ask for; more is refused with code 252."""

    name: Label
    """Issuer as it stands in signed messages."""
    classes: tuple[ClassName, ...] = EVERY_CLASS
    """Event classes it may send."""
    payload_types: tuple[Text, ...] = ()
    """Payload types it may send; empty: every supported one."""
    min_kw: AtLeastZero = 0.0
    """Lowest power it may ask for."""
    max_kw: AtLeastZero | None = None
    """Highest power it may state; left out: the site's rated power."""
    max_step_kw: Positive | None = None
    """Largest change of a set-point from one to the next; an EMERGENCY is not bound by it. Left out: any."""
    keys: tuple[KeyTable, ...] = ()
    """Its public keys."""
    root_key: Annotated[str, AfterValidator(check_ed25519)] | None = None
    """Offline Ed25519 key that may announce new keys and revoke old ones, base64."""


class MqttTable(Table):
    """The signed MQTT contract: events, snapshots and heartbeats in, acks and telemetry out."""

    name: Label
    """Name of this source in the journal, the metrics and the TUI."""
    kind: Literal["mqtt"]
    """How it arrives; mqtt is the contract of this program over any MQTT 3.1.1 broker."""
    brokers: tuple[Endpoint, ...] = Field(min_length=1)
    """Brokers as host:port, tried in this order."""
    op: SiteName
    """Operator id in the topics grid/v1/{op}/{site}/..."""
    forms: tuple[Literal["openadr", "simple"], ...] = Field(default=("openadr",), min_length=1)
    """Message forms that are listened to: openadr (signed OpenADR 3.1 events with snapshots), simple (small sites)."""
    programmes: tuple[Text, ...] = ()
    """programID values that are ours; another is refused with code 252. The openadr form needs at least one."""
    groups: tuple[Text, ...] = ()
    """Names besides the site's own by which events may target it."""
    auth: Literal["ed25519", "unsigned-demo"] = "ed25519"
    """How messages are trusted; unsigned-demo is refused unless every broker is on the loopback interface."""
    issuers: tuple[IssuerTable, ...] = ()
    """Who may send; ed25519 needs at least one with a key."""
    simple_issuer: Label | None = None
    """Issuer of simple messages, which name none; left out: the first."""
    protocol: Literal["3.1.1", "5", "auto"] = "3.1.1"
    """MQTT version spoken to the broker; auto: 5, and 3.1.1 to a broker that refuses it."""
    client_id: Label | None = None
    """MQTT client id; left out: farmctl- and the site's name."""
    keepalive_s: Annotated[int, Field(strict=True, ge=5, le=300)] = 20
    """MQTT keep-alive."""
    down_root: Topic = "grid/v1"
    """First levels of the topics to the site."""
    up_root: Topic = "site/v1"
    """First levels of the topics from the site."""
    canonical_root: Topic | None = None
    """down_root as the issuer signed it, where a bridge renames topics; left out: down_root."""
    user: Text | None = None
    """User at the broker; left out where the certificate says who we are."""
    password_file: SitePath | None = None
    """File with the broker password, mode 0600, or credential:NAME."""
    ca_file: SitePath | None = None
    """Certificate authority of the brokers; naming it switches TLS on."""
    cert_file: SitePath | None = None
    """This site's certificate (mTLS)."""
    key_file: SitePath | None = None
    """Private key of cert_file, mode 0600, or credential:NAME."""
    signing_key_file: SitePath | None = None
    """Ed25519 private key (PEM) that signs acks and reports, mode 0600, or credential:NAME."""
    heartbeat_lost_s: Seconds10To120 = 60.0
    """Silence after which the link counts as lost and the fail-safe ladder begins."""
    heartbeat_alarm_s: Seconds10To120 = 30.0
    """Silence after which an alarm is raised."""
    on_loss: Literal["failsafe", "schedule"] = "failsafe"
    """failsafe: the firm level; schedule: first follow a received, still valid schedule, by written agreement only."""
    release_jitter_s: Annotated[float, Field(strict=True, ge=0, le=1800)] = 120.0
    """A release starts at a random moment within this time, so that sites do not rise together."""
    simple_levels_kw: tuple[AtLeastZero, AtLeastZero, AtLeastZero, AtLeastZero] | None = None
    """Limits for SIMPLE levels 0, 1, 2, 3; left out: SIMPLE is refused with code 251."""
    emergency_kw: AtLeastZero | None = None
    """Limit for ALERT_GRID_EMERGENCY and ALERT_BLACK_START; left out: the safe minimum."""
    telemetry_period_s: Annotated[float, Field(strict=True, ge=1, le=60)] = 2.0
    """Seconds between two telemetry messages to the grid."""


class CompatTable(Table):
    """On/off messages `{"target": 0 or 100, "timestamp": unix}` over MQTT; unsigned, so they only lower the load."""

    name: Label
    """Name of this source in the journal, the metrics and the TUI."""
    kind: Literal["compat"]
    """How it arrives; compat is the on/off form of other fleet software."""
    brokers: tuple[Endpoint, ...] = Field(min_length=1)
    """Brokers as host:port, all listened to at once; the newest timestamp wins. Loopback, or cert_file must be set."""
    topic: Topic
    """Topic of the on/off messages."""
    off_kw: AtLeastZero | None = None
    """Limit while off; left out: the safe minimum of the site."""
    keepalive_s: Annotated[int, Field(strict=True, ge=5, le=300)] = 20
    """MQTT keep-alive."""
    user: Text | None = None
    """User at the broker; left out where the certificate says who we are."""
    password_file: SitePath | None = None
    """File with the broker password, mode 0600, or credential:NAME."""
    ca_file: SitePath | None = None
    """Certificate authority of the brokers; naming it switches TLS on."""
    cert_file: SitePath | None = None
    """This site's certificate (mTLS)."""
    key_file: SitePath | None = None
    """Private key of cert_file, mode 0600, or credential:NAME."""

    @property
    def auth(self) -> Literal["unsigned"]:
        """Nobody signs this form."""
        return "unsigned"

    @property
    def issuers(self) -> tuple[IssuerTable, ...]:
        """Nobody is named in this form."""
        return ()

    @property
    def heartbeat_lost_s(self) -> float:
        """Three periods of its publisher."""
        return 90.0


AnySignal = MqttTable | CompatTable | OpenAdr3Table | OpenAdr2Table | PriceTable | ScheduleTable
SIGNAL_KINDS: dict[str, type[AnySignal]] = {
    "mqtt": MqttTable,
    "compat": CompatTable,
    "openadr3": OpenAdr3Table,
    "openadr2": OpenAdr2Table,
    "price": PriceTable,
    "schedule": ScheduleTable,
}
"""The table of each `kind`."""

SignalTable = Annotated[AnySignal, Field(discriminator="kind")]
