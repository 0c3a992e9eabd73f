"""Metrics of the site, of its control and of its alarms."""

from __future__ import annotations

from farmctl.core.grid import EventState, SiteMode
from farmctl.core.units import MS_PER_S
from farmctl.metrics.families.row import Family, column, counter, each, gauge, one
from farmctl.metrics.snapshot import PowerOrigin, meter_power_w

NAN = float("nan")

SITE: tuple[Family, ...] = (
    gauge(
        "farmctl_site_power_watts",
        "watts",
        "Power of the site as control uses it, watts at the point of connection; consumption is positive.",
        lambda sums: one(sums.snapshot.power_w),
    ),
    gauge(
        "farmctl_site_power_source",
        "",
        "Where farmctl_site_power_watts comes from: 1 for the source in use (meter, summed, estimated), else 0.",
        lambda sums: column([origin is sums.snapshot.power_origin for origin in PowerOrigin]),
        labels=("source",),
        axes=lambda _: (each(tuple(PowerOrigin)),),
    ),
    gauge(
        "farmctl_site_meter_power_watts",
        "watts",
        "Power that a meter shows, watts; absent while the meter is silent or doubted.",
        lambda sums: column([meter_power_w(meter) for meter in sums.snapshot.meters]),
        labels=("meter",),
        axes=lambda snapshot: (each([meter.name for meter in snapshot.meters]),),
    ),
    gauge(
        "farmctl_site_miners_power_watts",
        "watts",
        "Sum over the miners whose power is known, watts at their plugs; what is not polled is not in it.",
        lambda sums: one(sums.miners_power_w),
    ),
    gauge(
        "farmctl_site_power_target_watts",
        "watts",
        "Where the site's meter should stand, watts, after every limit; it may be 0.",
        lambda sums: one(sums.snapshot.target_w),
    ),
    gauge(
        "farmctl_site_power_limit_watts",
        "watts",
        "Effective limit of the site's power, watts: the lowest of grid, operator, rating and fail-safe.",
        lambda sums: one(sums.snapshot.limit_w),
    ),
    gauge(
        "farmctl_site_power_rated_watts",
        "watts",
        "Electrical rating of the site, watts.",
        lambda sums: one(sums.snapshot.view.rules.rated_w),
    ),
    gauge(
        "farmctl_site_power_baseline_watts",
        "watts",
        "What the site would draw now without any event or override, watts: every miner that answers at its top point.",
        lambda sums: one(sums.snapshot.baseline_w),
    ),
    counter(
        "farmctl_site_energy_joules_total",
        "joules",
        "Energy that the site took since the controller started, joules, by its meter's register or its good samples.",
        lambda sums: one(sums.snapshot.energy_j),
    ),
    gauge(
        "farmctl_site_available_watts",
        "watts",
        "What the site could give up (direction down) or take on (up) within a time, watts at the meter.",
        lambda sums: column([offer.power_w for offer in sums.snapshot.available]),
        labels=("direction", "within"),
        axes=lambda snapshot: (tuple((offer.direction, offer.within) for offer in snapshot.available),),
    ),
    gauge(
        "farmctl_grid_frequency_hertz",
        "hertz",
        "Frequency of the grid at the site meter, hertz.",
        lambda sums: one(sums.snapshot.frequency_hz),
    ),
)

CONTROL: tuple[Family, ...] = (
    gauge(
        "farmctl_control_mode",
        "",
        "What decides the site's power: 1 for the mode in force, else 0.",
        lambda sums: column([mode is sums.snapshot.mode for mode in SiteMode]),
        labels=("mode",),
        axes=lambda _: (each([mode.value.lower() for mode in SiteMode]),),
    ),
    gauge(
        "farmctl_curtailment_active",
        "",
        "1 while a signal or an operator holds the site below what it would draw, else 0.",
        lambda sums: one(sums.snapshot.curtailment_active),
    ),
    gauge(
        "farmctl_event_state",
        "",
        "Number of grid events that are remembered in each state.",
        lambda sums: column([sum(e.count for e in sums.snapshot.events if e.state is state) for state in EventState]),
        labels=("state",),
        axes=lambda _: (each([state.value.lower() for state in EventState]),),
    ),
    gauge(
        "farmctl_event_next_start_timestamp_seconds",
        "seconds",
        "When the next accepted grid event starts, seconds since the Unix epoch; absent while none is to come.",
        lambda sums: one(_seconds(sums.snapshot.next_event_ms)),
    ),
    gauge(
        "farmctl_overrides",
        "",
        "Number of operator overrides in force.",
        lambda sums: one(sums.snapshot.overrides),
    ),
    gauge(
        "farmctl_signal_armed",
        "",
        "1 for a signal source that the site relies upon now, 0 for a standby.",
        lambda sums: column([source.armed for source in sums.snapshot.sources]),
        labels=("source",),
        axes=lambda snapshot: (each([source.name for source in snapshot.sources]),),
    ),
    gauge(
        "farmctl_signal_last_update_timestamp_seconds",
        "seconds",
        "When a signal source last said something valid, seconds since the Unix epoch; absent before the first time.",
        lambda sums: column([_seconds(source.last_valid_ms) for source in sums.snapshot.sources]),
        labels=("source",),
        axes=lambda snapshot: (each([source.name for source in snapshot.sources]),),
    ),
    gauge(
        "farmctl_auth_unsigned",
        "",
        "1 while unsigned signals are accepted, else 0.",
        lambda sums: one(sums.snapshot.auth_unsigned),
    ),
    gauge(
        "farmctl_leader",
        "",
        "1 on the controller that commands the site, 0 on one that only observes.",
        lambda sums: one(sums.snapshot.leader),
    ),
    gauge(
        "farmctl_unconfirmed_watts",
        "watts",
        "Power that was told to go and has not been seen to, watts; a miner counts at its worst until it is confirmed.",
        lambda sums: one(sums.snapshot.unconfirmed_w),
    ),
    gauge(
        "farmctl_cycle_last_timestamp_seconds",
        "seconds",
        "When the last decision was made, seconds since the Unix epoch.",
        lambda sums: one(_seconds(sums.snapshot.at_ms)),
    ),
)

ALARMS: tuple[Family, ...] = (
    gauge(
        "farmctl_alarms",
        "",
        "Number of alarms by priority (1 is worst) and state, normal ones left out.",
        lambda sums: column([alarm.count for alarm in sums.snapshot.alarms]),
        labels=("priority", "state"),
        axes=lambda snapshot: (tuple((alarm.priority, alarm.state) for alarm in snapshot.alarms),),
    ),
    gauge(
        "farmctl_alarm_active",
        "",
        "1 for an alarm that is active and neither shelved nor suppressed; container is its place. Absent when over.",
        lambda sums: column([1.0] * len(sums.snapshot.active_alarms)),
        labels=("alarm", "container", "priority"),
        axes=lambda snapshot: (tuple((a.alarm, a.container, a.priority) for a in snapshot.active_alarms),),
    ),
    gauge(
        "farmctl_alarms_stale",
        "",
        "Number of alarms that have been active for more than a day.",
        lambda sums: one(sums.snapshot.stale_alarms),
    ),
    gauge(
        "farmctl_alarm_flood",
        "",
        "1 while more alarms come than a person can handle (over 10 in 10 minutes), else 0.",
        lambda sums: one(sums.snapshot.flooded),
    ),
)


def _seconds(at_ms: int) -> float:
    return at_ms / MS_PER_S if at_ms >= 0 else NAN
