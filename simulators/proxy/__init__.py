"""A TCP proxy that makes trouble: what switches, radios and half-dead hosts do to a connection, by a seeded script."""

from __future__ import annotations

from simulators.proxy.route import Route
from simulators.proxy.trouble import ALL_TROUBLE, Spell, Trouble, script
from simulators.proxy.wire import Proxy

__all__ = ["ALL_TROUBLE", "Proxy", "Route", "Spell", "Trouble", "script"]
