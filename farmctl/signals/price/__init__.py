"""The market as a signal: a price that says which models are worth their power, or a surplus above a baseline."""

from __future__ import annotations

from farmctl.signals.price.config import CsvFeed, HttpFeed, MqttFeed, PriceConfig, StrikeRule, SurplusRule
from farmctl.signals.price.source import PriceSource
from farmctl.signals.price.strike import ModelGroup

__all__ = ["CsvFeed", "HttpFeed", "ModelGroup", "MqttFeed", "PriceConfig", "PriceSource", "StrikeRule", "SurplusRule"]
