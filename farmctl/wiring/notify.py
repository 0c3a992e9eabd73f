"""Channels of notifications as the configuration names them."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.notify.channels.apprise import Chat
from farmctl.alarms.notify.channels.smtp import Mail
from farmctl.alarms.notify.channels.webhook import Webhook
from farmctl.alarms.notify.herald import Herald
from farmctl.alarms.notify.outbox import Outbox
from farmctl.alarms.notify.post import Channel, Post, Sends
from farmctl.alarms.notify.rules import ChannelRules, Sieve, quiet_of
from farmctl.config.credentials import read_secret
from farmctl.config.schema import FarmConfig, NotifyTable
from farmctl.config.schema.kinds import split_endpoint
from farmctl.ports.site import Clock

OUTBOX = "outbox"


def post(config: FarmConfig, clock: Clock) -> Post:
    """Every channel with its outbox. Raises SecretFileError for a secret that cannot be read."""
    channels = [
        Channel(
            name=table.name,
            way=way(config, table, clock),
            sieve=Sieve(rules=_rules(config, table)),
            outbox=Outbox(config.store.dir / OUTBOX / table.name),
        )
        for table in config.notify
    ]
    metrics = config.metrics
    herald = Herald(kinds=CATALOGUE, runbooks=metrics.runbooks, dashboard=metrics.dashboard_url or "")
    return Post(channels, herald, clock)


def way(config: FarmConfig, table: NotifyTable, clock: Clock) -> Sends:
    """How one channel sends. Raises SecretFileError."""
    site = config.site.name
    match table.kind:
        case "webhook":
            secret = _secret(table.secret_file).encode()
            return Webhook(site=site, url=table.url or "", clock=clock, secret=secret, ca_file=table.ca_file)
        case "smtp":
            host, port = split_endpoint(table.server or "")
            return Mail(
                site=site, host=host, port=port, security=table.security, sender=table.sender or "",
                recipients=table.recipients, user=table.user or "", password=_secret(table.password_file),
                ca_file=table.ca_file,
            )  # fmt: skip
        case "apprise":
            return Chat(site=site, urls=tuple(_secret(table.urls_file).split()))
        case _:
            assert_never(table.kind)


def _rules(config: FarmConfig, table: NotifyTable) -> ChannelRules:
    return ChannelRules(
        lowest_priority=table.lowest_priority,
        lifecycle=table.lifecycle,
        quiet=quiet_of(table.quiet),
        per_hour=table.per_hour,
        timezone=config.site.timezone,
    )


def _secret(path: Path | None) -> str:
    return "" if path is None else read_secret(path)
