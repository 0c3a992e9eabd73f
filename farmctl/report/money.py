"""What an event earned and cost, at the prices journalled with it or at others that are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farmctl.report.canonical import S_PER_DAY, Json, rounded

KWH_PER_MWH = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What is counted with."""

    currency: str
    tariff_per_kwh: float
    hash_price_per_th_day: float
    paid_per_mwh: float
    shortfall_per_mwh: float
    method: str
    stated_by: str
    """`journal`, or `journal, with ... on the command line`."""

    @classmethod
    def of(cls, table: Mapping[str, Any], **instead: float | str | None) -> Prices:
        """The journalled [settlement] table, with what the reader wants to count with instead."""
        changed = {key: value for key, value in instead.items() if value is not None}
        by = f"journal, with {', '.join(sorted(changed))} from the command line" if changed else "journal"
        figures = {**table, **changed}
        return cls(
            currency=str(figures["currency"]),
            tariff_per_kwh=float(figures["tariff_per_kwh"]),
            hash_price_per_th_day=float(figures["hash_price_per_th_day"]),
            paid_per_mwh=float(figures["paid_per_mwh"]),
            shortfall_per_mwh=float(figures["shortfall_per_mwh"]),
            method=str(figures["method"]),
            stated_by=by,
        )

    @property
    def told(self) -> Json:
        """As the report states them."""
        return {
            "currency": self.currency,
            "tariff_per_kwh": self.tariff_per_kwh,
            "hash_price_per_th_day": self.hash_price_per_th_day,
            "paid_per_mwh": self.paid_per_mwh,
            "shortfall_per_mwh": self.shortfall_per_mwh,
            "stated_by": self.stated_by,
        }


def hash_value(prices: Prices, terahashes: float | None) -> float:
    """What so many TH (TH/s times seconds) earn."""
    return (terahashes or 0.0) / S_PER_DAY * prices.hash_price_per_th_day


def settled(prices: Prices, energy: Mapping[str, Any], hashes: Mapping[str, Any], shortfall_mwh: float | None) -> Json:
    """Revenue and cost of an event against one baseline; `net` is what it earned over not having happened."""
    delivered, absorbed = energy["delivered_mwh"] or 0.0, energy["absorbed_mwh"] or 0.0
    avoided = delivered * KWH_PER_MWH * prices.tariff_per_kwh
    bought = absorbed * KWH_PER_MWH * prices.tariff_per_kwh
    paid = (delivered + absorbed) * prices.paid_per_mwh
    fined = (shortfall_mwh or 0.0) * prices.shortfall_per_mwh
    lost, gained = hash_value(prices, hashes["lost_th"]), hash_value(prices, hashes["gained_th"])
    net = avoided - bought + paid - fined - lost + gained
    return {
        "method": energy["method"],
        "avoided_energy_cost": rounded(avoided, 4),
        "absorbed_energy_cost": rounded(bought, 4),
        "programme_payment": rounded(paid, 4),
        "shortfall_charge": rounded(fined, 4),
        "hash_revenue_lost": rounded(lost, 4),
        "hash_revenue_gained": rounded(gained, 4),
        "net": rounded(net, 4),
        **prices.told,
    }
