"""From [[signal]] tables to sources that listen and answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import assert_never

from farmctl.config.credentials import read_secret
from farmctl.config.schema import CompatTable, FarmConfig, KeyTable, MqttTable
from farmctl.config.schema.signals import AnySignal, IssuerTable
from farmctl.config.schema.sources import OpenAdr2Table, OpenAdr3Table, PriceTable, ScheduleTable
from farmctl.core.events import TERMINAL
from farmctl.core.grid import EventClass, OptOut, OptReason
from farmctl.core.memory import Memory
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.engine.onlooker import Onlooker
from farmctl.ports.grid import GridEnd, Inbox, Receipt
from farmctl.ports.site import Clock
from farmctl.signals._intake.keys import FOREVER_MS, IssuerKey, Keyring
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals.keyfiles import seed_in
from farmctl.signals.mqtt import CompatConfig, CompatSource, MqttSource
from farmctl.signals.mqtt.config import Form, MqttSourceConfig, TlsFiles
from farmctl.wiring.fleet import Fleet
from farmctl.wiring.sources import model_groups, openadr2_source, openadr3_source, price_source, schedule_source


def signal_sources(config: FarmConfig, clock: Clock, fleet: Fleet) -> tuple[GridEnd, ...]:
    """Every source of the configuration; with outside control off no outsider reaches the core."""
    made = [(table, _source(config, table, clock, fleet)) for table in config.signal]
    own = tuple(source for table, source in made if isinstance(table, PriceTable | ScheduleTable))
    return (*guarded(config, clock, tuple(source for _, source in made if source not in own)), *own)


def guarded(config: FarmConfig, clock: Clock, sources: tuple[GridEnd, ...]) -> tuple[GridEnd, ...]:
    """The sources as they are, or behind the one switch that keeps outsiders out."""
    if config.control.outside_control:
        return sources
    return tuple(Onlooker(source, clock) for source in sources)


def rivals_of(sources: Sequence[GridEnd]) -> Callable[[], Sequence[tuple[str, str]]]:
    """What each MQTT source has heard of another controller of this site."""
    heard = [source for source in sources if isinstance(source, MqttSource)]
    return lambda: [(source.name, source.rival) for source in heard]


async def decline(config: FarmConfig, memory: Memory, inbox: Inbox) -> None:
    """With outside control off: what outsiders had ordered before the switch was turned holds no more; they are told.

    A latched EMERGENCY stays until its release.
    """
    if config.control.outside_control:
        return
    own = {table.name for table in config.signal if isinstance(table, PriceTable | ScheduleTable)}
    for event in (track.event for track in memory.tracks if track.state not in TERMINAL):
        if event.source in own or event.event_class is EventClass.EMERGENCY:
            continue
        message = OptOut(source=event.source, event_id=event.event_id, why=OptReason.NOT_PARTICIPATING)
        await inbox.accept(Receipt(source=event.source, topic="configuration", message=message, raw=b"", states={}))


def compat_config(config: FarmConfig, table: CompatTable) -> CompatConfig:
    """An on/off table in the words of the source."""
    off_kw = table.off_kw if table.off_kw is not None else config.site.safe_min_kw
    return CompatConfig(
        name=table.name,
        brokers=tuple(_host_port(broker) for broker in table.brokers),
        topic=table.topic,
        off_w=off_kw * WATTS_PER_KW,
        tls=_tls(table),
        username=table.user,
        password=read_secret(table.password_file) if table.password_file else None,
        keepalive_s=table.keepalive_s,
    )


def source_config(config: FarmConfig, table: MqttTable) -> MqttSourceConfig:
    """One table in the words of the source."""
    site = config.site
    issuer = _issuer_of(table)
    emergency_kw = table.emergency_kw if table.emergency_kw is not None else site.safe_min_kw
    levels = table.simple_levels_kw
    return MqttSourceConfig(
        name=table.name,
        brokers=tuple(_host_port(broker) for broker in table.brokers),
        op=table.op,
        site=site.name,
        issuer=_rule(table, issuer),
        rating_w=site.rated_kw * WATTS_PER_KW,
        emergency_w=emergency_kw * WATTS_PER_KW,
        auth=table.auth,
        keys=None if issuer is None else keyring_of(issuer.keys, issuer.root_key),
        forms=frozenset(Form(form) for form in table.forms),
        programmes=frozenset(table.programmes),
        groups=frozenset(table.groups),
        simple_levels_w=tuple(kw * WATTS_PER_KW for kw in levels) if levels else None,
        subscription_w=None if site.standing_kw is None else site.standing_kw * WATTS_PER_KW,
        ramp_up_w_per_s=config.control.ramp_up_fraction_per_min * site.rated_kw * WATTS_PER_KW / 60.0,
        tls=_tls(table),
        username=table.user,
        password=read_secret(table.password_file) if table.password_file else None,
        controller_id=table.client_id or f"farmctl-{site.name}",
        site_seed=None if table.signing_key_file is None else seed_in(table.signing_key_file),
        protocol=table.protocol,
        keepalive_s=table.keepalive_s,
        loss_after_s=table.heartbeat_lost_s,
        downlink_root=table.down_root,
        canonical_root=table.canonical_root or table.down_root,
        uplink_root=table.up_root,
    )


def _source(config: FarmConfig, table: AnySignal, clock: Clock, fleet: Fleet) -> GridEnd:
    match table:
        case MqttTable():
            return MqttSource(source_config(config, table), clock)
        case CompatTable():
            return CompatSource(compat_config(config, table), clock)
        case OpenAdr3Table():
            return openadr3_source(config, table, clock)
        case OpenAdr2Table():
            return openadr2_source(config, table, clock)
        case PriceTable():
            return price_source(table, clock, lambda: model_groups(fleet))
        case ScheduleTable():
            return schedule_source(config, table, clock)
        case _ as never:
            assert_never(never)


def _tls(table: MqttTable | CompatTable) -> TlsFiles | None:
    if table.ca_file is None:
        return None
    return TlsFiles(ca=table.ca_file, certificate=table.cert_file, key=table.key_file)


def _issuer_of(table: MqttTable) -> IssuerTable | None:
    named = [issuer for issuer in table.issuers if issuer.name == (table.simple_issuer or issuer.name)]
    return named[0] if named else None


def _rule(table: MqttTable, issuer: IssuerTable | None) -> IssuerRule:
    if issuer is None:
        return IssuerRule(name=table.op)
    return IssuerRule(
        name=issuer.name,
        classes=frozenset(EventClass(name) for name in issuer.classes),
        payload_types=frozenset(issuer.payload_types) if issuer.payload_types else None,
        min_w=issuer.min_kw * WATTS_PER_KW,
        max_w=None if issuer.max_kw is None else issuer.max_kw * WATTS_PER_KW,
        max_step_w=None if issuer.max_step_kw is None else issuer.max_step_kw * WATTS_PER_KW,
        default_kid=issuer.keys[0].kid if issuer.keys else "",
    )


def keyring_of(keys: Sequence[KeyTable], root_key: str | None = None) -> Keyring | None:
    """Pinned public keys; None where there are none."""
    if not keys:
        return None
    pinned = {
        key.kid: IssuerKey(
            public=base64.b64decode(key.public_key),
            not_before_ms=int(key.valid_from.timestamp() * MS_PER_S) if key.valid_from else 0,
            not_after_ms=int(key.valid_until.timestamp() * MS_PER_S) if key.valid_until else FOREVER_MS,
        )
        for key in keys
    }
    return Keyring(keys=pinned, root=b"" if root_key is None else base64.b64decode(root_key))


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
