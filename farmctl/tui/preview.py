"""What an order would do, in lines: as the controller planned it, or by its nature where it moves no power itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from farmctl.ports.feed import FleetImage
from farmctl.tui.orders import SELECTING, Draft
from farmctl.tui.words import megawatts, span

MOST_EXAMPLES = 4
UNPLANNED = frozenset({"maintenance", "emergency_release", "lease_take", "lease_release"})
"""Verbs that the controller makes no plan for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an order would do, in lines, and what must be typed before it is sent."""

    lines: tuple[str, ...]
    confirm: str = ""
    """Empty: nothing need be typed."""
    rev: int | None = None


def explained(draft: Draft, image: FleetImage) -> Preview:
    """What an order of `UNPLANNED` does."""
    strip = image.strip
    match draft.verb:
        case "maintenance":
            boxes = [box for box in image.containers if draft.container in ("", box.name)]
            what = f"{draft.container or strip.site}: {sum(box.miners for box in boxes):,} miners"
            power = f"they draw {megawatts(sum(box.power_kw for box in boxes))} MW now"
            rule = "none of them is started by itself" if draft.on else "they are started by themselves again"
            return Preview(lines=(what, power, f"{rule}; sheds and limits are obeyed all the time"))
        case "emergency_release":
            latched = [event.id for event in image.events if event.event_class == "EMERGENCY"]
            lines = (
                f"latched: {', '.join(latched) or 'none that is shown'}",
                "the site may rise again: only on the dispatcher's word",
            )
            return Preview(lines=lines, confirm=strip.site)
        case "lease_take":
            return Preview(lines=("until it ends or is given back, others may only look and stop the site",))
        case _:
            held = strip.lease
            whose = "nobody holds it" if held is None else f"{held.owner} holds it: {held.reason}"
            return Preview(lines=(whose, "from then on every operator may steer"))


def previewed(draft: Draft, plan: Mapping[str, object]) -> Preview:
    """Read a plan as the controller tells it."""
    rev = plan.get("rev")
    lines = _hands_on(plan) if draft.verb in SELECTING and "total" in plan else _power(plan)
    return Preview(
        lines=tuple(lines), confirm=str(plan.get("confirm") or ""), rev=rev if isinstance(rev, int) else None
    )


def _hands_on(plan: Mapping[str, object]) -> Iterator[str]:
    """Which miners, and what they draw."""
    examples = plan.get("examples")
    named = [str(miner) for miner in examples[:MOST_EXAMPLES]] if isinstance(examples, list) else []
    total = plan.get("total", 0)
    more = " ..." if isinstance(total, int) and total > len(named) else ""
    yield f"miners  {total}: {', '.join(named)}{more}"
    yield f"power   {_mw(plan, 'power_kw')} MW drawn by them now"


def _power(plan: Mapping[str, object]) -> Iterator[str]:
    moves = ("lowered", "raised", "put_to_sleep", "woken")
    counts = ", ".join(f"{plan.get(key, 0)} {key.replace('_', ' ')}" for key in moves)
    yield from _circuit(plan.get("circuit"))
    yield from _selection(plan.get("selection"))
    now_kw, planned_kw = plan.get("power_kw"), plan.get("planned_kw")
    change_kw = None
    if isinstance(now_kw, int | float) and isinstance(planned_kw, int | float):
        change_kw = float(planned_kw) - float(now_kw)
    change = megawatts(change_kw, sign="+")
    yield f"site    {_mw(plan, 'power_kw')} -> {_mw(plan, 'planned_kw')} MW  ({change} MW)"
    yield f"target  {_mw(plan, 'target_kw')} MW, limit {_mw(plan, 'limit_kw')} MW ({plan.get('limit_reason', '')})"
    yield f"miners  {counts}"
    yield f"time    {_time(plan.get('seconds'))}"
    shortfall = plan.get("shortfall_kw")
    if isinstance(shortfall, int | float) and shortfall > 0:
        yield f"SHORT   {megawatts(float(shortfall))} MW cannot be reached: {plan.get('reason_help', '')}"
    left = plan.get("left_out")
    for row in left if isinstance(left, list) else []:
        yield f"without {row['miners']} miners, {megawatts(float(row['kw']))} MW: {row['reason']} ({row['help']})"


def _circuit(told: object) -> Iterator[str]:
    """Of an order about one circuit: its own power first."""
    if isinstance(told, Mapping):
        now_kw, planned_kw = float(told["power_kw"]), float(told["planned_kw"])
        change = megawatts(planned_kw - now_kw, sign="+")
        yield f"{told['name']:<7} {megawatts(now_kw)} -> {megawatts(planned_kw)} MW  ({change} MW)"


def _selection(told: object) -> Iterator[str]:
    """Of an order about some miners: theirs first."""
    if isinstance(told, Mapping):
        now_kw, planned_kw = float(told["power_kw"]), float(told["planned_kw"])
        change = megawatts(planned_kw - now_kw, sign="+")
        yield f"these   {told['total']} miners, {megawatts(now_kw)} -> {megawatts(planned_kw)} MW  ({change} MW)"


def _mw(plan: Mapping[str, object], key: str) -> str:
    value = plan.get(key)
    return megawatts(float(value) if isinstance(value, int | float) else None)


def _time(value: object) -> str:
    return f"about {span(float(value))}" if isinstance(value, int | float) else "unknown: the ramp permits no rise"
