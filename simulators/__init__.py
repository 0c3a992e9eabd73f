"""A farm that is not there: simulated miners on real sockets, sharing no code with what they test."""

from __future__ import annotations
