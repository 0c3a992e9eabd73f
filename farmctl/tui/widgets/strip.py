"""The status strip: three lines that never wrap; parts are dropped in a fixed order as the screen gets narrow."""

from __future__ import annotations

from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style

from farmctl.ports.feed import EventView, StripView
from farmctl.tui.palette import Palette
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line
from farmctl.tui.words import ALARM_GLYPHS, clock, fixed, hash_rate, megawatts, moment, span

NEVER = 0
LOCAL, EFFICIENCY, GAUGE, ROOM, SOURCE, HIDDEN, LIMIT, HASH, UTC_CLOCK, MINOR, WHY = range(1, 12)
"""The order in which parts go: that of OPERATIONS section 4.1, the gauge before the offer."""
GAP = "  "
GAUGE_CELLS = 21
GAUGE_SPAN = 0.1
"""The gauge shows +-10 % of the target."""
AVAIL_WITHIN_S = 30.0
"""The horizon of the strip's offer."""
NO_END_S = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of a line."""

    text: str
    style: Style
    drop: int = NEVER


def strip_lines(sight: Sight, palette: Palette, width: int) -> tuple[Line, ...]:
    """The strip at a width; also at 80 columns it tells mode, power, deviation, event, P1, P2, age and READ-ONLY."""
    return (
        fitted(_first(sight, palette), width),
        fitted(_second(sight.image.strip, palette), width),
        fitted(_third(sight, palette), width),
    )


def fitted(parts: list[Part], width: int) -> Line:
    """The parts that fit, in their order."""
    kept = [part for part in parts if part.text]
    while len(GAP.join(part.text for part in kept)) > width - 1:
        droppable = [part for part in kept if part.drop]
        if not droppable:
            break
        kept.remove(min(droppable, key=lambda part: part.drop))
    segments = [Segment(" ")]
    for number, part in enumerate(kept):
        segments += [Segment(GAP)] if number else []
        segments.append(Segment(part.text, part.style))
    return tuple(segments)


def _first(sight: Sight, palette: Palette) -> list[Part]:
    strip, at_ms = sight.image.strip, sight.image.at_ms
    return [
        Part(text=strip.site, style=palette.strong),
        Part(text=_mode(strip), style=palette.strong + palette.unack if _abnormal(strip) else palette.strong),
        Part(text=f"{strip.authority}: {strip.reason}", style=palette.normal, drop=SOURCE),
        _freshness(sight, palette),
        Part(text=_control(sight), style=palette.normal),
        Part(text="READ-ONLY" if sight.read_only else "", style=palette.strong + palette.unack),
        Part(text=f"{clock(at_ms)}Z", style=palette.normal, drop=UTC_CLOCK),
        Part(text=f"{clock(at_ms, strip.timezone)} {strip.timezone}", style=palette.dim, drop=LOCAL),
    ]


def _mode(strip: StripView) -> str:
    words = [strip.mode]
    if strip.stop_all:
        words.append("STOP-ALL")
    if strip.maintenance and strip.mode != "MAINTENANCE":
        words.append("MAINTENANCE")
    if not strip.armed:
        words.append("OBSERVE")
    return " ".join(words)


def _abnormal(strip: StripView) -> bool:
    """Somebody should know why: the grid is not heard, an emergency, a stop, or nothing is commanded."""
    return strip.mode in ("EMERGENCY", "FAILSAFE") or strip.stop_all or not strip.armed


def _freshness(sight: Sight, palette: Palette) -> Part:
    if sight.playhead is not None:
        return Part(text="REPLAY", style=palette.banner)
    if not sight.stale:
        return Part(text=f"live {sight.age_s:.0f}s", style=palette.normal)
    return Part(text=f"STALE {span(max(sight.age_s, sight.link.age_s))}", style=palette.banner)


def _control(sight: Sight) -> str:
    strip = sight.image.strip
    if strip.lease is not None:
        return f"lease {strip.lease.owner} to {moment(strip.lease.expires_at, sight.zone)[:5]}"
    if strip.overrides:
        order = strip.overrides[0]
        return f"override {order.owner} to {moment(order.expires_at, sight.zone)[:5]}"
    return ""


def _second(strip: StripView, palette: Palette) -> list[Part]:
    power_kw, target_kw = strip.power_kw, strip.target_kw
    deviation = f"dev {megawatts(strip.deviation_kw, sign='+')} ({strip.deviation_pct:+.1f}%)"
    good = strip.meter_quality.upper() == "OK"
    efficiency = power_kw * 1_000 / strip.hash_rate_ths if strip.hash_rate_ths > 0 else None
    return [
        Part(text=f"POWER {megawatts(power_kw)} MW{'' if good else '?'}", style=palette.strong),
        Part(text=f"target {megawatts(target_kw)}", style=palette.normal),
        Part(text=deviation if strip.in_band else f"{deviation} OFF TARGET", style=_off(strip, palette)),
        Part(text=_gauge(strip), style=palette.normal, drop=GAUGE),
        Part(text=f"limit {megawatts(strip.limit_kw)}", style=palette.normal, drop=LIMIT),
        Part(text=_avail(strip), style=palette.normal, drop=ROOM),
        Part(text=f"HASH {hash_rate(strip.hash_rate_ths)}", style=palette.normal, drop=HASH),
        Part(text=f"{fixed(efficiency, 1)} J/TH", style=palette.dim, drop=EFFICIENCY),
    ]


def _avail(strip: StripView) -> str:
    """What could be given up and taken on within half a minute."""
    one = next((one for one in strip.reach if one.within_s == AVAIL_WITHIN_S), None)
    return "" if one is None else f"avail v{megawatts(one.down_kw)} ^{megawatts(one.up_kw)}"


def _off(strip: StripView, palette: Palette) -> Style:
    return palette.normal if strip.in_band else palette.strong + palette.unack


def _gauge(strip: StripView) -> str:
    """The target in the middle, the actual power as `#`."""
    cells = ["-"] * GAUGE_CELLS
    middle = GAUGE_CELLS // 2
    cells[middle] = "+"
    share = strip.deviation_kw / max(strip.target_kw, 0.01 * strip.rated_kw, 1e-9) / GAUGE_SPAN
    cells[middle + round(max(min(share, 1.0), -1.0) * middle)] = "#"
    return f"|{''.join(cells)}|"


def _third(sight: Sight, palette: Palette) -> list[Part]:
    strip = sight.image.strip
    alarms = strip.alarms
    parts = [Part(text=f"EVENT {_event(strip.event)}", style=palette.normal), Part(text="ALARMS", style=palette.normal)]
    for priority in (1, 2, 3, 4):
        count = alarms.get(f"p{priority}", 0)
        waits = any(a.priority == priority and a.state in ("UNACK", "RTN_UNACK") for a in sight.image.alarms)
        style = palette.alarm(priority, "UNACK" if waits else "") if count or waits else palette.dim
        drop = NEVER if priority <= 2 else MINOR  # noqa: PLR2004 - P1 and P2 are never dropped
        parts.append(Part(text=f"{ALARM_GLYPHS[priority]}:{count}", style=style, drop=drop))
    hidden = f"shelved {alarms.get('shelved', 0)} suppressed {alarms.get('suppressed', 0)}"
    unack = alarms.get("unack", 0)
    parts += [
        Part(text=f"unack {unack}", style=palette.strong if unack else palette.dim, drop=WHY),
        Part(text=hidden, style=palette.dim, drop=HIDDEN),
        Part(text="FLOOD: P3/P4 as counts" if strip.flood else "", style=palette.strong),
    ]
    return parts


def _event(event: EventView | None) -> str:
    if event is None:
        return "none"
    wanted = event.setpoint_kw if event.setpoint_kw is not None else event.limit_kw
    power = "" if wanted is None else f" {'to' if event.setpoint_kw is not None else '<='} {megawatts(wanted)} MW"
    if event.starts_in_s > 0:
        return f"next in {span(event.starts_in_s)}{power}"
    ends = "" if event.ends_in_s > NO_END_S else f" {span(event.ends_in_s)} left"
    return f"{event.state}{power}{ends}"
