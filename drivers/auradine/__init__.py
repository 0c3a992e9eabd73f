"""Auradine Teraflux: polled and commanded on the token API of port 8080; one key `mode` carries all power."""

from __future__ import annotations
