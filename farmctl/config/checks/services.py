"""[api] and [[notify]]: a TCP listener with its certificate, channels with what their kind needs."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.config.fault import Fault
from farmctl.config.parts import Parts

NEEDS = {"webhook": ("url",), "smtp": ("server", "sender", "recipients"), "apprise": ("urls_file",)}
"""Kind of a channel -> keys that it cannot do without."""


def service_faults(parts: Parts) -> Iterator[Fault]:
    """Half a TLS listener, a channel without an address, two channels of one name."""
    yield from _listener(parts)
    seen: set[str] = set()
    for number, channel in parts.notify.items():
        for key in NEEDS[channel.kind]:
            if not getattr(channel, key):
                yield parts.document.fault(("notify", number, key), f'missing; kind = "{channel.kind}" needs it')
        if channel.password_file is not None and channel.user is None:
            yield parts.document.fault(("notify", number, "user"), "missing; password_file is the password of nobody")
        if channel.name in seen:
            yield parts.document.fault(("notify", number, "name"), f'expected a new name, "{channel.name}" is taken')
        seen.add(channel.name)


def _listener(parts: Parts) -> Iterator[Fault]:
    api = parts.api
    if api is None or api.listen is None:
        return
    for key in ("tls_cert", "tls_key"):
        if getattr(api, key) is None:
            yield parts.document.fault(("api", key), "missing; listen is never opened without TLS")
