"""Dashboards of the site and of its dispatch."""

from __future__ import annotations

from configs.grafana.panels import ORANGE, RED, Board, Panel, Query

SITE = '{site=~"$site"}'
NONE = f"sum by (site) (0 * farmctl_leader{SITE})"
"""0 for a site that has none: where an absent series means so, and not that it is unknown."""

POWER = (
    Query(expr=f"farmctl_site_power_watts{SITE}", legend="{{site}} power"),
    Query(expr=f"farmctl_site_power_target_watts{SITE}", legend="{{site}} target"),
    Query(expr=f"1.02 * farmctl_site_power_target_watts{SITE}", legend="{{site}} target + 2 %"),
    Query(expr=f"0.98 * farmctl_site_power_target_watts{SITE}", legend="{{site}} target - 2 %"),
    Query(expr=f"farmctl_site_power_limit_watts{SITE}", legend="{{site}} limit"),
)

WALL = Board(
    uid="farmctl-site",
    title="farmctl: site",
    help="For the wall: is the site where the grid wants it, what is wrong, what comes next.",
    panels=(
        Panel(
            title="Power, target band and limit",
            kind="timeseries",
            unit="watt",
            queries=POWER,
            help="The meter's power against the target +/- 2 % and the lowest limit in force.",
            width=16,
            height=10,
            least=0,
        ),
        Panel(
            title="Deviation from target",
            kind="stat",
            unit="percentunit",
            queries=(Query(expr='site:power_error:ratio{site=~"$site"}', legend="{{site}}"),),
            help="Of the target, or of 1 % of the rating where the target is lower.",
            width=4,
            height=5,
            steps=((0.02, ORANGE), (0.05, RED)),
        ),
        Panel(
            title="Mode",
            kind="stat",
            unit="none",
            queries=(Query(expr=f"farmctl_control_mode{SITE} == 1", legend="{{site}} {{mode}}"),),
            help="What decides the site's power now.",
            width=4,
            height=5,
            named=True,
        ),
        Panel(
            title="Next event",
            kind="stat",
            unit="s",
            queries=(
                Query(
                    expr=f"farmctl_event_next_start_timestamp_seconds{SITE} - time()"
                    f" or sum by (site) (0 * farmctl_leader{SITE}) - 1",
                    legend="{{site}}",
                ),
            ),
            help="Time until the next accepted event starts.",
            width=4,
            height=5,
            words=((-1, "none"),),
        ),
        Panel(
            title="Power comes from",
            kind="stat",
            unit="none",
            queries=(Query(expr=f"farmctl_site_power_source{SITE} == 1", legend="{{site}} {{source}}"),),
            help="The meter, the sum of the miners, or an estimate where most of them are silent.",
            width=4,
            height=5,
            named=True,
        ),
        Panel(
            title="Hash rate and what the operating points promise",
            kind="timeseries",
            unit="Hs",
            queries=(
                Query(
                    expr=f"sum by (site) (farmctl_container_hashrate_hashes_per_second{SITE})", legend="{{site}} now"
                ),
                Query(
                    expr=f"sum by (site) (farmctl_container_hashrate_expected_hashes_per_second{SITE})",
                    legend="{{site}} expected",
                ),
            ),
            help="Curtailed miners promise nothing, so both fall together.",
            least=0,
        ),
        Panel(
            title="Alarms by priority",
            kind="bargauge",
            unit="short",
            queries=(
                Query(
                    expr='sum by (priority) (farmctl_alarms{site=~"$site",state=~"unack|ack|rtn_unack"})',
                    legend="P{{priority}}",
                    at_once=True,
                ),
            ),
            help="Shelved and suppressed ones are not counted.",
            width=5,
            least=0,
            steps=((1, ORANGE),),
        ),
        Panel(
            title="Containers: share of the miners that hash",
            kind="state-timeline",
            unit="percentunit",
            queries=(
                Query(
                    expr=(
                        'sum by (container) (farmctl_container_miners{site=~"$site",container=~"$container",'
                        'state=~"hashing|throttled"}) / sum by (container) '
                        '(farmctl_container_miners_inventory{site=~"$site",container=~"$container"})'
                    ),
                    legend="{{container}}",
                ),
            ),
            help="Of the inventory. Asleep by order is a state and no alarm.",
            width=11,
            least=0,
            most=1,
        ),
        Panel(
            title="Age of the picture",
            kind="stat",
            unit="s",
            queries=(
                Query(expr=f"time() - farmctl_cycle_last_timestamp_seconds{SITE}", legend="{{site}} decision"),
                Query(
                    expr=f"time() - farmctl_signal_last_update_timestamp_seconds{SITE}",
                    legend="{{site}} signal {{source}}",
                ),
            ),
            help="Since the last decision and since the last valid signal.",
            height=5,
            steps=((30, ORANGE), (60, RED)),
        ),
        Panel(
            title="Efficiency",
            kind="stat",
            unit="suffix: J/TH",
            queries=(Query(expr=f"site:joules_per_hash:ratio{SITE} * 1e12", legend="{{site}}"),),
            help="The site's power, cooling included, for a terahash.",
            height=5,
        ),
        Panel(
            title="Energy of the last 24 h",
            kind="stat",
            unit="joule",
            queries=(Query(expr=f"increase(farmctl_site_energy_joules_total{SITE}[24h])", legend="{{site}}"),),
            help="As the meter counts it, or the integral of its samples.",
            height=5,
        ),
    ),
)

DISPATCH = Board(
    uid="farmctl-dispatch",
    title="farmctl: curtailment and dispatch",
    help="How well and how fast the site does what the grid asks, and what it could still give or take.",
    panels=(
        Panel(
            title="Response curve",
            kind="timeseries",
            unit="watt",
            queries=(
                *POWER[:2],
                Query(expr=f"farmctl_site_power_baseline_watts{SITE}", legend="{{site}} without any event"),
            ),
            help="Events are marked; the distance to the upper line is what was given up.",
            width=16,
            height=10,
            least=0,
        ),
        Panel(
            title="Time in band",
            kind="stat",
            unit="percentunit",
            queries=(Query(expr=f"avg_over_time(site:power_in_band:bool{SITE}[$__range])", legend="{{site}}"),),
            help="Share of the shown time with the power within 2 % of the target, ramps included.",
            width=4,
            height=5,
        ),
        Panel(
            title="T90: start of an event to its target",
            kind="stat",
            unit="s",
            queries=(
                Query(
                    expr=(
                        "histogram_quantile(0.9, sum by (site, le) "
                        f"(increase(farmctl_event_response_seconds_bucket{SITE}[$__range])))"
                    ),
                    legend="{{site}}",
                ),
            ),
            help="Nine of ten events of the shown time were at their target after this.",
            width=4,
            height=5,
        ),
        Panel(
            title="Signal to first command (p99)",
            kind="stat",
            unit="s",
            queries=(
                Query(
                    expr=(
                        "histogram_quantile(0.99, sum by (site, le) "
                        f"(increase(farmctl_dispatch_response_seconds_bucket{SITE}[$__range])))"
                    ),
                    legend="{{site}}",
                ),
            ),
            help="100 ms is the aim.",
            width=4,
            height=5,
            steps=((0.1, ORANGE),),
        ),
        Panel(
            title="Told and not yet seen",
            kind="stat",
            unit="watt",
            queries=(Query(expr=f"farmctl_unconfirmed_watts{SITE}", legend="{{site}}"),),
            help="Power that was told to go and counts until telemetry confirms that it went.",
            width=4,
            height=5,
        ),
        Panel(
            title="What the site could give up",
            kind="timeseries",
            unit="watt",
            queries=(
                Query(
                    expr='farmctl_site_available_watts{site=~"$site",direction="down"}',
                    legend="{{site}} within {{within}}",
                ),
            ),
            help="By time, from the miners that answer and follow.",
            least=0,
        ),
        Panel(
            title="What the site could take on",
            kind="timeseries",
            unit="watt",
            queries=(
                Query(
                    expr='farmctl_site_available_watts{site=~"$site",direction="up"}',
                    legend="{{site}} within {{within}}",
                ),
            ),
            help="Inside every limit, rating, ramp and start packet.",
            least=0,
        ),
        Panel(
            title="Unconfirmed power",
            kind="timeseries",
            unit="watt",
            queries=(Query(expr=f"farmctl_unconfirmed_watts{SITE}", legend="{{site}}"),),
            help="A tail that does not fall is stragglers.",
            least=0,
        ),
        Panel(
            title="Commands by firmware and end",
            kind="timeseries",
            unit="ops",
            queries=(
                Query(
                    expr=f"sum by (firmware, result) (rate(farmctl_commands_total{SITE}[$__rate_interval]))",
                    legend="{{firmware}} {{result}}",
                ),
            ),
            help="Confirmed by telemetry, failed on the wire, unfollowed after every retry, expired, superseded.",
            least=0,
            stacked=True,
        ),
        Panel(
            title="Command to the device's answer, by firmware",
            kind="timeseries",
            unit="s",
            queries=tuple(
                Query(
                    expr=(
                        f"histogram_quantile({share}, sum by (firmware, le) "
                        f"(increase(farmctl_command_duration_seconds_bucket{SITE}[5m])))"
                    ),
                    legend=f"{{{{firmware}}}} p{share * 100:g}",
                )
                for share in (0.5, 0.95)
            ),
            help="Session, token and write.",
            least=0,
        ),
        Panel(
            title="Refused signals",
            kind="bargauge",
            unit="short",
            queries=(
                Query(
                    expr=f"sum by (source, reason) (farmctl_signals_refused_total{SITE}) or {NONE}",
                    legend="{{source}} {{reason}}",
                    at_once=True,
                ),
            ),
            help="Since the controller started; a refused signal never actuates.",
            width=4,
        ),
        Panel(
            title="Events by state",
            kind="bargauge",
            unit="short",
            queries=(
                Query(
                    expr=f"sum by (state) (farmctl_event_state{SITE})",
                    legend="{{state}}",
                    at_once=True,
                ),
            ),
            help="Those that are remembered.",
            width=4,
        ),
    ),
)
