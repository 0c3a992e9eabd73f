"""Colours by meaning: grey is normal, a saturated colour is an alarm and nothing else (OPERATIONS section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style
from textual.app import App
from textual.theme import Theme
from textual.widget import Widget

HMI_DARK = Theme(
    name="hmi-dark",
    primary="#8a8a8a",
    secondary="#767676",
    accent="#8a8a8a",
    foreground="#c6c6c6",
    background="#262626",
    surface="#303030",
    panel="#303030",
    warning="#c6c6c6",
    error="#e05252",
    success="#c6c6c6",
    dark=True,
)
HMI_LIGHT = Theme(
    name="hmi-light",
    primary="#5f5f5f",
    secondary="#767676",
    accent="#5f5f5f",
    foreground="#303030",
    background="#d7d7d7",
    surface="#c6c6c6",
    panel="#c6c6c6",
    warning="#303030",
    error="#b01818",
    success="#303030",
    dark=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """A style per meaning; every one of them also differs by a glyph, a letter, bold, dim or reverse."""

    normal: Style
    dim: Style
    strong: Style
    head: Style
    cursor: Style
    idle_cursor: Style
    """The cursor of a list that has not the keyboard."""
    mark: Style
    curtailed: Style
    abnormal: Style
    """Not where it should be, but no alarm."""
    alarms: tuple[Style, Style, Style, Style]
    unack: Style
    """Laid over an alarm's style."""
    banner: Style
    target: Style

    def alarm(self, priority: int, state: str = "") -> Style:
        """The style of one alarm; reverse while nobody has acknowledged it."""
        style = self.alarms[min(max(priority, 1), 4) - 1]
        return style + self.unack if state in ("UNACK", "RTN_UNACK") else style

    def state(self, word: str) -> Style:
        """The style of a miner's state."""
        match word:
            case "curtailed":
                return self.curtailed
            case "fault" | "offline":
                return self.abnormal
            case "unknown" | "":
                return self.dim
            case _:
                return self.normal


def palette_of(widget: Widget) -> Palette:
    """The palette that suits the theme and the terminal of a widget's app."""
    return app_palette(widget.app)


def app_palette(app: App[object]) -> Palette:
    """The palette that suits an app's theme and terminal."""
    if app.no_color:
        return PLAIN
    return DARK if app.current_theme.dark else LIGHT


def _coloured(text: str, dim: str, strong: str, ground: str, steel: str, alarms: tuple[str, str, str, str]) -> Palette:
    return Palette(
        normal=Style(color=text),
        dim=Style(color=dim),
        strong=Style(color=strong, bold=True),
        head=Style(color=dim, underline=True),
        cursor=Style(color=ground, bgcolor=text),
        idle_cursor=Style(color=text, underline=True),
        mark=Style(color=strong, bold=True),
        curtailed=Style(color=steel),
        abnormal=Style(color=strong, bold=True),
        alarms=(
            Style(color=alarms[0], bold=True),
            Style(color=alarms[1], bold=True),
            Style(color=alarms[2]),
            Style(color=alarms[3]),
        ),
        unack=Style(reverse=True),
        banner=Style(color=ground, bgcolor=strong, bold=True),
        target=Style(color=steel),
    )


DARK = _coloured("#c6c6c6", "#808080", "#ffffff", "#262626", "#87afd7", ("#ff5f5f", "#ff8700", "#ffd75f", "#d787d7"))
LIGHT = _coloured("#303030", "#6c6c6c", "#000000", "#d7d7d7", "#005f87", ("#af0000", "#af5f00", "#5f5f00", "#870087"))
PLAIN = Palette(
    normal=Style(),
    dim=Style(dim=True),
    strong=Style(bold=True),
    head=Style(underline=True),
    cursor=Style(reverse=True),
    idle_cursor=Style(underline=True),
    mark=Style(bold=True),
    curtailed=Style(dim=True),
    abnormal=Style(bold=True),
    alarms=(Style(bold=True), Style(bold=True), Style(), Style()),
    unack=Style(reverse=True),
    banner=Style(reverse=True, bold=True),
    target=Style(),
)
"""Without any colour, for NO_COLOR."""
