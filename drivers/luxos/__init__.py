"""LuxOS firmware on Antminers, cgminer API with sessions on port 4028."""

from __future__ import annotations
