"""Taking along what is seen: to the clipboard, to a file, to the site's dashboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual.app import App

from farmctl.tui.columns import COLUMNS
from farmctl.tui.export import write_csv, write_json, write_rows, write_svg
from farmctl.tui.glass import GlassScreen
from farmctl.tui.modals.choices import Choice, MenuScreen


@dataclass(frozen=True, slots=True, eq=False)
class Taking:
    """What leaves the glass."""

    app: App[None]

    def copy(self, glass: GlassScreen) -> None:
        """Copy through the terminal (OSC 52)."""
        text = glass.pane.copied()
        if text:
            self.app.copy_to_clipboard(text)
            self.app.notify(f"copied {len(text.splitlines())} line(s)")

    def dashboard(self, address: str) -> None:
        """Open the site's dashboard, and copy its address for who looks over SSH."""
        if not address:
            why = 'no dashboard known: grafana = "https://..." in tui.toml'
            self.app.notify(why, severity="warning", markup=False)
            return
        self.app.copy_to_clipboard(address)
        self.app.open_url(address)
        self.app.notify(f"copied {address}", markup=False)

    def export(self, glass: GlassScreen) -> None:
        """Ask for a format, then write a file into the present folder."""
        image = glass.shown
        if image is None:
            return
        roster = glass.miners.table.roster
        svg = self.app.export_screenshot()
        rows = glass.pane.rows()
        files: list[Choice[Callable[[], Path]]] = []
        if glass.page == "miners" and roster.image is not None:
            listed, of = roster.rows, roster.image
            files.append(Choice(f"CSV: the {len(listed):,} miners listed", lambda: write_csv(of, listed, COLUMNS)))
            files.append(Choice(f"JSON: the {len(listed):,} miners listed", lambda: write_json(of, listed, COLUMNS)))
        elif rows:
            page = glass.page
            files.append(Choice(f"JSON: the {len(rows):,} rows of this screen", lambda: write_rows(image, page, rows)))
        files.append(Choice("SVG: this screen as a picture", lambda: write_svg(image, glass.page, svg)))

        def chosen(write: Callable[[], Path] | None) -> None:
            if write is not None:
                self._written(write)

        self.app.push_screen(MenuScreen("Export, into the folder that this was started in", files), chosen)

    def _written(self, write: Callable[[], Path]) -> None:
        try:
            path = write()
        except OSError as error:
            self.app.notify(f"cannot write: {error}", severity="warning", markup=False)
            return
        self.app.notify(f"written: {path}", markup=False)
