"""From the configuration to the nouns of the core: kW become W, minutes become seconds, names become numbers."""

from __future__ import annotations

import numpy as np

from farmctl.config.schema import CircuitTable, FarmConfig, MqttTable
from farmctl.config.schema.sources import PriceTable, ScheduleTable
from farmctl.core.fleet import CircuitTree, SiteRules

W_PER_KW = 1_000.0
S_PER_MIN = 60.0
WAKE_WINDOW_S = 5.0
"""`wake_fraction_per_5s` is stated for this many seconds (SIGNALS section 4, rule 7)."""
PHASES = ("L1", "L2", "L3")
DEFAULT_SIGNAL_STALE_S = 60.0
DEFAULT_SIGNAL_QUIET_S = 30.0
DEFAULT_METER_STALE_S = 10.0


def site_rules(config: FarmConfig) -> SiteRules:
    """What the core must know of the configuration; of several signals the most impatient one counts."""
    site, control = config.site, config.control
    linked = [s for s in config.signal if not isinstance(s, PriceTable | ScheduleTable)]
    contract = [s for s in config.signal if isinstance(s, MqttTable)]
    site_meters = [meter.stale_s for meter in config.meter if meter.site]
    return SiteRules(
        rated_w=site.rated_kw * W_PER_KW,
        safe_min_w=site.safe_min_kw * W_PER_KW,
        failsafe_limit_w=site.firm_kw * W_PER_KW,
        standing_w=None if site.standing_kw is None else site.standing_kw * W_PER_KW,
        ramp_up_w_per_s=control.ramp_up_fraction_per_min * site.rated_kw * W_PER_KW / S_PER_MIN,
        wake_fraction_per_s=control.wake_fraction_per_5s / WAKE_WINDOW_S,
        min_on_s=control.min_on_s,
        min_off_s=control.min_off_s,
        signal_stale_s=min((s.heartbeat_lost_s for s in linked), default=DEFAULT_SIGNAL_STALE_S),
        meter_stale_s=site_meters[0] if site_meters else DEFAULT_METER_STALE_S,
        guard_fraction=control.guard_fraction,
        confirm_timeout_s=control.confirm_timeout_s,
        max_attempts=control.max_attempts,
        tolerance_fraction=control.tolerance_fraction,
        seen_stale_s=config.poll.seen_stale_s,
        grid_expected=bool(linked) and control.outside_control,
        ramp_down_w_per_s=None
        if control.ramp_down_fraction_per_min is None
        else control.ramp_down_fraction_per_min * site.rated_kw * W_PER_KW / S_PER_MIN,
        hot_chip_c=control.hot_chip_c,
        signal_quiet_s=min((s.heartbeat_alarm_s for s in contract), default=DEFAULT_SIGNAL_QUIET_S),
        follows_schedule=bool(contract) and all(s.on_loss == "schedule" for s in contract),
        release_jitter_s=max((s.release_jitter_s for s in contract), default=0.0),
        hash_price_per_th_day=config.settlement.hash_price_per_th_day,
        power_price_per_kwh=config.settlement.tariff_per_kwh,
    )


def circuit_tree(config: FarmConfig) -> CircuitTree:
    """The limit tree with parents before children and no meter read yet.

    The root never exceeds the site's rated power; without circuits it is the site itself, under the site's name.
    """
    ordered = _parents_first(config.circuit) or [CircuitTable(name=config.site.name)]
    number = {circuit.name: index for index, circuit in enumerate(ordered)}
    ratings_w = [np.inf if circuit.rating_kw is None else circuit.rating_kw * W_PER_KW for circuit in ordered]
    ratings_w[0] = min(ratings_w[0], config.site.rated_kw * W_PER_KW)
    any_meter = any(circuit.meter for circuit in ordered[1:])
    any_phase = any(circuit.phase for circuit in ordered)
    imbalances_w = [np.inf if c.max_imbalance_kw is None else c.max_imbalance_kw * W_PER_KW for c in ordered]
    return CircuitTree(
        names=tuple(number),
        parent=np.array([-1 if c.parent is None else number[c.parent] for c in ordered], dtype=np.int64),
        rating_w=np.array(ratings_w, dtype=np.float64),
        meter_w=np.full(len(ordered), np.nan),
        metered=np.array([c.meter is not None for c in ordered], dtype=np.bool_) if any_meter else None,
        phase=np.array([-1 if c.phase is None else PHASES.index(c.phase) for c in ordered], dtype=np.int16)
        if any_phase
        else None,
        imbalance_w=np.array(imbalances_w, dtype=np.float64) if any_phase else None,
    )


def _parents_first(circuits: tuple[CircuitTable, ...]) -> list[CircuitTable]:
    """Breadth first from the root; the order of the file among siblings."""
    children: dict[str | None, list[CircuitTable]] = {}
    for circuit in circuits:
        children.setdefault(circuit.parent, []).append(circuit)
    ordered = list(children.get(None, ()))
    for circuit in ordered:
        ordered.extend(children.get(circuit.name, ()))
    return ordered
