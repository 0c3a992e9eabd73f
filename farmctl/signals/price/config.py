"""Where prices come from and what is made of them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yarl import URL

from farmctl.errors import ConfigError

TLS_PORT, PLAIN_PORT = 8_883, 1_883


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """How any feed names its values: columns of a table, or dotted paths in a document."""

    start: str = "start"
    """Where the time stands at which the value begins to hold: ISO 8601; in a document also s or ms since 1970."""
    end: str | None = None
    """Where its end stands; None: the start of the next, or `step_s`."""
    value: str = "price"
    timezone: str = "UTC"
    """Zone of times that name none."""
    scale: float = 1.0
    """Multiply by this to get currency per kWh, or kW."""
    step_s: float = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFeed(Quoted):
    """A table in a file, with one row per time."""

    path: Path
    read_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFeed(Quoted):
    """A JSON document."""

    url: str
    items: str = ""
    """Path of the list of values; empty: the document is the list."""
    read_s: float = 60.0
    deadline_s: float = 10.0
    bearer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttFeed(Quoted):
    """A topic whose messages are JSON documents; a single value without a start holds from its arrival."""

    url: str
    """`mqtts://broker:8883/topic`; `mqtt://` on loopback only."""
    items: str = ""
    """Path of a list of values; empty: the document is the list, or one value."""
    ca: Path | None = None
    """Authority of the broker's certificate; None: those of the system."""
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password: str | None = None

    @property
    def host(self) -> str:
        """Of the broker."""
        return URL(self.url).host or ""

    @property
    def is_tls(self) -> bool:
        """Nobody reads or writes along the way."""
        return URL(self.url).scheme == "mqtts"

    @property
    def port(self) -> int:
        """Of the broker; 8883, or 1883 in plain text, where the address names none."""
        return URL(self.url).explicit_port or (TLS_PORT if self.is_tls else PLAIN_PORT)

    @property
    def topic(self) -> str:
        """What comes after the broker."""
        return URL(self.url).path.removeprefix("/")


Feed = CsvFeed | HttpFeed | MqttFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeRule:
    """When a price curtails a model, and when it runs again."""

    hash_price: float
    """Earned by one TH/s in a day, in the currency of the price."""
    margin: float = 1.0
    """Strike price as a multiple of the break-even price; below 1 keeps a profit."""
    trip: float = 1.5
    """Second, higher strike as a multiple of the first: above it a model is curtailed at once."""
    windows_above: int = 2
    windows_below: int = 4
    """Five-minute windows above the strike to curtail, and below it to resume."""
    other_load_w: float = 0.0
    """Drawn whatever the miners do: cooling, offices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurplusRule:
    """The value is power that the grid has to spare; the site takes it on top of a baseline."""

    baseline_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceConfig:
    """One market."""

    name: str
    feeds: tuple[Feed, ...]
    """In order of preference, such as real-time before day-ahead: the first that knows the present counts."""
    rule: StrikeRule | SurplusRule
    states: Literal["setpoint", "limit"] = "setpoint"
    """A set-point gives way to the grid's own; a limit binds beside it."""
    priority: int | None = None
    holds_s: float = 900.0
    """A statement holds this long after its window where nothing newer is known; then it is released."""


def check(config: PriceConfig) -> None:
    """Raises ConfigError with every fault."""
    faults = [fault for feed in config.feeds for fault in _feed_faults(feed)]
    if not config.feeds:
        faults.append("feeds: expected at least one")
    match config.rule:
        case StrikeRule() as rule:
            faults += _strike_faults(rule)
        case SurplusRule() as rule:
            faults += [] if rule.baseline_w >= 0 else [f"baseline_w is {rule.baseline_w}, expected at least 0"]
    if not config.holds_s >= 0:
        faults.append(f"holds_s is {config.holds_s}, expected at least 0")
    if faults:
        raise ConfigError(f"price source {config.name!r}: " + "; ".join(faults))


def _feed_faults(feed: Feed) -> list[str]:
    faults = []
    if not feed.step_s > 0:
        faults.append(f"step_s is {feed.step_s}, expected more than 0")
    if not isinstance(feed, MqttFeed) and not feed.read_s > 0:
        faults.append(f"read_s is {feed.read_s}, expected more than 0")
    if isinstance(feed, HttpFeed) and not _is_safe(URL(feed.url)):
        faults.append(f"url is {feed.url}, expected https:// (http:// on loopback only)")
    if isinstance(feed, MqttFeed):
        if not _is_safe(URL(feed.url)):
            faults.append(f"url is {feed.url}, expected mqtts:// (mqtt:// on loopback only)")
        if not feed.topic or set(feed.topic) & set("+#"):
            faults.append(f"url is {feed.url}, expected one topic after the broker, such as mqtts://broker/market/spot")
    return faults


def _strike_faults(rule: StrikeRule) -> list[str]:
    faults = []
    if not (rule.hash_price > 0 and rule.margin > 0 and rule.trip >= 1):
        faults.append("hash_price and margin: expected more than 0; trip: expected at least 1")
    if rule.windows_above < 1 or rule.windows_below < 1:
        faults.append("windows_above and windows_below: expected at least 1")
    return faults


def _is_safe(url: URL) -> bool:
    host = url.host or ""
    if url.scheme in ("https", "mqtts"):
        return True
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return url.scheme in ("http", "mqtt") and local
