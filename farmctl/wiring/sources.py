"""From [[signal]] tables of OpenADR, prices and schedules to their sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from farmctl.config.credentials import read_secret
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.sources import FeedTable, OpenAdr2Table, OpenAdr3Table, PriceTable, ScheduleTable
from farmctl.core.grid import EventClass
from farmctl.core.units import HASHES_PER_TERAHASH, WATTS_PER_KW
from farmctl.errors import ConfigError
from farmctl.ports.site import Clock
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals.openadr2 import OpenAdr2Config, OpenAdr2Source
from farmctl.signals.openadr2.config import Certificates as Certificates2
from farmctl.signals.openadr3 import OpenAdr3Config, OpenAdr3Source
from farmctl.signals.openadr3.config import Certificates, Login
from farmctl.signals.price import (
    CsvFeed,
    HttpFeed,
    ModelGroup,
    MqttFeed,
    PriceConfig,
    PriceSource,
    StrikeRule,
    SurplusRule,
)
from farmctl.signals.price.config import Feed
from farmctl.signals.schedule import ScheduleConfig, ScheduleSource
from farmctl.wiring.fleet import Fleet

SECONDS_PER_MINUTE = 60.0


def openadr3_source(config: FarmConfig, table: OpenAdr3Table, clock: Clock) -> OpenAdr3Source:
    """The VEN of OpenADR 3.1.  Raises ConfigError."""
    login = None
    if table.client_id is not None and table.client_secret_file is not None:
        login = Login(
            client_id=table.client_id,
            client_secret=read_secret(table.client_secret_file),
            token_url=table.token_url,
            scope=table.scope,
        )
    certificates = None
    if table.ca_file is not None or table.cert_file is not None:
        certificates = Certificates(ca=table.ca_file, certificate=table.cert_file, key=table.key_file)
    made = OpenAdr3Config(
        name=table.name,
        url=table.url,
        site=config.site.name,
        ven_name=table.ven_name,
        issuer=_rule(table),
        rating_w=config.site.rated_kw * WATTS_PER_KW,
        emergency_w=_emergency_w(config, table),
        login=login,
        certificates=certificates,
        programmes=frozenset(table.programmes),
        groups=frozenset(table.groups),
        simple_levels_w=_levels_w(table),
        subscription_w=None if config.site.standing_kw is None else config.site.standing_kw * WATTS_PER_KW,
        ramp_up_w_per_s=_ramp_up_w_per_s(config),
        poll_s=table.poll_s,
        deadline_s=table.deadline_s,
        loss_after_s=table.heartbeat_lost_s,
        notifications=table.notifications,
        register=table.enrol,
        resource=table.resource or "",
    )
    return OpenAdr3Source(made, clock)


def openadr2_source(config: FarmConfig, table: OpenAdr2Table, clock: Clock) -> OpenAdr2Source:
    """The VEN of OpenADR 2.0b.  Raises ConfigError."""
    certificates = None
    if table.ca_file is not None and table.cert_file is not None and table.key_file is not None:
        certificates = Certificates2(ca=table.ca_file, certificate=table.cert_file, key=table.key_file)
    elif table.cert_file is not None:
        raise ConfigError(f"signal {table.name!r}: expected ca_file, cert_file and key_file together")
    made = OpenAdr2Config(
        name=table.name,
        url=table.url,
        site=config.site.name,
        ven_name=table.ven_name,
        ven_id=table.ven_id,
        issuer=_rule(table),
        rating_w=config.site.rated_kw * WATTS_PER_KW,
        emergency_w=_emergency_w(config, table),
        certificates=certificates,
        vtn_fingerprint=table.vtn_fingerprint,
        market_contexts=frozenset(table.market_contexts),
        simple_levels_w=_levels_w(table),
        ramp_up_w_per_s=_ramp_up_w_per_s(config),
        poll_s=table.poll_s,
        deadline_s=table.deadline_s,
        loss_after_s=table.heartbeat_lost_s,
    )
    return OpenAdr2Source(made, clock)


def price_source(table: PriceTable, clock: Clock, groups: Callable[[], Sequence[ModelGroup]]) -> PriceSource:
    """The market.  Raises ConfigError where what its measure needs is missing."""
    rule: StrikeRule | SurplusRule
    if table.measures == "surplus":
        if table.baseline_kw is None:
            raise ConfigError(f'signal {table.name!r}: expected baseline_kw with measures = "surplus"')
        rule = SurplusRule(baseline_w=table.baseline_kw * WATTS_PER_KW)
    else:
        if table.hash_price is None:
            raise ConfigError(f'signal {table.name!r}: expected hash_price with measures = "price"')
        rule = StrikeRule(
            hash_price=table.hash_price,
            margin=table.margin,
            trip=table.trip,
            windows_above=table.windows_above,
            windows_below=table.windows_below,
            other_load_w=table.other_load_kw * WATTS_PER_KW,
        )
    made = PriceConfig(
        name=table.name,
        feeds=tuple(_feed(table, feed) for feed in table.feeds),
        rule=rule,
        states=table.states,
        priority=table.priority,
        holds_s=table.holds_s,
    )
    return PriceSource(made, clock, groups)


def schedule_source(config: FarmConfig, table: ScheduleTable, clock: Clock) -> ScheduleSource:
    """The schedule file."""
    rating_w = config.site.rated_kw * WATTS_PER_KW
    return ScheduleSource(
        ScheduleConfig(name=table.name, path=table.file, rating_w=rating_w, timezone=table.timezone), clock
    )


def model_groups(fleet: Fleet) -> tuple[ModelGroup, ...]:
    """The fleet by model and firmware at its highest operating points, as it is known now.

    Miners without a ladder or a hash rate have no efficiency and belong to no group.
    """
    table, book = fleet.keeper.table, fleet.keeper.book
    known = table.ladder >= 0
    top = book.steps[table.ladder[known]] - 1
    power_w = book.power_w[table.ladder[known], top] * table.power_scale[known]
    hash_rate_hs = book.hash_rate_hs[table.ladder[known], top]
    group = table.group[known]
    found = []
    for code, name in enumerate(fleet.groups):
        rows = group == code
        group_w, group_hs = float(np.sum(power_w[rows])), float(np.sum(hash_rate_hs[rows]))
        if group_w > 0 and group_hs > 0:
            found.append(ModelGroup(name=name, j_per_th=group_w / (group_hs / HASHES_PER_TERAHASH), power_w=group_w))
    return tuple(found)


def _feed(table: PriceTable, feed: FeedTable) -> Feed:
    if (feed.file is None) == (feed.url is None):
        raise ConfigError(f"signal {table.name!r}: feeds: expected either file or url")
    if feed.file is not None:
        return CsvFeed(
            path=feed.file,
            start=feed.start,
            end=feed.end,
            value=feed.value,
            timezone=feed.timezone,
            scale=feed.scale,
            step_s=feed.step_s,
            read_s=feed.read_s,
        )
    if feed.url is not None and feed.url.startswith("mqtt"):
        return MqttFeed(
            url=feed.url,
            items=feed.items,
            start=feed.start,
            end=feed.end,
            value=feed.value,
            timezone=feed.timezone,
            scale=feed.scale,
            step_s=feed.step_s,
            ca=feed.ca_file,
            cert=feed.cert_file,
            key=feed.key_file,
            user=feed.user,
            password=read_secret(feed.password_file) if feed.password_file else None,
        )
    return HttpFeed(
        url=feed.url or "",
        items=feed.items,
        start=feed.start,
        end=feed.end,
        value=feed.value,
        timezone=feed.timezone,
        scale=feed.scale,
        step_s=feed.step_s,
        read_s=feed.read_s,
        bearer=read_secret(feed.token_file) if feed.token_file else None,
    )


def _rule(table: OpenAdr3Table | OpenAdr2Table) -> IssuerRule:
    return IssuerRule(
        name=table.name,
        classes=frozenset(EventClass(name) for name in table.classes),
        payload_types=frozenset(table.payload_types) if table.payload_types else None,
        max_w=None if table.max_kw is None else table.max_kw * WATTS_PER_KW,
    )


def _emergency_w(config: FarmConfig, table: OpenAdr3Table | OpenAdr2Table) -> float:
    stated_kw = table.emergency_kw if table.emergency_kw is not None else config.site.safe_min_kw
    return stated_kw * WATTS_PER_KW


def _levels_w(table: OpenAdr3Table | OpenAdr2Table) -> tuple[float, ...] | None:
    levels = table.simple_levels_kw
    return tuple(kw * WATTS_PER_KW for kw in levels) if levels else None


def _ramp_up_w_per_s(config: FarmConfig) -> float:
    return config.control.ramp_up_fraction_per_min * config.site.rated_kw * WATTS_PER_KW / SECONDS_PER_MINUTE
