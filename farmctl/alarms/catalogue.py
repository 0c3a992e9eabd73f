"""One row per alarm: priority, delays, what suppresses it, and what a person should know and do."""

from __future__ import annotations

from farmctl.core.alarms import AlarmKind, Suppress

_UPKEEP = frozenset({Suppress.MAINTENANCE})
_MOVING = frozenset({Suppress.MAINTENANCE, Suppress.RAMPING})
_HASHING = frozenset({Suppress.MAINTENANCE, Suppress.RAMPING, Suppress.WARM_UP, Suppress.CURTAILED})

ROWS: tuple[AlarmKind, ...] = (
    AlarmKind(
        alarm="emergency_latched", priority=1,
        summary="a grid EMERGENCY was accepted and holds until its release",
        cause="an order of the grid", consequence="the site must stay down",
        response="confirm the shed; release only on the dispatcher's word",
    ),
    AlarmKind(
        alarm="signal_stale", priority=1, on_delay_s=30.0, measured_s=30.0,
        summary="an armed signal source is silent",
        cause="broker, WAN or dispatcher", consequence="fail-safe level after the signal's own limit",
        response="check the link, call the dispatcher, do not raise",
    ),
    AlarmKind(
        alarm="power_above_limit", priority=1, on_delay_s=30.0, off_delay_s=10.0,
        summary="the site draws more than its limit + 1 %",
        cause="stragglers, or miners that understate their watts", consequence="breach of the limit, penalty",
        response="open the stragglers, sleep the next stage, open a PDU",
    ),
    AlarmKind(
        alarm="shed_incomplete", priority=1,
        summary="at its deadline an event is short by more than 2 % of what it asked",
        cause="miners that refuse, are silent or rebooted", consequence="shortfall",
        response="work the list of stragglers; report the shortfall to the dispatcher",
    ),
    AlarmKind(
        alarm="meter_lost_armed", priority=1, on_delay_s=10.0, measured_s=10.0, off_delay_s=10.0,
        summary="no good sample of the site meter",
        cause="Modbus, network or CT", consequence="open loop with a guard band",
        response="restore the meter; verify the load by feeder",
    ),
    AlarmKind(
        alarm="circuit_overload", priority=1, on_delay_s=10.0, off_delay_s=30.0,
        summary="a circuit carries more than its rating",
        cause="uneven wake, or miners that draw more than their model", consequence="trip, fire",
        response="shed that circuit; check its phases",
    ),
    AlarmKind(
        alarm="store_failed", priority=1,
        summary="the journal refuses writes",
        cause="disk full or broken", consequence="raising is forbidden",
        response="free space; lowering still works",
    ),
    AlarmKind(
        alarm="container_offline", priority=2, on_delay_s=120.0, off_delay_s=30.0, suppressed_by=_UPKEEP,
        summary="half or more of the miners behind one feeder, container or rack fell silent together",
        cause="switch, feeder or PDU", consequence="lost load that is counted at its worst",
        response="check the uplink, then the breaker",
    ),
    AlarmKind(
        alarm="circuit_near_limit", priority=2, on_delay_s=60.0, off_delay_s=60.0, suppressed_by=_UPKEEP,
        summary="a circuit carries more than 90 % of its rating",
        cause="growth, or a lost phase", consequence="no room for a wake; a trip is near",
        response="move miners or derate the circuit",
    ),
    AlarmKind(
        alarm="hashrate_low", priority=2, on_delay_s=900.0, off_delay_s=60.0, suppressed_by=_HASHING,
        summary="settled miners do less than 95 % of what their operating points promise",
        cause="pool, heat or firmware", consequence="lost revenue at full power",
        response="look by model, then by container",
    ),
    AlarmKind(
        alarm="command_failures", priority=2, off_delay_s=60.0, suppressed_by=_UPKEEP,
        summary="more than 2 % of the miners did not follow after every retry",
        cause="credentials or firmware", consequence="weak control",
        response="look by firmware; mend the credentials",
    ),
    AlarmKind(
        alarm="poll_failures", priority=2, on_delay_s=600.0, off_delay_s=60.0, suppressed_by=_UPKEEP,
        summary="more than 10 % of the miners do not answer, for no common cause",
        cause="network, or limits of this host", consequence="the controller is blind there",
        response="check the switches, run farmctl doctor",
    ),
    AlarmKind(
        alarm="meter_mismatch", priority=2, on_delay_s=600.0, off_delay_s=60.0, suppressed_by=_MOVING,
        summary="meter and sum of the miners differ by more than 5 %",
        cause="miners that misstate their watts, or load that is not listed", consequence="wrong plans",
        response="find the container; calibrate",
    ),
    AlarmKind(
        alarm="running_while_off", priority=2, on_delay_s=60.0, off_delay_s=10.0,
        summary="miners draw power where sleep is wanted",
        cause="local reboot, or a person at the machine", consequence="risk of a breach",
        response="command them again; open the PDU",
    ),
    AlarmKind(
        alarm="override_expiring", priority=2,
        summary="an override has less than 10 minutes left",
        cause="its owner set that end", consequence="automation resumes",
        response="extend it, or hand back",
    ),
    AlarmKind(
        alarm="clock_refusing", priority=2, off_delay_s=30.0,
        summary="the clock is off by more than 5 s",
        cause="NTP", consequence="signed commands are refused",
        response="mend NTP on this host, or tell the issuer",
    ),
    AlarmKind(
        alarm="clock_offset", priority=3, on_delay_s=600.0, off_delay_s=60.0,
        summary="the clock is off by more than 100 ms",
        cause="NTP or the path to it", consequence="late or early steps; refused commands later",
        response="mend the time source",
    ),
    AlarmKind(
        alarm="low_hash", priority=4, on_delay_s=900.0, off_delay_s=300.0, suppressed_by=_HASHING,
        summary="more than 1 % of the settled miners do less than 70 % of their hash rate",
        cause="boards or fans that wear out", consequence="lost hashes",
        response="plan the repair",
    ),
    AlarmKind(
        alarm="controller_down", priority=1, on_delay_s=60.0, watched_by="prometheus",
        summary="the controller is not scraped",
        cause="host or service", consequence="no dispatch",
        response="start the standby; farmctl stop-all if the site is under an order",
    ),
    AlarmKind(
        alarm="cycle_stalled", priority=1, on_delay_s=10.0, watched_by="prometheus",
        summary="the last control cycle is older than 5 s",
        cause="a stuck loop", consequence="no response to the grid",
        response="the watchdog restarts it; else farmctl stop-all",
    ),
    AlarmKind(
        alarm="two_leaders", priority=1, on_delay_s=5.0, watched_by="prometheus",
        summary="two live controllers command one site",
        cause="network partition", consequence="contradictory commands",
        response="stop one of them by hand",
    ),
)  # fmt: skip
"""Everything that can be raised now; a row is added with the condition that raises it."""

CATALOGUE: dict[str, AlarmKind] = {row.alarm: row for row in ROWS}
