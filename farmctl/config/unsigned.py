"""Who is believed without a signature by this configuration, for everybody who has to say so."""

from __future__ import annotations

from farmctl.config.schema import FarmConfig


def unsigned_sources(config: FarmConfig) -> tuple[str, ...]:
    """Signal sources that take unsigned messages."""
    return tuple(table.name for table in config.signal if str(getattr(table, "auth", "")).startswith("unsigned"))


def unsigned_sites(config: FarmConfig) -> tuple[str, ...]:
    """Sites of a programme of which no key is known."""
    return () if config.programme is None else tuple(unit.name for unit in config.programme.site if not unit.keys)


def takes_unsigned(config: FarmConfig) -> bool:
    """Whether any of either does."""
    return bool(unsigned_sources(config) or unsigned_sites(config))
