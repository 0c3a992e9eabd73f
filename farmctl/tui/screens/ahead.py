"""The hours ahead on the Power screen: what is planned, in which order miners are shed, what if nobody calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.segment import Segment

from farmctl.ports.feed import FleetImage
from farmctl.tui.columns import number_of
from farmctl.tui.palette import Palette
from farmctl.tui.widgets.lines import Line, rule
from farmctl.tui.widgets.listing import Item
from farmctl.tui.words import clip, fixed, megawatts, moment, span

PLAN_HEAD = " From     To        Target   Limit  Because"
BAR = 8
MOST_STAGES = 4
OTHERS = 7
"""Lines that are no stage."""
NAME = 10
Told = Mapping[str, Any]


def plan_items(told: Told, why: str, rated_kw: float, palette: Palette, zone: str) -> Iterator[Item]:
    """One line per stretch in which, by what is known, nothing changes; then the prices and the standing allocation."""
    if why and not told:
        yield Item(key="plan", parts=((f" {why}", palette.dim),))
        return
    for row in told.get("stretches", ()):
        share = row["target_kw"] / rated_kw if rated_kw > 0 else 0.0
        bar = "█" * max(min(round(BAR * share), BAR), 0)
        text = (
            f" {moment(row['start'], zone)} {moment(row['end'], zone)} {megawatts(row['target_kw']):>7} "
            f"{megawatts(row['limit_kw']):>7}  {clip(row['event'] or row['reason'], 14)} "
        )
        yield Item(key=f"{row['start']} {row['event']}", parts=((text, palette.normal), (bar, palette.target)))
    for row in told.get("prices", ()):
        times = f" {moment(row['start'], zone)} {moment(row['end'], zone)}"
        text = f"{times} price {row['price_per_kwh']:.4f} a kWh  {row['event']}"
        yield Item(key=f"price {row['start']}", parts=((text, palette.normal),))
    standing, own = told.get("standing_kw"), told.get("own_price_per_kwh", 0.0)
    allowed = "none" if standing is None else f"{megawatts(standing)} MW"
    text = f" standing allocation {allowed}, own price {own:.4f} a kWh"
    yield Item(key="standing", parts=((text, palette.dim),))


def fallback_lines(told: Told, image: FleetImage, palette: Palette, width: int, height: int) -> Iterator[Line]:
    """Which miners go first when power falls, and what the site does when no signal is heard."""
    most = max(min(height - OTHERS, MOST_STAGES), 1)
    yield (Segment(rule("Shed in this order", width), palette.dim),)
    stages, protected_kw = _stages(image)
    for number, (name, power_kw, joules) in enumerate(stages[:most], start=1):
        text = f"{clip(name, 14)} {megawatts(power_kw):>7} MW  {fixed(joules, 1):>5} J/TH"
        yield (Segment(f" stage {number:<3} ", palette.dim), Segment(text, palette.normal))
    if len(stages) > most:
        rest_kw = sum(power_kw for _, power_kw, _ in stages[most:])
        yield _pair("then", f"{len(stages) - most} more models, {megawatts(rest_kw)} MW", palette)
    yield _pair("protected", f"{megawatts(protected_kw)} MW stay to the last", palette)
    if told:
        yield from _silence(told, palette, width)


def _silence(told: Told, palette: Palette, width: int) -> Iterator[Line]:
    back, ramp = told["fallback"], told["fallback"]["ramp_down_kw_per_min"]
    yield (Segment(rule("When no signal is heard", width), palette.dim),)
    if not back["expects_grid"]:
        yield _pair("signal", "no grid source is configured: the site is its own master", palette)
        return
    first = "schedule, " if back["follows_schedule"] else ""
    speed = "at once" if ramp is None else f"{megawatts(ramp)} MW/min"
    yield _pair("after", f"{span(back['quiet_s'])} alarm, {span(back['stale_s'])} link lost", palette)
    yield _pair("then", f"{first}{speed} to {megawatts(back['firm_kw'])} MW firm", palette)
    yield _pair("never", f"below {megawatts(back['safe_min_kw'])} MW; up only on a valid signal", palette)


def _pair(name: str, text: str, palette: Palette) -> Line:
    return (Segment(f" {name:{NAME}}", palette.dim), Segment(text, palette.normal))


def _stages(image: FleetImage) -> tuple[list[tuple[str, float, float]], float]:
    """Model (with its tier), power drawn kW, J/TH; higher tiers first, then the least efficient; and protected kW."""
    models = image.words.get("model")
    if models is None or not models.words:
        return [], 0.0
    power_w = np.nan_to_num(number_of(image, "power_w"))
    ths = np.nan_to_num(number_of(image, "hash_rate_hs")) / 1e12
    tier = np.nan_to_num(number_of(image, "tier")).astype(np.int64)
    guarded = image.words["protected"].where("yes") if "protected" in image.words else np.zeros(len(power_w), bool)
    size = len(models.words)
    key = tier * size + models.codes
    found: list[tuple[int, float, str, float]] = []
    for group in np.unique(key[~guarded]).tolist():
        rows = (key == group) & ~guarded
        drawn_w, hashes = float(power_w[rows].sum()), float(ths[rows].sum())
        name = models.words[group % size] or "unknown"
        rank = group // size
        joules = drawn_w / hashes if hashes > 0 else float("nan")
        found.append((-rank, -joules if hashes > 0 else 0.0, f"{name} tier {rank}" if rank else name, drawn_w / 1e3))
    stages = [(name, power_kw, -joules if joules else float("nan")) for _, joules, name, power_kw in sorted(found)]
    return stages, float(power_w[guarded].sum()) / 1e3
