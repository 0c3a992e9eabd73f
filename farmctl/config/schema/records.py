"""[history] and [settlement]: what is kept of the past, and what a kilowatt-hour and a hash are worth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from farmctl.config.schema.kinds import AtLeastZero, Count, Switch, Table


class HistoryTable(Table):
    """Telemetry of every miner in day files beside the journal; old files are unlinked."""

    enabled: Switch = True
    """False: no telemetry is kept; the journal, and reports from it, stay."""
    step_s: Annotated[int, Field(strict=True, ge=5, le=60)] = 10
    """Seconds between two samples of the whole fleet; a divisor of 60."""
    keep_days: Count = 2
    """Days that these samples are kept."""
    keep_minute_days: Count = 14
    """Days that 1-minute means are kept."""
    keep_quarter_months: Count = 13
    """Months that 15-minute means, lowest and highest values are kept."""


class SettlementTable(Table):
    """What reports count energy and hashes with; the figures of the day are journalled with its series."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    """Currency of every price here, ISO 4217."""
    tariff_per_kwh: AtLeastZero = 0.05
    """Price of a kWh drawn."""
    hash_price_per_th_day: AtLeastZero = 0.05
    """Earned by one TH/s in a day."""
    paid_per_mwh: AtLeastZero = 0.0
    """Paid by the programme for a MWh curtailed or absorbed against the baseline."""
    shortfall_per_mwh: AtLeastZero = 0.0
    """Charged by the programme for a MWh that was ordered and not delivered."""
    method: Literal["MBMA", "FIRM", "BOTTOM_UP", "X_OF_Y"] = "MBMA"
    """Baseline that the money is counted against; the others are reported beside it."""
