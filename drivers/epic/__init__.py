"""Antminers and others on ePIC's PowerPlay firmware, REST on port 4028."""

from __future__ import annotations
