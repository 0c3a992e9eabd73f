"""Days to play: CSV files, and the generators of those that are made up."""

from __future__ import annotations
