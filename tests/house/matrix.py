"""The quality matrix of drivers/README.md, made of every QUALITY.toml; `python -m tests.house.matrix` writes it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import drivers

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "drivers" / "README.md"
START, END = "<!-- matrix:start -->", "<!-- matrix:end -->"
ROWS = (
    "read",
    "sleep",
    "wake",
    "percent",
    "watts",
    "confirm",
    "pools_untouched",
    "silent_peer",
    "malformed_reply",
    "expired_session",
)
MARKS = {"proved": "yes", "absent": "-", "needless": "n/a"}
WATCHED = {"read", "silent_peer", "malformed_reply"}
SHED = WATCHED | {"sleep", "wake", "confirm", "pools_untouched"}
FAMILIES = sorted({place.split(":")[0].split(".")[1] for place in drivers.BUILTIN.values()})


def claims(family: str) -> dict[str, dict[str, Any]]:
    """What a driver says of itself."""
    found: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "drivers" / family / "QUALITY.toml").read_text())
    return found


def rung(said: Mapping[str, Mapping[str, Any]]) -> str:
    """How high on the ladder of drivers/README.md a driver stands."""
    good = {row for row in ROWS if said[row]["status"] in {"proved", "needless"}}
    if not good >= WATCHED:
        return "none"
    if not good >= SHED:
        return "watched"
    if not good & {"percent", "watts"}:
        return "shed"
    return "trusted" if "expired_session" in good else "dispatched"


def matrix() -> str:
    """The table, and a line for every gap."""
    head = "| family | " + " | ".join(row.replace("_", " ") for row in ROWS) + " | rung |"
    lines = [head, "|---" * (len(ROWS) + 2) + "|"]
    gaps: list[str] = []
    for family in FAMILIES:
        said = claims(family)
        marks = " | ".join(MARKS[said[row]["status"]] for row in ROWS)
        lines.append(f"| `{family}` | {marks} | {rung(said)} |")
        absent = [row for row in ROWS if said[row]["status"] == "absent"]
        if absent:
            gaps.append(f"* `{family}`: " + "; ".join(f"{row.replace('_', ' ')}: {said[row]['why']}" for row in absent))
    return "\n".join([*lines, "", *gaps])


def with_matrix(text: str) -> str:
    """The README with the table of today between its marks."""
    between = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    return between.sub(lambda _: f"{START}\n{matrix()}\n{END}", text)


if __name__ == "__main__":
    README.write_text(with_matrix(README.read_text()))
