"""The text of a first configuration, as `farmctl init` writes it."""

from __future__ import annotations

import json

from farmctl.config.load import parse

_SITE = """\
# Configuration of farmctl. Every key with its meaning: configs/farm.example.toml.
# Check it with `farmctl config validate`; try it with `farmctl run --config farm.toml --observe`.

[site]
name = {name}            # stands in MQTT topics and metric labels
timezone = {timezone}
rated_kw = {rated_kw}             # nothing is ever planned above it
safe_min_kw = 0.0           # what cannot be shed: fans, pumps, controls
# standing_kw = 0.0         # standing allocation; until one is stated, no load without a live signal
# failsafe_limit_kw = 0.0   # firm level when the grid falls silent

[control]
observe = true              # polls and decides, sends nothing; set to false to arm the site

[[circuit]]
name = "site"
rating_kw = {rated_kw}
"""

_METER = """
[[meter]]
name = "main"
kind = "modbus"
host = {host}
port = {port}
site = true

[[meter.registers]]         # from the vendor's register map; this one is an example to be replaced
name = "kw"
address = 0
type = "f32"
"""

_SIGNAL = """
[[signal]]
name = "grid"
kind = "mqtt"
brokers = [{broker}]
op = {op}
programmes = ["surplus-dispatch"]
{auth}"""

_SIGNING = 'signing_key_file = "secrets/signing.pem"   # made by `farmctl keys new`; signs what the site answers\n'
_UNSIGNED = 'auth = "unsigned-demo"      # loopback only: for trying things out\n'


def first_config(
    *,
    name: str,
    rated_kw: float,
    timezone: str = "UTC",
    meter: tuple[str, int] | None = None,
    broker: str | None = None,
    issuer_key: tuple[str, str, str] | None = None,
    op: str = "grid-op",
) -> str:
    """A minimal commented farm.toml that loads; raises ConfigFaultsError where an answer is no good.

    `meter` is host and port; `issuer_key` is issuer, key id and public key. A broker without a key is unsigned,
    which is accepted on loopback only.
    """
    text = _SITE.format(name=_quoted(name), timezone=_quoted(timezone), rated_kw=float(rated_kw))
    if meter is not None:
        text = text.replace('name = "site"\n', 'name = "site"\nmeter = "main"\n')
        text += _METER.format(host=_quoted(meter[0]), port=meter[1])
    if broker is not None:
        text += _SIGNAL.format(broker=_quoted(broker), op=_quoted(op), auth=_trust(issuer_key))
    parse(text, "farm.toml")
    return text


def _trust(issuer_key: tuple[str, str, str] | None) -> str:
    if issuer_key is None:
        return _UNSIGNED
    issuer, kid, key = (_quoted(part) for part in issuer_key)
    return f"{_SIGNING}\n[[signal.issuers]]\nname = {issuer}\nkeys = [{{ kid = {kid}, public_key = {key} }}]\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, except that pairs of surrogates are not."""
    return json.dumps(text, ensure_ascii=False)
