"""[[signal]] tables of the sources beside MQTT: OpenADR 3.1 and 2.0b, market prices, a schedule file."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from farmctl.config.schema.kinds import AtLeastZero, Count, Label, Number, Positive, SitePath, Switch, Table, Text

Class = Literal["EMERGENCY", "LIMIT", "TARGET", "ECONOMIC", "TEST"]
EVERY: tuple[Class, ...] = ("EMERGENCY", "LIMIT", "TARGET", "ECONOMIC", "TEST")
Levels = tuple[AtLeastZero, AtLeastZero, AtLeastZero, AtLeastZero]
Seconds = Annotated[float, Field(strict=True, ge=1, le=3600)]
Loss = Annotated[float, Field(strict=True, ge=10, le=600)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
FeedUrl = Annotated[str, Field(pattern=r"^(https?|mqtts?)://[^\s]+$", max_length=500)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected the name of a time zone, such as Asia/Karachi") from error
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class OpenAdr3Table(Table):
    """An OpenADR 3.1 VTN: events by polling, acks and measurements as reports."""

    name: Label
    """Name of this source in the journal, the metrics and the TUI."""
    kind: Literal["openadr3"]
    """How it arrives; openadr3 is a VTN of OpenADR 3.1."""
    url: Url
    """Base address of the VTN, to which /events is added; https, or http on loopback."""
    ven_name: Text
    """Our venName at the VTN."""
    client_id: Text | None = None
    """OAuth2 client id; left out where the certificate says who we are."""
    client_secret_file: SitePath | None = None
    """File with the OAuth2 client secret, mode 0600, or credential:NAME."""
    token_url: Url | None = None
    """Where tokens are had; left out: as the VTN says at /auth/server, else its /auth/token."""
    scope: Text | None = None
    """OAuth2 scope to ask for; left out: the default of the VTN."""
    ca_file: SitePath | None = None
    """Certificate authority of the VTN; left out: those of the system."""
    cert_file: SitePath | None = None
    """This site's certificate (mTLS)."""
    key_file: SitePath | None = None
    """Private key of cert_file, mode 0600, or credential:NAME."""
    programmes: tuple[Text, ...] = ()
    """Names or ids of programmes that are ours; empty: every one that the VTN shows us."""
    groups: tuple[Text, ...] = ()
    """Targets besides the site and the VEN by which events may address us."""
    classes: tuple[Class, ...] = EVERY
    """Event classes that this VTN may send."""
    payload_types: tuple[Text, ...] = ()
    """Payload types that it may send; empty: every supported one."""
    max_kw: AtLeastZero | None = None
    """Highest power that it may state; left out: any."""
    simple_levels_kw: Levels | None = None
    """Limits for SIMPLE levels 0, 1, 2, 3; left out: SIMPLE is refused with code 251."""
    emergency_kw: AtLeastZero | None = None
    """Limit for ALERT_GRID_EMERGENCY and ALERT_BLACK_START; left out: the safe minimum."""
    poll_s: Seconds = 10.0
    """Seconds between two readings of the events."""
    deadline_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 8.0
    """Longest wait for one answer."""
    heartbeat_lost_s: Loss = 60.0
    """Without a good poll for this long the link counts as lost and the fail-safe ladder begins."""
    notifications: Switch = True
    """Listen to the VTN's MQTT notifier where it offers one; polling goes on."""
    enrol: Switch = True
    """Make our VEN object at the VTN where it has none."""
    resource: Text | None = None
    """resourceName in our reports; left out: the site's name."""


class OpenAdr2Table(Table):
    """An OpenADR 2.0b VTN, pulled over HTTP; needs the extra openadr2."""

    name: Label
    """Name of this source in the journal, the metrics and the TUI."""
    kind: Literal["openadr2"]
    """How it arrives; openadr2 is a VTN of OpenADR 2.0b."""
    url: Url
    """Address to which /EiEvent is added, such as https://vtn.example/OpenADR2/Simple/2.0b."""
    ven_name: Text
    """Our venName at the VTN."""
    ven_id: Text | None = None
    """Our venID; left out: the VTN tells it at registration."""
    ca_file: SitePath | None = None
    """Certificate authority of the VTN; needed with cert_file."""
    cert_file: SitePath | None = None
    """This site's certificate, which also signs each message; needed beyond loopback."""
    key_file: SitePath | None = None
    """Private key of cert_file, mode 0600, or credential:NAME."""
    vtn_fingerprint: Text | None = None
    """Fingerprint of the certificate that must sign the VTN's messages; left out: TLS alone is trusted."""
    market_contexts: tuple[Text, ...] = ()
    """Market contexts that are ours; empty: every one that the VTN sends."""
    classes: tuple[Class, ...] = EVERY
    """Event classes that this VTN may send."""
    payload_types: tuple[Text, ...] = ()
    """Payload types, in the words of 3.1, that it may send; empty: every supported one."""
    max_kw: AtLeastZero | None = None
    """Highest power that it may state; left out: any."""
    simple_levels_kw: Levels | None = None
    """Limits for SIMPLE levels 0, 1, 2, 3; left out: SIMPLE is answered with optOut."""
    emergency_kw: AtLeastZero | None = None
    """Limit for SIMPLE level 3; left out: the safe minimum."""
    poll_s: Seconds | None = None
    """Seconds between two polls; left out: as the VTN asks at registration."""
    deadline_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 10.0
    """Longest wait for one answer."""
    heartbeat_lost_s: Loss = 60.0
    """Without a good poll for this long the link counts as lost and the fail-safe ladder begins."""


class FeedTable(Table):
    """One feed of a market: a CSV file, a JSON document, or an MQTT topic with JSON messages."""

    file: SitePath | None = None
    """CSV file with a header; either this or url."""
    url: FeedUrl | None = None
    """A JSON document (https) or a topic (mqtts://broker/topic); http and mqtt on loopback only."""
    items: str = ""
    """Dotted path of the list of values in the document; empty: the document is the list (or one value, over MQTT)."""
    start: Text = "start"
    """Column or path of the time at which a value begins to hold: ISO 8601, or seconds or milliseconds since 1970."""
    end: Text | None = None
    """Column or path of its end; left out: the next start, at most step_s."""
    value: Text = "price"
    """Column or path of the value."""
    timezone: Zone = "UTC"
    """Zone of times that name none."""
    scale: Number = 1.0
    """Multiply by this to get currency per kWh (0.001 from MWh), or kW for a surplus."""
    step_s: Positive = 3_600.0
    """How long a value holds at most where it has no end."""
    read_s: Seconds = 60.0
    """Seconds between two readings."""
    token_file: SitePath | None = None
    """File with a bearer token for https, mode 0600, or credential:NAME."""
    user: Text | None = None
    """User at the broker of an mqtts url."""
    password_file: SitePath | None = None
    """File with that user's password, mode 0600, or credential:NAME."""
    ca_file: SitePath | None = None
    """Certificate authority of that broker; left out: those of the system."""
    cert_file: SitePath | None = None
    """This site's certificate at that broker (mTLS)."""
    key_file: SitePath | None = None
    """Private key of cert_file, mode 0600, or credential:NAME."""


class PriceTable(Table):
    """A market: models that do not earn their power are curtailed, or a surplus is taken on."""

    name: Label
    """Name of this source in the journal, the metrics and the TUI."""
    kind: Literal["price"]
    """How it arrives; price is a feed of prices or of surplus power."""
    measures: Literal["price", "surplus"] = "price"
    """What the value is: a price per kWh, or kW to take on top of baseline_kw."""
    feeds: tuple[FeedTable, ...] = Field(min_length=1)
    """Feeds in order of preference; the first that knows the present counts."""
    hash_price: Positive | None = None
    """Earned by one TH/s in a day, in the currency of the price; needed with measures = "price"."""
    margin: Positive = 1.0
    """Strike price as a multiple of the break-even price of a model; below 1 keeps a profit."""
    trip: Annotated[float, Field(strict=True, ge=1)] = 1.5
    """Second strike as a multiple of the first: above it a model is curtailed at once."""
    windows_above: Count = 2
    """Five-minute windows above the strike before a model is curtailed."""
    windows_below: Count = 4
    """Five-minute windows below it before the model runs again."""
    other_load_kw: AtLeastZero = 0.0
    """Drawn whatever the miners do: cooling, offices."""
    baseline_kw: AtLeastZero | None = None
    """Power to which a surplus is added; needed with measures = "surplus"."""
    states: Literal["setpoint", "limit"] = "setpoint"
    """setpoint gives way to the grid's own set-points; limit binds beside them."""
    priority: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Priority of the set-point, 0 is the highest; left out: the lowest."""
    holds_s: AtLeastZero = 900.0
    """A statement holds this long after its window where nothing newer is known; then it is released."""


class ScheduleTable(Table):
    """A schedule in a TOML or JSON file, read again whenever it changes; see configs/schedules."""

    name: Label
    """Name of this source in the journal, the metrics and the TUI."""
    kind: Literal["schedule"]
    """How it arrives; schedule is a file of standing limits and targets."""
    file: SitePath
    """The file; JSON by its ending, else TOML. It may not exist yet."""
    timezone: Zone = "UTC"
    """Zone of times that name none, where the file names none either."""
