"""A report as one HTML file: inline SVG, print CSS, and the JSON it was made from inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from farmctl.errors import RefusedError
from farmctl.report.plots import ExtraMissingError, fleet_svg, power_svg

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PRINT_S = 90.0
MOST_LINES = 400
"""Lines of the timeline on paper; the JSON has all."""
SMALL_MWH = 1.0
CHROME = "FARMCTL_BROWSER"
UNKNOWN = "\N{EN DASH}"


class PrintError(RefusedError):
    """The browser did not print the report."""


def as_html(report: Mapping[str, Any]) -> str:
    """One file that needs nothing beside it. Raises ExtraMissingError without the extra `report`."""
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError:
        raise ExtraMissingError(
            "HTML needs the extra `report`: pip install 'farmctl[report]' (JSON and CSV work without it)"
        ) from None
    folder = resources.files("farmctl.report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"energy": energy, "number": number, "money": money, "clock": _clock(report)}
    name = "event.html" if report["report"] == "event" else "period.html"
    environment.loader = jinja2.FunctionLoader(lambda file: (folder / file).read_text(encoding="utf-8"))
    plots = (power_svg(report), fleet_svg(report)) if name == "event.html" else ()
    embedded = json.dumps(report, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    template = environment.get_template(name)
    lines = report.get("timeline", [])[:MOST_LINES]
    return template.render(r=report, plots=plots, embedded=embedded, lines=lines)


def as_pdf(report: Mapping[str, Any]) -> bytes:
    """The HTML as a browser prints it. Raises ExtraMissingError where no browser is here, PrintError."""
    browser = os.environ.get(CHROME) or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise ExtraMissingError(
            "PDF needs Chromium (Debian: apt-get install chromium) or $FARMCTL_BROWSER; or print the HTML in a browser"
        )
    page = as_html(report)
    with tempfile.TemporaryDirectory(prefix="farmctl-report-") as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_text(page, encoding="utf-8")
        # The page has no script and loads nothing, so the sandbox, which root cannot have, guards nothing here.
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--disable-dev-shm-usage")
        command = [browser, *options, f"--user-data-dir={folder}/profile", f"--print-to-pdf={target}", source.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=PRINT_S)  # noqa: S603 - no shell, our own words
            return target.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise PrintError(f"{browser} did not print the report: {error}") from error


def energy(mwh: float | None) -> str:
    """An energy in the unit in which people read it."""
    if mwh is None:
        return UNKNOWN
    return f"{mwh * 1e3:,.3f} kWh" if abs(mwh) < SMALL_MWH else f"{mwh:,.3f} MWh"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A number with its unit; a dash where unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:,.{digits}f}{' ' if unit else ''}{unit}"


def money(value: float | None, currency: str = "") -> str:
    """An amount; small ones to the hundredth of a cent."""
    if value is None:
        return UNKNOWN
    digits = 4 if abs(value) < 1 else 2
    return f"{round(value, digits) + 0.0:,.{digits}f} {currency}".rstrip()


def _clock(report: Mapping[str, Any]) -> Any:
    zone = ZoneInfo(report["identity"]["timezone"])

    def clock(moment: str, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
        return datetime.fromisoformat(moment).astimezone(zone).strftime(form)

    return clock
