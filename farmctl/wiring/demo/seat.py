"""The grid's seat at the demo: empty for somebody else, with the keys that a signed site trusts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from farmctl.signals.keyfiles import KeyFile, key_in, new_key

KID = "grid-op-demo"
SITE_KID = "site-demo"
UNSIGNED = 'auth = "unsigned-demo"\n'
ISSUERS = "# @ISSUERS@\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoKeys:
    """Keys of a signed demo."""

    grid: KeyFile
    site: KeyFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What who plays the grid needs."""

    broker: str
    """HOST:PORT."""
    keys: DemoKeys | None
    """None: signals are unsigned."""


def demo_keys(folder: Path) -> DemoKeys:
    """The keys in that folder, made where there are none.  Raises ConfigError."""
    grid, site = (_made(folder, kid) for kid in (KID, SITE_KID))
    return DemoKeys(grid=grid, site=site)


def signed(text: str, keys: DemoKeys) -> str:
    """The demo's farm.toml with signatures in place of trust in loopback."""
    issuers = (
        '[[signal.issuers]]\nname = "grid-op"\nclasses = ["EMERGENCY", "LIMIT", "TARGET", "ECONOMIC", "TEST"]\n'
        f'[[signal.issuers.keys]]\nkid = "{keys.grid.kid}"\npublic_key = "{keys.grid.public_key}"\n'
    )
    trust = f'auth = "ed25519"\nsigning_key_file = "{keys.site.file}"\n'
    return text.replace(UNSIGNED, trust).replace(ISSUERS, issuers)


def _made(folder: Path, kid: str) -> KeyFile:
    file = folder / f"{kid}.pem"
    return key_in(file) if file.exists() else new_key(folder, kid)
