"""Dashboards of the machines: their health, their heat, their pools."""

from __future__ import annotations

from configs.grafana.boards_site import NONE, SITE
from configs.grafana.panels import ORANGE, RED, Board, Panel, Query

PLACE = '{site=~"$site",container=~"$container"}'
HEAT = (
    '{__name__=~"farmctl_container_(inlet|coolant_supply|coolant_return)_temperature_celsius",'
    'site=~"$site",container=~"$container"}'
)
THROTTLE_C = 95
"""Chips are throttled or stopped from here on."""

FLEET = Board(
    uid="farmctl-fleet",
    title="farmctl: fleet health",
    help="Which machines are not normal, and where.",
    panels=(
        Panel(
            title="Miners by state",
            kind="timeseries",
            unit="short",
            queries=(Query(expr=f"sum by (state) (farmctl_miners{SITE})", legend="{{state}}"),),
            help="Curtailed is a state by order; fault, offline and unknown are not.",
            width=12,
            least=0,
            stacked=True,
        ),
        Panel(
            title="Not normal, by model and firmware",
            kind="bargauge",
            unit="short",
            queries=(
                Query(
                    expr=(
                        "topk(15, sum by (model, firmware) "
                        '(farmctl_miners{site=~"$site",state=~"fault|offline|unknown"}))'
                    ),
                    legend="{{model}} {{firmware}}",
                    at_once=True,
                ),
            ),
            help="Fault, offline and unknown.",
            width=12,
            least=0,
            steps=((1, ORANGE),),
        ),
        Panel(
            title="Containers by share that is not normal",
            kind="bargauge",
            unit="percentunit",
            queries=(
                Query(
                    expr=(
                        'topk(15, sum by (site, container) (farmctl_container_miners{site=~"$site",'
                        'container=~"$container",state=~"fault|offline|unknown"}) '
                        f"/ sum by (site, container) (farmctl_container_miners_inventory{PLACE}))"
                    ),
                    legend="{{container}}",
                    at_once=True,
                ),
            ),
            help="The worst first.",
            least=0,
            most=1,
            steps=((0.05, ORANGE), (0.5, RED)),
        ),
        Panel(
            title="Faults by code",
            kind="bargauge",
            unit="short",
            queries=(
                Query(
                    expr=f"topk(20, sum by (code, model) (farmctl_faults{SITE})) or {NONE}",
                    legend="{{model}} {{code}}",
                    at_once=True,
                ),
            ),
            help="Codes of the vendors, as the miners show them now.",
            least=0,
        ),
        Panel(
            title="Work list: fault and offline",
            kind="timeseries",
            unit="short",
            queries=(
                Query(
                    expr='sum by (site) (farmctl_miners{site=~"$site",state=~"fault|offline"})', legend="{{site}} now"
                ),
                Query(
                    expr=('sum by (site) (avg_over_time(farmctl_miners{site=~"$site",state=~"fault|offline"}[7d]))'),
                    legend="{{site}} mean of 7 days",
                ),
            ),
            help="One dead miner is a row of the work list and no alarm; growth is.",
            least=0,
        ),
        Panel(
            title="Efficiency by model",
            kind="timeseries",
            unit="suffix: J/TH",
            queries=(
                Query(
                    expr=(
                        f"1e12 * sum by (model) (farmctl_model_power_watts{SITE})"
                        f" / (sum by (model) (farmctl_model_hashrate_hashes_per_second{SITE}) > 0)"
                    ),
                    legend="{{model}}",
                ),
            ),
            help="At the plug of the miners that are heard.",
            width=12,
        ),
        Panel(
            title="Hash rate by container, of what is expected",
            kind="timeseries",
            unit="percentunit",
            queries=(
                Query(
                    expr=(
                        f"farmctl_container_hashrate_hashes_per_second{PLACE}"
                        f" / (farmctl_container_hashrate_expected_hashes_per_second{PLACE} > 0)"
                    ),
                    legend="{{container}}",
                ),
            ),
            help="Expected at the wanted operating points; below 95 % for a quarter of an hour is an alarm.",
            width=12,
            least=0,
        ),
    ),
)

THERMAL = Board(
    uid="farmctl-thermal",
    title="farmctl: thermal and cooling",
    help="Air, coolant and chips, and how far they are from being throttled.",
    panels=(
        Panel(
            title="Air and coolant",
            kind="timeseries",
            unit="celsius",
            queries=(Query(expr=HEAT, legend="{{container}} {{__name__}}"),),
            help="Inlet air by sensor or by what the miners breathe in; coolant where a container has any.",
            width=12,
        ),
        Panel(
            title="Hottest chip by container",
            kind="timeseries",
            unit="celsius",
            queries=(Query(expr=f"farmctl_container_chip_temperature_max_celsius{PLACE}", legend="{{container}}"),),
            help="One hot chip is a board; a whole container is its cooling.",
            width=12,
        ),
        Panel(
            title="Margin until chips are throttled",
            kind="bargauge",
            unit="celsius",
            queries=(
                Query(
                    expr=f"sort({THROTTLE_C} - farmctl_container_chip_temperature_max_celsius{PLACE})",
                    legend="{{container}}",
                    at_once=True,
                ),
            ),
            help=f"Kelvin below {THROTTLE_C} degrees Celsius.",
        ),
        Panel(
            title="Hottest chip by rack",
            kind="state-timeline",
            unit="celsius",
            queries=(Query(expr='farmctl_rack_chip_temperature_celsius{site=~"$site",stat="max"}', legend="{{rack}}"),),
            help="A heat map of the racks over time.",
            steps=((85, ORANGE), (THROTTLE_C, RED)),
        ),
        Panel(
            title="Spread of the chips",
            kind="heatmap",
            unit="celsius",
            queries=(
                Query(expr=f"sum by (le) (farmctl_chip_temperature_celsius_bucket{SITE})", legend="{{le}}", heat=True),
            ),
            help="Hottest chip of every miner that is heard.",
        ),
        Panel(
            title="Mean of the hottest chips by model",
            kind="timeseries",
            unit="celsius",
            queries=(
                Query(
                    expr=(
                        f"sum by (model) (farmctl_chip_temperature_celsius_sum{SITE})"
                        f" / sum by (model) (farmctl_chip_temperature_celsius_count{SITE})"
                    ),
                    legend="{{model}}",
                ),
            ),
            help="A model that drifts up is dust or paste.",
            width=12,
        ),
        Panel(
            title="Chip above inlet",
            kind="timeseries",
            unit="celsius",
            queries=(
                Query(
                    expr=(
                        f"farmctl_container_chip_temperature_max_celsius{PLACE}"
                        f" - farmctl_container_inlet_temperature_celsius{PLACE}"
                    ),
                    legend="{{container}}",
                ),
            ),
            help="Kelvin; rises with dust while the weather does not.",
            width=12,
        ),
    ),
)

POOLS = Board(
    uid="farmctl-pools",
    title="farmctl: pools and revenue",
    help="Are the hashes paid for? Shares are read with each miner's slow facts, hourly by default.",
    panels=(
        Panel(
            title="Shares by result",
            kind="timeseries",
            unit="cpm",
            queries=(
                Query(
                    expr=f"60 * sum by (result) (rate(farmctl_shares_total{SITE}[2h]))",
                    legend="{{result}}",
                ),
            ),
            help="A minute, over two hours.",
            least=0,
        ),
        Panel(
            title="Rejected and stale",
            kind="stat",
            unit="percentunit",
            queries=(
                Query(
                    expr=(
                        'sum by (site) (increase(farmctl_shares_total{site=~"$site",result=~"rejected|stale"}[6h]))'
                        f" / (sum by (site) (increase(farmctl_shares_total{SITE}[6h])) > 0)"
                    ),
                    legend="{{site}}",
                ),
            ),
            help="Of all shares of 6 hours; above 1.5 % look at the route to the pool.",
            steps=((0.015, ORANGE),),
        ),
        Panel(
            title="Pools that answer",
            kind="state-timeline",
            unit="bool_on_off",
            queries=(Query(expr=f"max by (pool) (farmctl_pool_up{SITE})", legend="{{pool}}"),),
            help="At least one miner says so.",
            least=0,
            most=1,
        ),
        Panel(
            title="Accepted shares by pool",
            kind="timeseries",
            unit="cpm",
            queries=(
                Query(
                    expr='60 * sum by (pool) (rate(farmctl_shares_total{site=~"$site",result="accepted"}[2h]))',
                    legend="{{pool}}",
                ),
            ),
            help="A pool that takes over from another is a failover.",
            width=12,
            least=0,
            stacked=True,
        ),
        Panel(
            title="Hash rate that earns",
            kind="timeseries",
            unit="Hs",
            queries=(
                Query(expr=f"sum by (site) (farmctl_container_hashrate_hashes_per_second{SITE})", legend="{{site}}"),
            ),
            help="As the miners report it.",
            width=12,
            least=0,
        ),
    ),
)
