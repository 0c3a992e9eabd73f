"""The plots of a report as SVG, drawn from its JSON alone; matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from farmctl.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Floats = NDArray[np.float64]
INK, TARGET, BAND, GREY = "#16324f", "#c1440e", "#f3c9a9", "#7a8793"
STATES = {
    "hashing": ("hashing", "#2f6f8f"),
    "throttled": ("throttled", "#7fb3c8"),
    "booting": ("booting", "#e3b23c"),
    "curtailed": ("curtailed", "#c9d3da"),
    "fault": ("fault", "#a4243b"),
    "offline": ("offline", "#4a4a4a"),
}
_STYLE: Any = {
    "svg.hashsalt": "farmctl",  # ids in the file are hashes: with a fixed salt the same report gives the same bytes
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 8.5,
    "axes.edgecolor": "#9aa5ae",
    "axes.grid": True,
    "grid.color": "#e6eaed",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": "#4b5862",
    "ytick.color": "#4b5862",
}
LONG_S = 3 * 3600.0
MINUTES_S = 600.0


class ExtraMissingError(ConfigError):
    """A part of farmctl that is an extra is not installed."""


def power_svg(report: Mapping[str, Any]) -> str:
    """Metered power against the order with its band, from the look-back to the return. Raises ExtraMissingError."""
    curve = report["curve"]
    time, label = _time(curve["t_s"])

    def draw(axes: Sequence[Axes]) -> None:
        one = axes[0]
        at, target, low, high = _order(curve, time)
        one.fill_between(at, np.where(np.isfinite(target), low, np.nan), high, color=BAND, alpha=0.6, linewidth=0,
                         label="permitted band", step="post")  # fmt: skip
        one.plot(at, target, color=TARGET, linewidth=1.6, label="ordered", drawstyle="steps-post")
        for line, dashes in zip(report["baselines"], ((4, 2), (1, 1.5), (6, 2, 1, 2), (2, 2)), strict=False):
            if line["baseline_kw"] is not None:
                one.plot([time[0], time[-1]], [line["baseline_kw"]] * 2, color=GREY, linewidth=0.9, dashes=dashes,
                         label=f"baseline {line['method']} (mean)")  # fmt: skip
        one.plot(time, _column(curve, "power_kw"), color=INK, linewidth=1.5, label="site meter")
        one.set_ylabel("power, kW")
        one.set_ylim(bottom=0)
        _span(one, report, label)
        one.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=4, frameon=False)

    return _svg(draw, [3.4], label)


def fleet_svg(report: Mapping[str, Any]) -> str:
    """Miners by state, hash rate and temperature over the same time. Raises ExtraMissingError."""
    curve = report["curve"]
    time, label = _time(curve["t_s"])

    def draw(axes: Sequence[Axes]) -> None:
        states, hashes, heat = axes
        shown = [state for state in STATES if np.nansum(_column(curve, state)) > 0]
        stack = [np.nan_to_num(_column(curve, state)) for state in shown]
        if stack:
            names, colours = [STATES[state][0] for state in shown], [STATES[state][1] for state in shown]
            states.stackplot(time, stack, labels=names, colors=colours, step="mid", linewidth=0)
            states.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncol=6, frameon=False)
        states.set_ylabel("miners")
        hashes.plot(time, _column(curve, "hash_ths") / 1e3, color=INK, linewidth=1.4)
        hashes.set_ylabel("hash rate, PH/s")
        hashes.set_ylim(bottom=0)
        heat.plot(time, _column(curve, "temperature_c"), color=TARGET, linewidth=1.4)
        heat.set_ylabel("mean chip, °C")
        heat.margins(y=0.25)
        for one in axes:
            _span(one, report, label)

    return _svg(draw, [1.3, 1.3, 1.0], label)


def _svg(draw: Any, heights: Sequence[float], label: str) -> str:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - 1.8 s and 60 MB that only a plot is worth
        from matplotlib.figure import Figure as MadeFigure  # noqa: PLC0415 - see above
    except ImportError:
        raise ExtraMissingError(
            "plots need the extra `report`: pip install 'farmctl[report]' (JSON and CSV work without it)"
        ) from None
    with mpl.rc_context(_STYLE):
        figure: Figure = MadeFigure(figsize=(7.6, 0.55 + 1.25 * sum(heights) if len(heights) > 1 else heights[0]))
        made = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
        axes = [row[0] for row in made]
        draw(axes)
        for one in axes:
            one.spines[["top", "right"]].set_visible(False)
            one.margins(x=0)
        axes[-1].set_xlabel(f"time from the start of the event, {label}")
        out = io.StringIO()
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _time(seconds: Sequence[float]) -> tuple[_Floats, str]:
    values = np.array(seconds, dtype=np.float64)
    span_s = float(np.ptp(values)) if len(values) else 0.0
    if span_s > LONG_S:
        return values / 3600.0, "h"
    return (values / 60.0, "min") if span_s > MINUTES_S else (values, "s")


def _span(one: Axes, report: Mapping[str, Any], label: str) -> None:
    """Mark start and end of the event."""
    scale = {"h": 3600.0, "min": 60.0, "s": 1.0}[label]
    for at_s in (0.0, report["identity"]["duration_s"]):
        one.axvline(at_s / scale, color="#5b6770", linewidth=0.8, dashes=(2, 2))


def _order(curve: Mapping[str, Any], time: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """The order with its band, drawn from the very start: the first sample may be a second late."""
    target, high = _column(curve, "target_kw"), _column(curve, "high_kw")
    low = np.where(np.isfinite(target), np.nan_to_num(_column(curve, "low_kw")), np.nan)
    asked = np.flatnonzero(np.isfinite(target))
    if not len(asked) or time[asked[0]] <= 0:
        return time, target, low, high
    first = int(asked[0])
    target, low, high = (np.insert(column, first, float(column[first])) for column in (target, low, high))
    return np.insert(time, first, 0.0), target, low, high


def _column(curve: Mapping[str, Any], name: str) -> _Floats:
    return np.array([np.nan if value is None else value for value in curve[name]], dtype=np.float64)
