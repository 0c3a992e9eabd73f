"""Signal sources: who is trusted, over which brokers, and with which levels."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import assert_never

from farmctl.config.checks.names import repeated, unknown_name
from farmctl.config.checks.sources import openadr_faults, price_faults
from farmctl.config.fault import Fault, KeyPath
from farmctl.config.parts import Parts
from farmctl.config.schema import CompatTable, KeyTable, MqttTable
from farmctl.config.schema.kinds import split_endpoint
from farmctl.config.schema.sources import OpenAdr2Table, OpenAdr3Table, PriceTable, ScheduleTable


def signal_faults(parts: Parts) -> Iterator[Fault]:
    """Faults of every signal source."""
    yield from repeated(parts, ("signal",), parts.names("signal"))
    for number, signal in parts.signals.items():
        match signal:
            case MqttTable():
                yield from _login(parts, number, signal)
                yield from _trust(parts, number, signal)
                yield from _levels(parts, number, signal)
                yield from _issuers(parts, number, signal)
                yield from _times(parts, number, signal)
            case CompatTable():
                yield from _login(parts, number, signal)
                yield from _compat(parts, number, signal)
            case OpenAdr3Table() | OpenAdr2Table():
                yield from openadr_faults(parts, number, signal)
            case PriceTable():
                yield from price_faults(parts, number, signal)
            case ScheduleTable():
                pass
            case _ as never:
                assert_never(never)


def is_loopback(broker: str) -> bool:
    """True where `host:port` never leaves this machine, whatever the name server says."""
    host, _ = split_endpoint(broker)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trust(parts: Parts, number: int, signal: MqttTable) -> Iterator[Fault]:
    fault = parts.document.fault
    if signal.auth == "unsigned-demo":
        for place, broker in enumerate(signal.brokers):
            if not is_loopback(broker):
                text = f'expected a loopback address with auth = "unsigned-demo", got "{broker}"'
                yield fault(("signal", number, "brokers", place), text)
    elif not any(issuer.keys for issuer in signal.issuers):
        yield fault(("signal", number, "issuers"), 'expected an issuer with a key: auth is "ed25519"')
    elif signal.signing_key_file is None:
        text = 'missing; the grid must be able to prove our acks: auth is "ed25519" (farmctl keys new makes one)'
        yield fault(("signal", number, "signing_key_file"), text)
    if "openadr" in signal.forms and not signal.programmes:
        yield fault(("signal", number, "programmes"), "expected at least one programID for the openadr form")


def _compat(parts: Parts, number: int, signal: CompatTable) -> Iterator[Fault]:
    """Unsigned messages come over loopback or mutual TLS only."""
    fault = parts.document.fault
    for place, broker in enumerate(signal.brokers):
        if signal.cert_file is None and not is_loopback(broker):
            text = f'expected a loopback address, or cert_file: the messages are unsigned, got "{broker}"'
            yield fault(("signal", number, "brokers", place), text)
    rated_kw = float("inf") if parts.site is None else parts.site.rated_kw
    if signal.off_kw is not None and signal.off_kw > rated_kw:
        yield fault(("signal", number, "off_kw"), f"expected at most site.rated_kw = {rated_kw:g}")


def _login(parts: Parts, number: int, signal: MqttTable | CompatTable) -> Iterator[Fault]:
    fault = parts.document.fault
    pairs = (
        ("password_file", signal.password_file, "user", signal.user),
        ("cert_file", signal.cert_file, "key_file", signal.key_file),
        ("key_file", signal.key_file, "cert_file", signal.cert_file),
        ("cert_file", signal.cert_file, "ca_file", signal.ca_file),
    )
    for key, value, partner, other in pairs:
        if value is not None and other is None:
            yield fault(("signal", number, key), f"expected {partner} beside {key}")


def _levels(parts: Parts, number: int, signal: MqttTable) -> Iterator[Fault]:
    fault, here = parts.document.fault, ("signal", number)
    rated_kw = float("inf") if parts.site is None else parts.site.rated_kw
    if signal.emergency_kw is not None and signal.emergency_kw > rated_kw:
        yield fault((*here, "emergency_kw"), f"expected at most site.rated_kw = {rated_kw:g}")
    levels = signal.simple_levels_kw
    if levels is None:
        return
    if levels[0] > rated_kw:
        yield fault((*here, "simple_levels_kw"), f"expected at most site.rated_kw = {rated_kw:g}")
    if list(levels) != sorted(levels, reverse=True):
        yield fault((*here, "simple_levels_kw"), "expected levels that do not rise from 0 (normal) to 3 (emergency)")


def _issuers(parts: Parts, number: int, signal: MqttTable) -> Iterator[Fault]:
    fault, here = parts.document.fault, ("signal", number, "issuers")
    names = [issuer.name for issuer in signal.issuers]
    yield from repeated(parts, here, enumerate(names))
    if len(names) > 1:
        text = f"expected one issuer per source, got {len(names)}: write another [[signal]] with an op of its own"
        yield fault((*here, 1, "name"), text)
    if signal.simple_issuer is not None:
        yield from unknown_name(parts, ("signal", number, "simple_issuer"), signal.simple_issuer, names, "issuer")
    for place, issuer in enumerate(signal.issuers):
        if issuer.max_kw is not None and issuer.max_kw < issuer.min_kw:
            yield fault((*here, place, "max_kw"), f"expected at least min_kw = {issuer.min_kw:g}")
        yield from key_faults(parts, (*here, place, "keys"), issuer.keys)


def key_faults(parts: Parts, here: KeyPath, keys: Sequence[KeyTable]) -> Iterator[Fault]:
    """Key ids that stand twice, and times in which no key is valid."""
    yield from repeated(parts, here, ((n, key.kid) for n, key in enumerate(keys)), key="kid")
    for spot, key in enumerate(keys):
        if key.valid_from is not None and key.valid_until is not None and key.valid_from >= key.valid_until:
            yield parts.document.fault(
                (*here, spot, "valid_until"), f"expected a time after valid_from = {key.valid_from}"
            )


def _times(parts: Parts, number: int, signal: MqttTable) -> Iterator[Fault]:
    if signal.heartbeat_alarm_s > signal.heartbeat_lost_s:
        text = f"expected at most heartbeat_lost_s = {signal.heartbeat_lost_s:g}, got {signal.heartbeat_alarm_s:g}"
        yield parts.document.fault(("signal", number, "heartbeat_alarm_s"), text)
