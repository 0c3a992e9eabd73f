"""Dashboards of the controller itself and of how well its alarms serve."""

from __future__ import annotations

from configs.grafana.boards_site import NONE, SITE
from configs.grafana.panels import ORANGE, RED, Board, Panel, Query


def _quantiles(name: str, shares: tuple[float, ...]) -> tuple[Query, ...]:
    """Quantiles of one of the controller's own histograms."""
    return tuple(
        Query(
            expr=f"histogram_quantile({share}, sum by (site, le) (rate({name}_bucket{SITE}[5m])))",
            legend=f"{{{{site}}}} p{share * 100:g}",
        )
        for share in shares
    )


CONTROLLER = Board(
    uid="farmctl-controller",
    title="farmctl: controller",
    help="Is the controller itself well: does it decide, poll, write and answer in time?",
    panels=(
        Panel(
            title="Age of the last decision",
            kind="timeseries",
            unit="s",
            queries=(Query(expr=f"time() - farmctl_cycle_last_timestamp_seconds{SITE}", legend="{{site}}"),),
            help="One second in ordinary times; 10 s is an alarm.",
            least=0,
        ),
        Panel(
            title="Event loop lag",
            kind="timeseries",
            unit="s",
            queries=_quantiles("farmctl_event_loop_lag_seconds", (0.5, 0.99)),
            help="50 ms at p99 is the aim.",
            least=0,
        ),
        Panel(
            title="Control cycle",
            kind="timeseries",
            unit="s",
            queries=_quantiles("farmctl_cycle_duration_seconds", (0.5, 0.99)),
            help="Freeze, decide, journal, hand over.",
            least=0,
        ),
        Panel(
            title="Polls",
            kind="timeseries",
            unit="s",
            queries=_quantiles("farmctl_poll_duration_seconds", (0.5, 0.99)),
            help="From the request to the parsed answer; a silent miner costs 2 s.",
            least=0,
        ),
        Panel(
            title="Polls by result",
            kind="timeseries",
            unit="reqps",
            queries=(
                Query(expr=f"sum by (result) (rate(farmctl_polls_total{SITE}[$__rate_interval]))", legend="{{result}}"),
                Query(expr=f"sum(rate(farmctl_poll_overrun_total{SITE}[$__rate_interval]))", legend="overrun"),
            ),
            help="Overrun: due while the bound on polls in flight was reached.",
            least=0,
        ),
        Panel(
            title="Polls in flight",
            kind="timeseries",
            unit="short",
            queries=(Query(expr=f"farmctl_poll_in_flight{SITE}", legend="{{site}}"),),
            help="Rate times reply time.",
            least=0,
        ),
        Panel(
            title="Containers: age of the last good poll",
            kind="bargauge",
            unit="s",
            queries=(
                Query(
                    expr=(
                        "topk(15, time() - farmctl_poll_last_success_timestamp_seconds"
                        '{site=~"$site",container=~"$container"})'
                    ),
                    legend="{{container}}",
                    at_once=True,
                ),
            ),
            help="The oldest first.",
            least=0,
            steps=((30, ORANGE), (120, RED)),
        ),
        Panel(
            title="Journal",
            kind="timeseries",
            unit="wps",
            queries=(
                Query(expr=f"rate(farmctl_journal_records_total{SITE}[$__rate_interval])", legend="{{site}} records"),
            ),
            help="Records that became durable.",
            least=0,
        ),
        Panel(
            title="Space for the store",
            kind="timeseries",
            unit="bytes",
            queries=(Query(expr=f"farmctl_store_free_bytes{SITE}", legend="{{site}}"),),
            help="When it is gone the journal refuses writes and nothing is raised any more.",
            least=0,
        ),
        Panel(
            title="Clients of the control API",
            kind="stat",
            unit="short",
            queries=(Query(expr=f"farmctl_api_clients{SITE}", legend="{{site}}"),),
            help="That follow the feed: TUIs and scripts.",
            height=5,
        ),
        Panel(
            title="Leads",
            kind="stat",
            unit="bool_yes_no",
            queries=(Query(expr=f"farmctl_leader{SITE}", legend="{{site}}"),),
            help="No: it only observes.",
            height=5,
        ),
        Panel(
            title="Version",
            kind="stat",
            unit="none",
            queries=(Query(expr=f"farmctl_build_info{SITE}", legend="{{site}} {{version}}"),),
            help="What runs.",
            height=5,
            named=True,
        ),
    ),
)

ALARMS = Board(
    uid="farmctl-alarms",
    title="farmctl: alarm KPIs",
    help="One alarm in 10 minutes is good, two are the most that a person can handle.",
    panels=(
        Panel(
            title="Alarms raised in 10 minutes",
            kind="timeseries",
            unit="short",
            queries=(
                Query(
                    expr=f"sum by (priority) (increase(farmctl_alarms_raised_total{SITE}[10m]))",
                    legend="P{{priority}}",
                ),
            ),
            help="By priority.",
            width=12,
            least=0,
            stacked=True,
        ),
        Panel(
            title="Alarms by state",
            kind="timeseries",
            unit="short",
            queries=(Query(expr=f"sum by (state) (farmctl_alarms{SITE})", legend="{{state}}"),),
            help="Suppressed ones are those that curtailment, warm-up or maintenance explains.",
            width=12,
            least=0,
            stacked=True,
        ),
        Panel(
            title="Time in flood",
            kind="stat",
            unit="percentunit",
            queries=(Query(expr=f"avg_over_time(farmctl_alarm_flood{SITE}[$__range])", legend="{{site}}"),),
            help="Below 1 % is good.",
            width=6,
            steps=((0.01, ORANGE),),
        ),
        Panel(
            title="Stale",
            kind="stat",
            unit="short",
            queries=(Query(expr=f"farmctl_alarms_stale{SITE}", legend="{{site}}"),),
            help="Active for more than a day; fewer than 5 is good.",
            width=6,
            steps=((5, ORANGE),),
        ),
        Panel(
            title="Shelved",
            kind="stat",
            unit="short",
            queries=(Query(expr='sum by (site) (farmctl_alarms{site=~"$site",state="shelved"})', legend="{{site}}"),),
            help="Out of sight by a person's order, with an end.",
            width=6,
        ),
        Panel(
            title="Unacknowledged",
            kind="stat",
            unit="short",
            queries=(
                Query(expr='sum by (site) (farmctl_alarms{site=~"$site",state=~"unack|rtn_unack"})', legend="{{site}}"),
            ),
            help="Nobody has said yet that he saw them.",
            width=6,
            steps=((1, ORANGE),),
        ),
        Panel(
            title="Bad actors: share of the shown time",
            kind="bargauge",
            unit="s",
            queries=(
                Query(
                    expr=(
                        "topk(10, sum by (alarm, container) "
                        f"(count_over_time(farmctl_alarm_active{SITE}[$__range:15s])) * 15) or {NONE}"
                    ),
                    legend="{{alarm}} {{container}}",
                    at_once=True,
                ),
            ),
            help="Seconds for which each alarm was active, the ten longest.",
            width=12,
            least=0,
        ),
        Panel(
            title="Active now",
            kind="table",
            unit="short",
            queries=(
                Query(
                    expr=f"sum by (priority, alarm, container) (farmctl_alarm_active{SITE}) or {NONE}",
                    at_once=True,
                ),
            ),
            help="Neither shelved nor suppressed. `farmctl alarms list` has cause and response.",
            width=12,
        ),
    ),
)
