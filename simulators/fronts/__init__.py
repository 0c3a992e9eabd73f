"""What miners speak: one file per protocol, each answering from a SimMiner."""

from __future__ import annotations
