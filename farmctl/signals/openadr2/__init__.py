"""OpenADR 2.0b as a pull VEN: the profile that most utilities still speak. Needs the extra `openadr2`."""

from __future__ import annotations

from farmctl.signals.openadr2.config import OpenAdr2Config
from farmctl.signals.openadr2.source import OpenAdr2Source

__all__ = ["OpenAdr2Config", "OpenAdr2Source"]
