"""[site], [control] and [poll]: what the site is, how it is steered, how its miners are asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from farmctl.config.schema.kinds import (
    AtLeastZero,
    Count,
    Fraction,
    Label,
    Positive,
    Share,
    SiteName,
    Switch,
    Table,
    Text,
    Whole,
)


class SiteTable(Table):
    """The site as the grid knows it; all power is kW at the site meter."""

    name: SiteName
    """Site id: lower case letters, digits and dashes, at most 40; it stands in MQTT topics and metric labels."""
    timezone: Text = "UTC"
    """IANA time zone in which people here read the clock, such as Asia/Karachi."""
    rated_kw: Positive
    """Rated power of the whole site; nothing is ever planned above it."""
    safe_min_kw: AtLeastZero = 0.0
    """What the site cannot shed without harm: fans, pumps, controls."""
    standing_kw: AtLeastZero | None = None
    """Standing allocation that needs no live signal; left out: the fail-safe limit is all there is."""
    failsafe_limit_kw: AtLeastZero | None = None
    """Firm level taken when the grid falls silent; left out: the standing allocation, else the safe minimum."""
    pools: tuple[Text, ...] = ()
    """Hosts of the pools that the miners may hash for; an alarm names strangers. Left out: not checked."""
    confirm_fraction: Fraction = 0.1
    """Share of the rated power above which a command must be confirmed by typing the site's name."""

    @property
    def firm_kw(self) -> float:
        """The fail-safe limit with its default applied."""
        if self.failsafe_limit_kw is not None:
            return self.failsafe_limit_kw
        return self.safe_min_kw if self.standing_kw is None else self.standing_kw


class ControlTable(Table):
    """How decisions are made and how hard the machines may be driven."""

    observe: Switch = False
    """True: poll, decide and show, but send no command to any miner."""
    outside_control: Switch = True
    """The one switch that lets outsiders (grid signals) command this site; false: their signals are only recorded."""
    policy: Label = "efficiency_first"
    """Which miners give up power first: efficiency_first, profit_first or fair_rotation; tiers come before each."""
    cycle_s: Annotated[float, Field(strict=True, ge=0.2, le=10)] = 1.0
    """Seconds between two decisions; a signal or a broken limit starts one at once."""
    ramp_up_fraction_per_min: Annotated[float, Field(strict=True, gt=0, le=6)] = 0.10
    """Fastest rise of the site's power, as a share of rated_kw per minute."""
    wake_fraction_per_5s: Fraction = 0.02
    """Share of a feeder's rating that may be woken in 5 s: start-up draw exceeds the rated draw."""
    min_on_s: AtLeastZero = 600.0
    """Shortest time awake before a miner is put to sleep again for economic reasons."""
    min_off_s: AtLeastZero = 300.0
    """Shortest time asleep before a miner is woken again."""
    max_cycles_per_day: Count = 6
    """Full sleep and wake cycles per miner and day for economic reasons; no limit in an emergency."""
    confirm_timeout_s: Positive = 30.0
    """Added to a machine's own time to move before a command counts as not followed."""
    max_attempts: Count = 3
    """Tries of one command before the miner counts as one that does not obey."""
    tolerance_fraction: Annotated[float, Field(strict=True, gt=0, le=0.2)] = 0.02
    """Band around the target inside which the site is on its number."""
    ramp_down_fraction_per_min: Annotated[float, Field(strict=True, gt=0, le=60)] | None = None
    """Fall towards a set-point whose event states no ramp, as a share of rated_kw per minute; left out: at once."""
    hot_chip_c: Positive | None = None
    """Chip temperature at which a miner is lowered, and not raised again before it has cooled; left out: never."""
    guard_fraction: Share = 0.05
    """Kept below every limit while the site meter is lost."""
    seed: Whole = 0
    """Seed of randomised starts and releases; every site of a programme should have its own."""


class PollTable(Table):
    """How often and how patiently the miners are asked."""

    interval_s: Annotated[float, Field(strict=True, ge=1, le=300)] = 5.0
    """Seconds between two polls of a miner."""
    in_flight: Annotated[int, Field(strict=True, ge=1, le=20_000)] = 1500
    """Polls under way at once in one process."""
    urgent_in_flight: Annotated[int, Field(strict=True, ge=1, le=20_000)] = 500
    """Slots for urgent commands, which polls cannot take."""
    connect_s: Positive = 2.0
    """Longest wait for a connection."""
    answer_s: Positive = 3.0
    """Longest wait for an answer on an open connection."""
    backoff_max_s: Positive = 60.0
    """Longest pause between two tries of a silent miner."""
    facts_interval_s: Positive = 3600.0
    """Seconds between two readings of the slow facts: model, firmware, pools."""
    follow_moves: bool = True
    """Follow miners whose address has changed, by MAC or serial: where others should be, then in their own network."""
    seen_stale_s: Positive = 15.0
    """Age after which a reading no longer proves anything and the miner counts at its worst power."""
