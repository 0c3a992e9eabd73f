"""The doors between the parts: Protocols that drivers, sources, meters and stores fulfil, and the nouns they pass."""

from __future__ import annotations
