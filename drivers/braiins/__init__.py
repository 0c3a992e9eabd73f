"""Braiins OS on Antminers: REST since 25.07, gRPC before; pause, resume and a power target without a restart."""

from __future__ import annotations
