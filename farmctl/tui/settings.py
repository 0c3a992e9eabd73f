"""What a person sets for the glass: keys by binding id, the theme, filters with a name; one small TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from farmctl.errors import ConfigError
from farmctl.tui.keys import KEYS
from farmctl.tui.palette import HMI_DARK, HMI_LIGHT

THEMES = (HMI_DARK.name, HMI_LIGHT.name)
TABLES = ("theme", "grafana", "keys", "views")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything has a default."""

    theme: str = HMI_DARK.name
    grafana: str = ""
    """Address of the site's dashboard, for `g`."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Binding id -> key."""
    views: Mapping[str, str] = field(default_factory=dict)
    """Name -> filter."""


def settings_path(environment: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/farmctl/tui.toml`."""
    given = environment.get("XDG_CONFIG_HOME")
    home = Path(given) if given else Path(environment.get("HOME", "~")).expanduser() / ".config"
    return home / "farmctl" / "tui.toml"


def load_settings(path: Path) -> Settings:
    """Read them; a missing file is all defaults. Raises ConfigError that names file, key and what was expected."""
    if not path.exists():
        return Settings()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        message = f"{path}: {error}"
        raise ConfigError(message) from None
    faults = [f"{name}: expected one of {', '.join(TABLES)}" for name in told if name not in TABLES]
    theme, grafana = told.get("theme", HMI_DARK.name), told.get("grafana", "")
    if theme not in THEMES:
        faults.append(f"theme = {theme!r}: expected one of {', '.join(THEMES)}")
    if not isinstance(grafana, str) or (grafana and not grafana.startswith(("http://", "https://"))):
        faults.append(f"grafana = {grafana!r}: expected an address")
    keys, views = (_words(told.get(name, {}), name, faults) for name in ("keys", "views"))
    faults += _key_faults(keys)
    if faults:
        message = f"{path}: " + "; ".join(faults)
        raise ConfigError(message)
    return Settings(theme=theme, grafana=grafana, keys=keys, views=views)


def _words(told: object, name: str, faults: list[str]) -> dict[str, str]:
    if not isinstance(told, dict) or any(not isinstance(value, str) for value in told.values()):
        faults.append(f"[{name}]: expected names with texts")
        return {}
    return {str(key): value for key, value in told.items()}


def _key_faults(keys: Mapping[str, str]) -> list[str]:
    known = {key.id: key.key for key in KEYS}
    faults = [f"keys.{name}: no such binding; expected one of {', '.join(known)}" for name in keys if name not in known]
    used: dict[str, str] = {}
    for name, key in {**known, **keys}.items():
        if key in used and name in known:
            faults.append(f"keys.{name} = {key!r}: {used[key]} has that key")
        used[key] = name
    return faults
